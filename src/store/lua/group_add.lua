-- group_add.lua: put devices into a group, which is made in the same step when it is a new one.
-- KEYS  1 application   2 groups   3 names   4 groups by time   5 members   6 groups of devices
--       7 devices                                                            {a<app>}
-- ARGV  1 group id   2 most groups a device may be in
--       3 name of a new group, or "": it must be there   4 what else is stored of it   5 now (ms)
--       6 most groups   7 most devices in it, 0 = no limit   8.. device ids, at most 1000
-- -> { "OK", devices in it } | { "GONE" } no such application | { "NONE" } no such group | { "NAME" }
--    taken | { "QUOTA" } of groups | { "FULL" } | { "DEVICE" } one that does not exist, or that is in
--    as many groups as it may be
-- Safe to repeat: a group and members that are there already are left as they are. All or nothing.
local group = ARGV[1]
local facts = redis.call('HGET', KEYS[2], group)
local is_new = not facts and ARGV[3] ~= ''
local most = ARGV[7]
if is_new then
  if redis.call('EXISTS', KEYS[1]) == 0 then return { 'GONE' } end
  if redis.call('HEXISTS', KEYS[3], ARGV[3]) == 1 then return { 'NAME' } end
  if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[6]) then return { 'QUOTA' } end
elseif not facts then
  return { 'NONE' }
else
  most = string.match(facts, '^%S+ (%d+)')
end

local devices = #ARGV - 7
local lists, known = {}, {}
if devices > 0 then
  known = redis.call('ZMSCORE', KEYS[7], unpack(ARGV, 8))
  lists = redis.call('HMGET', KEYS[6], unpack(ARGV, 8))
end
local alive = { [group] = true } -- a group that is gone may have left members behind
local seen, members, memberships = {}, {}, {}
for i = 1, devices do
  local device = ARGV[7 + i]
  if not known[i] then return { 'DEVICE' } end
  if not seen[device] then
    local kept, is_member = {}, false
    seen[device] = true
    for other in string.gmatch(lists[i] or '', '%S+') do
      if alive[other] == nil then alive[other] = redis.call('HEXISTS', KEYS[2], other) == 1 end
      if alive[other] then kept[#kept + 1] = other end
      is_member = is_member or other == group
    end
    if not is_member then
      if #kept >= tonumber(ARGV[2]) then return { 'DEVICE' } end
      kept[#kept + 1] = group
      members[#members + 1] = 0
      members[#members + 1] = group .. ' ' .. device
      memberships[#memberships + 1] = device
      memberships[#memberships + 1] = table.concat(kept, ' ')
    end
  end
end
local count = redis.call('ZLEXCOUNT', KEYS[5], '[' .. group .. ' ', '(' .. group .. '!') + #members / 2
if most ~= '0' and #members > 0 and count > tonumber(most) then return { 'FULL' } end

if is_new then
  redis.call('HSET', KEYS[2], group, ARGV[3] .. ' ' .. most .. ' ' .. ARGV[5] .. ' ' .. ARGV[4])
  redis.call('HSET', KEYS[3], ARGV[3], group)
  -- Those made in one millisecond keep their order by thousandths of it.
  local last = redis.call('ZRANGE', KEYS[4], -1, -1, 'WITHSCORES')[2]
  local score = math.max(tonumber(ARGV[5]), last and last + 0.001 or 0)
  redis.call('ZADD', KEYS[4], string.format('%.3f', score), group)
end
if #members > 0 then
  redis.call('ZADD', KEYS[5], unpack(members))
  redis.call('HSET', KEYS[6], unpack(memberships))
end
return { 'OK', count }
