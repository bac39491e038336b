-- node_reserve.lua: reserve a node id of an application for a device, before the device is created;
-- a new device gets the next ordinal.
-- KEYS  1 application   2 node index   3 device index   4 ordinals   5 blocks   {a<app>}
-- ARGV  1 node id   2 device id   3 now (ms)   4 most devices, 0 = no limit
--       5 value of a reservation found dead by the caller, which may be replaced, or ""
--       6 ordinals per block
-- -> { "OK", time of the reservation (ms) } | { "GONE" } no such application | { "FULL" }
--    | { "TAKEN", "<device id>:<since ms>" }
-- Times never go back within an application: they grow as the ordinals do.
-- Safe to repeat: the own reservation is found and answered OK.
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'GONE' } end
local held = redis.call('HGET', KEYS[2], ARGV[1])
local dead = 0
if held then
  if string.sub(held, 1, #ARGV[2] + 1) == ARGV[2] .. ':' then
    return { 'OK', string.sub(held, #ARGV[2] + 2) }
  end
  if held ~= ARGV[5] then return { 'TAKEN', held } end
  dead = redis.call('ZSCORE', KEYS[3], string.match(held, '^(.*):')) and 1 or 0
end
local is_new = not redis.call('ZSCORE', KEYS[3], ARGV[2])
local most = tonumber(ARGV[4])
if is_new and most > 0 and redis.call('ZCARD', KEYS[3]) - dead >= most then return { 'FULL' } end
local time = ARGV[3]
if is_new then
  local last = redis.call('HGET', KEYS[4], 'time')
  if last and tonumber(last) > tonumber(time) then time = last end
  local ordinal = redis.call('HINCRBY', KEYS[4], 'next', 1) - 1
  redis.call('HSET', KEYS[4], 'time', time)
  redis.call('ZADD', KEYS[3], string.format('%.0f', ordinal), ARGV[2])
  redis.call('SADD', KEYS[5], string.format('%.0f', math.floor(ordinal / tonumber(ARGV[6]))))
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ':' .. time)
return { 'OK', time }
