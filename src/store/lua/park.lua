#!lua flags=allow-oom
-- park.lua: set deliveries aside for a callback URL that cannot take them now.
-- KEYS  1 lease   2 parked deliveries   3 table of parked targets            {p<N>}
-- ARGV  1 fence   2 digest of the target   3 its name   4.. name and rest of each delivery
-- -> {bytes, deliveries} now parked for the target, or 0 when the lease is lost
-- Safe to repeat: a delivery that is parked already is replaced.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local bytes = 0
for i = 4, #ARGV, 2 do
  local new = ARGV[i] .. ' ' .. ARGV[i + 1]
  local old = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[i] .. ' ', '(' .. ARGV[i] .. '!',
                         'LIMIT', 0, 1)[1]
  if old and old ~= new then
    redis.call('ZREM', KEYS[2], old)
    bytes = bytes - #old
  end
  if old ~= new then
    redis.call('ZADD', KEYS[2], 0, new)
    bytes = bytes + #new
  end
end
local row = redis.call('HGET', KEYS[3], ARGV[2])
bytes = bytes + (row and tonumber(string.match(row, '^%d+')) or 0)
redis.call('HSET', KEYS[3], ARGV[2], string.format('%.0f %s', bytes, ARGV[3]))
return { bytes, redis.call('ZCARD', KEYS[2]) }
