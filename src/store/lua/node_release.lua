-- node_release.lua: give a node id back that is held by this device.
-- KEYS  1 node index                                                         {a<app>}
-- ARGV  1 node id   2 device id
-- -> 1
-- Safe to repeat: what is gone stays gone, and another device's reservation is left alone.
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and string.sub(held, 1, #ARGV[2] + 1) == ARGV[2] .. ':' then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 1
