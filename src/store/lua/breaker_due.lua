#!lua flags=allow-oom
-- breaker_due.lua: an operator wants an invalid callback URL or host probed now.
-- KEYS  1 breakers                                                           {a<app>}
-- ARGV  1 its name (push/scope.h)
-- -> 1, or 0 when it is valid
-- Safe to repeat.
local breaker = redis.call('HGET', KEYS[1], ARGV[1])
if not breaker then return 0 end
local since, rest = string.match(breaker, '^(%d+) %d+ (.*)$')
if not since then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1],
           string.format('%s %.0f %s', since, time[1] * 1000 + math.floor(time[2] / 1000), rest))
return 1
