#!lua flags=allow-oom
-- lease_renew.lua: prolong a lease that nobody else has got.
-- KEYS  1 lease   2 epoch                                                    {p<N>}
-- ARGV  1 fence   2 life of the lease (ms)
-- -> 1, or 0 when it is lost
-- One that ran out is taken back as long as the epoch says that nobody has claimed the partition since:
-- then nobody has read its events, and a new owner would only repeat what this one knows to be done.
-- Safe to repeat.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
if not held and redis.call('GET', KEYS[2]) ~= string.match(ARGV[1], ':(%d+)$') then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
