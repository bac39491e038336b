-- device_credential.lua: new credentials for a device; it has to bind again, its tokens end.
-- KEYS  1 device   2 timers                                                  {p<N>}
-- ARGV  1 application   2 device id   3 "1": refused while the device is online
--       4 time (ms) at which the registration ends when not activated, or ""   5.. name value ...
-- -> "OK" | "GONE" | "ONLINE"
-- Safe to repeat: sets the same values again.
local d = redis.call('HMGET', KEYS[1], 'app', 'status', 'activated')
if d[1] ~= ARGV[1] then return 'GONE' end
if ARGV[3] == '1' and d[2] == 'ONLINE' then return 'ONLINE' end
for i = 5, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[1], 'activated', '0')
redis.call('HDEL', KEYS[1], 'token', 'tokenEnd', 'oldToken', 'oldTokenEnd')
redis.call('ZREM', KEYS[2], 'registration:' .. ARGV[2])
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[2], ARGV[4], 'registration:' .. ARGV[2]) end
return 'OK'
