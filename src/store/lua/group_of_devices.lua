-- group_of_devices.lua: which groups devices are in.
-- KEYS  1 groups   2 groups of devices                                       {a<app>}
-- ARGV  1.. device ids, at most 1000
-- -> { group ids with blanks between, for each device }
-- Safe to repeat: only reads. Groups that are gone are left out.
local lists = redis.call('HMGET', KEYS[2], unpack(ARGV))
local alive = {}
for i = 1, #ARGV do
  local kept = {}
  for group in string.gmatch(lists[i] or '', '%S+') do
    if alive[group] == nil then alive[group] = redis.call('HEXISTS', KEYS[1], group) == 1 end
    if alive[group] then kept[#kept + 1] = group end
  end
  lists[i] = table.concat(kept, ' ')
end
return lists
