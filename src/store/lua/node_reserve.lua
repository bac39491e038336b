-- node_reserve.lua: reserve a node id of an application for a device, before the device is created.
-- KEYS  1 application   2 node index   3 device index   4 members of groups
--       5 groups of devices                                                  {a<app>}
-- ARGV  1 node id   2 device id   3 now (ms)   4 most devices, 0 = no limit
--       5 value of a reservation found dead by the caller, which may be replaced, or ""
-- -> { "OK" } | { "GONE" } no such application | { "FULL" } | { "TAKEN", "<device id>:<since ms>" }
-- Safe to repeat: the own reservation is found and answered OK.
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'GONE' } end
local held = redis.call('HGET', KEYS[2], ARGV[1])
if held then
  if string.sub(held, 1, #ARGV[2] + 1) == ARGV[2] .. ':' then return { 'OK' } end
  if held ~= ARGV[5] then return { 'TAKEN', held } end
  local dead = string.match(held, '^(.*):')
  redis.call('ZREM', KEYS[3], dead)
  for group in string.gmatch(redis.call('HGET', KEYS[5], dead) or '', '%S+') do
    redis.call('ZREM', KEYS[4], group .. ' ' .. dead)
  end
  redis.call('HDEL', KEYS[5], dead)
end
local is_new = not redis.call('ZSCORE', KEYS[3], ARGV[2])
local most = tonumber(ARGV[4])
if is_new and most > 0 and redis.call('ZCARD', KEYS[3]) >= most then return { 'FULL' } end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ':' .. ARGV[3])
if is_new then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[2]) end
return { 'OK' }
