#!lua flags=allow-oom
-- lease_release.lua: give a lease back, so that the next owner need not wait for its end.
-- KEYS  1 lease                                                              {p<N>}
-- ARGV  1 fence
-- -> 1, or 0 when it was not held any more
-- Safe to repeat.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
