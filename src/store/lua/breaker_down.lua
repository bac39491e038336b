#!lua flags=allow-oom
-- breaker_down.lua: a callback URL or host has become invalid; other instances shall know.
-- KEYS  1 application   2 breakers                                           {a<app>}
-- ARGV  1 its name (push/scope.h)   2 failures in a row   3 pause to the next probe (ms)   4 reason
-- -> 1, or 0 when the application does not exist
-- Safe to repeat: the next probe is then counted from the repetition.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f %.0f %s %s', now,
           now + tonumber(ARGV[3]), ARGV[2], ARGV[4]))
return 1
