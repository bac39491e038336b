-- unclaim.lua: give a verify code back that is held by this device.
-- KEYS  1 verify code                                                        vc:{..}
-- ARGV  1 device id
-- -> 1
-- Safe to repeat: another device's claim is left alone.
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ':' then redis.call('DEL', KEYS[1]) end
return 1
