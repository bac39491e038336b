#!lua flags=allow-oom
-- group_sweep.lua: take some members away from a group that is gone.
-- KEYS  1 groups that are gone   2 members   3 groups of devices             {a<app>}
-- ARGV  1 how many at most
-- -> 1 while there is more to do, or 0
-- Safe to repeat: what is gone stays gone.
local group = redis.call('SRANDMEMBER', KEYS[1])
if not group then return 0 end
local members = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. group .. ' ', '(' .. group .. '!',
                           'LIMIT', 0, ARGV[1])
if #members == 0 then
  redis.call('SREM', KEYS[1], group)
  return redis.call('SCARD', KEYS[1]) > 0 and 1 or 0
end
local devices = {}
for i, member in ipairs(members) do devices[i] = string.sub(member, #group + 2) end
local lists = redis.call('HMGET', KEYS[3], unpack(devices))
redis.call('ZREM', KEYS[2], unpack(members))
for i, device in ipairs(devices) do
  local kept = {}
  for other in string.gmatch(lists[i] or '', '%S+') do
    if other ~= group then kept[#kept + 1] = other end
  end
  if #kept > 0 then
    redis.call('HSET', KEYS[3], device, table.concat(kept, ' '))
  else
    redis.call('HDEL', KEYS[3], device)
  end
end
return 1
