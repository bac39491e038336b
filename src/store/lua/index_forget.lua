#!lua flags=allow-oom
-- index_forget.lua: take a device out of its application's index, and out of its groups.
-- KEYS  1 device index   2 live   3 members of groups   4 groups of devices  {a<app>}
-- ARGV  1 device id   2 its ordinal   3, 4 first and last ordinal of its block
-- -> number of devices that the block still has
-- Safe to repeat: what is gone stays gone, and an ordinal is never given a second time.
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('ZREM', KEYS[1], ARGV[1])
  for group in string.gmatch(redis.call('HGET', KEYS[4], ARGV[1]) or '', '%S+') do
    redis.call('ZREM', KEYS[3], group .. ' ' .. ARGV[1])
  end
  redis.call('HDEL', KEYS[4], ARGV[1])
  local offset = tonumber(ARGV[2]) - tonumber(ARGV[3])
  if redis.call('GETBIT', KEYS[2], offset) == 1 then redis.call('SETBIT', KEYS[2], offset, 0) end
end
return redis.call('ZCOUNT', KEYS[1], ARGV[3], ARGV[4])
