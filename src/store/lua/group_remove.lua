#!lua flags=allow-oom
-- group_remove.lua: take devices out of a group.
-- KEYS  1 groups   2 members   3 groups of devices   4 devices               {a<app>}
-- ARGV  1 group id   2.. device ids, at most 1000
-- -> "OK" | "NONE" no such group | "DEVICE" one of them does not exist, and nothing is changed
-- Safe to repeat: who is no member any more is left alone.
local group = ARGV[1]
if redis.call('HEXISTS', KEYS[1], group) == 0 then return 'NONE' end
local known = redis.call('ZMSCORE', KEYS[4], unpack(ARGV, 2))
local lists = redis.call('HMGET', KEYS[3], unpack(ARGV, 2))
for i = 1, #ARGV - 1 do
  if not known[i] then return 'DEVICE' end
end
for i = 1, #ARGV - 1 do
  local device, kept, is_member = ARGV[1 + i], {}, false
  for other in string.gmatch(lists[i] or '', '%S+') do
    if other == group then is_member = true else kept[#kept + 1] = other end
  end
  if is_member then
    redis.call('ZREM', KEYS[2], group .. ' ' .. device)
    if #kept > 0 then
      redis.call('HSET', KEYS[3], device, table.concat(kept, ' '))
    else
      redis.call('HDEL', KEYS[3], device)
    end
  end
end
return 'OK'
