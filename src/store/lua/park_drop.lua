#!lua flags=allow-oom
-- park_drop.lua: an operator throws away what is parked for a callback URL in one partition.
-- KEYS  1 parked deliveries   2 table of parked targets                      {p<N>}
-- ARGV  1 digest of the target
-- -> how many there were
-- Safe to repeat. Needs no lease: the owner finds nothing more, and that is all.
local count = redis.call('ZCARD', KEYS[1])
redis.call('UNLINK', KEYS[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return count
