#!lua flags=allow-oom
-- instance_beat.lua: an instance says that it lives, and learns who else does.
-- KEYS  1 instances                                                          {g}
-- ARGV  1 instance id   2 silence (ms) after which an instance is dead
-- -> ids of the live instances
-- Safe to repeat: the clock is Redis', and a second beat only says the same again.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - tonumber(ARGV[2])))
return redis.call('ZRANGE', KEYS[1], 0, -1)
