-- device_token.lua: give a device a new token; the previous one works a little longer.
-- KEYS  1 device                                                             {p<N>}
-- ARGV  1 secret that was checked   2 now (ms)   3 token digest   4 its end (ms)
--       5 latest end (ms) of the previous token
-- -> "OK" | "DENIED" (gone, muted, or its secret was changed meanwhile)
-- Safe to repeat: a second run with the same digest changes nothing.
local d = redis.call('HMGET', KEYS[1], 'secret', 'mute', 'token', 'tokenEnd')
if not d[1] or d[1] ~= ARGV[1] or d[2] == 'TRUE' then return 'DENIED' end
if d[3] == ARGV[3] then return 'OK' end
if d[3] then
  local ends = tonumber(d[4])
  if tonumber(ARGV[5]) < ends then ends = tonumber(ARGV[5]) end
  redis.call('HSET', KEYS[1], 'oldToken', d[3], 'oldTokenEnd', string.format('%.0f', ends))
end
redis.call('HSET', KEYS[1], 'token', ARGV[3], 'tokenEnd', ARGV[4])
return 'OK'
