-- app_signing_key.lua: give an application a new signing key, or take its keys away.
-- KEYS  1 application                                                        {a<app>}
-- ARGV  1 new key, "" to take them away   2 now in ms   3 until when the present key signs too
-- -> { 1, end of the previous key's time in ms or "0" }, or { 0 } when there is no such application
-- Safe to repeat: a key that is there already is not put into the place of the previous one.
if redis.call('EXISTS', KEYS[1]) == 0 then return { 0 } end
local current = redis.call('HGET', KEYS[1], 'signKey')
if ARGV[1] == '' then
  redis.call('HDEL', KEYS[1], 'signKey', 'signKeyOld', 'signKeyOldEnd')
  return { 1, '0' }
end
if current == ARGV[1] then
  return { 1, redis.call('HGET', KEYS[1], 'signKeyOldEnd') or '0' }
end
redis.call('HSET', KEYS[1], 'signKey', ARGV[1])
if current and tonumber(ARGV[3]) > tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'signKeyOld', current, 'signKeyOldEnd', ARGV[3])
  return { 1, ARGV[3] }
end
redis.call('HDEL', KEYS[1], 'signKeyOld', 'signKeyOldEnd')
return { 1, '0' }
