#!lua flags=allow-oom
-- index_drop.lua: delete a block of the index that has no devices any more.
-- KEYS  1 device index   2 blocks   3.. all keys of the block                {a<app>}
-- ARGV  1 number of the block   2, 3 its first and last ordinal
-- -> 1, or 0 when there are devices in it
-- Safe to repeat. A device that is registered in it later finds it empty, as at its beginning.
if redis.call('ZCOUNT', KEYS[1], ARGV[2], ARGV[3]) > 0 then return 0 end
redis.call('UNLINK', unpack(KEYS, 3))
redis.call('SREM', KEYS[2], ARGV[1])
return 1
