#!lua flags=allow-oom
-- unpark.lua: delete parked deliveries that are done, if the caller still owns the partition.
-- KEYS  1 lease   2 parked deliveries   3 table of parked targets            {p<N>}
-- ARGV  1 fence   2 digest of the target   3.. names of deliveries; of unreadable ones all there is
-- -> {bytes, deliveries} still parked for the target, or 0 when the lease is lost
-- Safe to repeat: what is deleted stays deleted.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local bytes = 0
for i = 3, #ARGV do
  local old = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[i] .. ' ', '(' .. ARGV[i] .. '!',
                         'LIMIT', 0, 1)[1]
  if not old and redis.call('ZSCORE', KEYS[2], ARGV[i]) then old = ARGV[i] end
  if old then
    redis.call('ZREM', KEYS[2], old)
    bytes = bytes + #old
  end
end
local left = redis.call('ZCARD', KEYS[2])
local row = redis.call('HGET', KEYS[3], ARGV[2])
if left == 0 or not row then
  redis.call('HDEL', KEYS[3], ARGV[2])
  return { 0, left }
end
local had, name = string.match(row, '^(%d+) (.*)$')
bytes = math.max(tonumber(had) - bytes, 0)
redis.call('HSET', KEYS[3], ARGV[2], string.format('%.0f %s', bytes, name))
return { bytes, left }
