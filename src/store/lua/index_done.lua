#!lua flags=allow-oom
-- index_done.lua: these devices' index entries are what their records were when they were taken.
-- KEYS  1 lease   2 marks being worked at                                    {p<N>}
-- ARGV  1 fence   2.. marks
-- -> 1, or 0 when the partition belongs to somebody else
-- Safe to repeat.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SREM', KEYS[2], unpack(ARGV, 2))
return 1
