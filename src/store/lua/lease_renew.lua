#!lua flags=allow-oom
-- lease_renew.lua: prolong a lease that is still held.
-- KEYS  1 lease                                                              {p<N>}
-- ARGV  1 fence   2 life of the lease (ms)
-- -> 1, or 0 when it is lost
-- Safe to repeat.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
