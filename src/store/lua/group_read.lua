-- group_read.lua: a group, with a page of its members.
-- KEYS  1 groups   2 members                                                 {a<app>}
-- ARGV  1 group id   2 members before the page   3 members on it, 0 = none
-- -> { "OK", what is stored of it, devices in it, "<group id> <device id>" ... } | { "NONE" }
-- Safe to repeat: only reads. A page costs its members and the logarithm of all.
local group = ARGV[1]
local facts = redis.call('HGET', KEYS[1], group)
if not facts then return { 'NONE' } end
local answer = { 'OK', facts,
                 redis.call('ZLEXCOUNT', KEYS[2], '[' .. group .. ' ', '(' .. group .. '!') }
local first, last = tonumber(ARGV[2]), tonumber(ARGV[2]) + tonumber(ARGV[3])
if last > answer[3] then last = answer[3] end
if first < last then
  local before = redis.call('ZLEXCOUNT', KEYS[2], '-', '(' .. group .. ' ')
  for _, member in ipairs(redis.call('ZRANGE', KEYS[2], before + first, before + last - 1)) do
    answer[#answer + 1] = member
  end
end
return answer
