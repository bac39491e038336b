#!lua flags=allow-oom
-- breaker_probe.lua: ask to be the one that probes an invalid callback URL or host.
-- KEYS  1 breakers                                                           {a<app>}
-- ARGV  1 its name (push/scope.h)   2 pause between two probes (ms)
-- -> 0: go ahead; n > 0: not before n ms; -1: it is valid again
-- Not repeated by the caller: the second one would be told to wait, and this probe is left out.
local breaker = redis.call('HGET', KEYS[1], ARGV[1])
if not breaker then return -1 end
local since, next_probe, rest = string.match(breaker, '^(%d+) (%d+) (.*)$')
if not since then return -1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wait = tonumber(next_probe) - now
if wait > 0 then return wait end
local pause = tonumber(ARGV[2])
local due = tonumber(next_probe) + pause * (1 + math.floor(-wait / pause))
redis.call('HSET', KEYS[1], ARGV[1], string.format('%s %.0f %s', since, due, rest))
return 0
