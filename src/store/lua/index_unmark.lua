#!lua flags=allow-oom
-- index_unmark.lua: the index has a device's present state: its mark need not be worked off.
-- KEYS  1 device   2 marks of the index                                      {p<N>}
-- ARGV  1 version that was written to the index   2 mark
-- -> 1, or 0 when the mark stays: the record has changed since, or is gone
-- Safe to repeat.
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
redis.call('SREM', KEYS[2], ARGV[2])
return 1
