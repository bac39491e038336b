-- group_list.lua: a page of an application's groups, oldest first.
-- KEYS  1 groups   2 names   3 groups by time   4 members                    {a<app>}
-- ARGV  1 name, or "": all   2 groups before the page   3 groups on it, at most 500
-- -> { groups in all, then of each on the page: id, what is stored of it, devices in it }
-- Safe to repeat: only reads.
local ids, total
if ARGV[1] == '' then
  total = redis.call('ZCARD', KEYS[3])
  local first = tonumber(ARGV[2])
  ids = first < total
        and redis.call('ZRANGE', KEYS[3], first, first + tonumber(ARGV[3]) - 1) or {}
else
  local id = redis.call('HGET', KEYS[2], ARGV[1])
  total = id and 1 or 0
  ids = id and ARGV[2] == '0' and { id } or {}
end
local answer = { total }
if #ids > 0 then
  local facts = redis.call('HMGET', KEYS[1], unpack(ids))
  for i, id in ipairs(ids) do
    answer[#answer + 1] = id
    answer[#answer + 1] = facts[i]
    answer[#answer + 1] = redis.call('ZLEXCOUNT', KEYS[4], '[' .. id .. ' ', '(' .. id .. '!')
  end
end
return answer
