-- node_release.lua: give a node id back that is held by this device.
-- KEYS  1 node index   2 device index   3 members of groups   4 groups of devices   {a<app>}
-- ARGV  1 node id   2 device id   3 "1": the device itself is gone too, and leaves its groups
-- -> 1
-- Safe to repeat: what is gone stays gone, and another device's reservation is left alone.
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and string.sub(held, 1, #ARGV[2] + 1) == ARGV[2] .. ':' then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
if ARGV[3] == '1' then
  redis.call('ZREM', KEYS[2], ARGV[2])
  for group in string.gmatch(redis.call('HGET', KEYS[4], ARGV[2]) or '', '%S+') do
    redis.call('ZREM', KEYS[3], group .. ' ' .. ARGV[2])
  end
  redis.call('HDEL', KEYS[4], ARGV[2])
end
return 1
