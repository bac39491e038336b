-- child_add.lua: note a device behind its gateway, before the device is created.
-- KEYS  1 gateway's record   2 its children                                  {p<N>}
-- ARGV  1 application   2 child's device id   3 most children
-- -> "OK" | "GONE" (no such gateway of this application, or it is behind a gateway itself) | "FULL"
-- Safe to repeat: a set keeps one of each.
local gateway = redis.call('HMGET', KEYS[1], 'app', 'gateway', 'deviceId')
if gateway[1] ~= ARGV[1] or gateway[2] ~= gateway[3] then return 'GONE' end
if redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 0
   and redis.call('SCARD', KEYS[2]) >= tonumber(ARGV[3]) then
  return 'FULL'
end
redis.call('SADD', KEYS[2], ARGV[2])
return 'OK'
