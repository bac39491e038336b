-- group_modify.lua: change a group's name, description and limit.
-- KEYS  1 groups   2 names   3 members                                       {a<app>}
-- ARGV  1 group id   2 name   3 most devices in it, or "" to keep it   4 description as JSON, or ""
-- -> { "OK", what is stored of it, devices in it } | { "NONE" } | { "NAME" } taken | { "FULL" } it has
--    more devices than that
-- Safe to repeat: stores the same again.
local group = ARGV[1]
local facts = redis.call('HGET', KEYS[1], group)
if not facts then return { 'NONE' } end
local name, most, created, description = string.match(facts, '^(%S+) (%d+) (%d+) (.*)$')
local holder = redis.call('HGET', KEYS[2], ARGV[2])
if holder and holder ~= group then return { 'NAME' } end
local count = redis.call('ZLEXCOUNT', KEYS[3], '[' .. group .. ' ', '(' .. group .. '!')
if ARGV[3] ~= '' then
  most = ARGV[3]
  if most ~= '0' and tonumber(most) < count then return { 'FULL' } end
end
if ARGV[4] ~= '' then description = ARGV[4] end
facts = table.concat({ ARGV[2], most, created, description }, ' ')
redis.call('HSET', KEYS[1], group, facts)
if name ~= ARGV[2] then
  redis.call('HDEL', KEYS[2], name)
  redis.call('HSET', KEYS[2], ARGV[2], group)
end
return { 'OK', facts, count }
