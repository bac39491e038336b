#!lua flags=allow-oom
-- acknowledge.lua: delete events that are done, if the caller still owns the partition.
-- KEYS  1 lease   2 event stream                                             {p<N>}
-- ARGV  1 fence   2.. ids
-- -> 1, or 0 when the lease is lost: then nothing was deleted
-- Safe to repeat: what is deleted stays deleted.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('XDEL', KEYS[2], unpack(ARGV, 2))
return 1
