-- command_list.lua: add a command to its application's list of all commands, before it is made.
-- KEYS  1 the list                                                           {a<app>}
-- ARGV  1 "<device> <command>"   2 time of creation (ms)   3 what is older goes   4 most that stay
-- -> how many went
-- Safe to repeat: the second run leaves it where it is.
-- Those made in one millisecond keep their order by thousandths of it.
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
local score = math.max(tonumber(ARGV[2]), last and last + 0.001 or 0)
redis.call('ZADD', KEYS[1], 'NX', string.format('%.3f', score), ARGV[1])
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3], 'LIMIT', 0, 100)
local more = redis.call('ZCARD', KEYS[1]) - #old - tonumber(ARGV[4])
if more > 0 then
  for _, member in ipairs(redis.call('ZRANGE', KEYS[1], #old, #old + math.min(more, 100) - 1)) do
    old[#old + 1] = member
  end
end
if #old > 0 then redis.call('ZREM', KEYS[1], unpack(old)) end
return #old
