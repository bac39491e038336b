-- command_task.lua: write down a cancel task that was carried out.
-- KEYS  1 tasks by time   2 tasks                                            {a<app>}
-- ARGV  1 id   2 time (ms)   3 the task (JSON)   4 what is older goes   5 most that stay
-- -> how many went
-- Safe to repeat: the second run replaces it by the same.
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[4], 'LIMIT', 0, 100)
local more = redis.call('ZCARD', KEYS[1]) - #old - tonumber(ARGV[5])
if more > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[1], #old, #old + math.min(more, 100) - 1)) do
    old[#old + 1] = id
  end
end
if #old > 0 then
  redis.call('ZREM', KEYS[1], unpack(old))
  redis.call('HDEL', KEYS[2], unpack(old))
end
return #old
