#!lua flags=allow-oom
-- lease_claim.lua: claim a partition that is free, or was this instance's in an earlier life.
-- KEYS  1 lease   2 epoch   3 table of parked targets   4 table of watches   {p<N>}
-- ARGV  1 instance id   2 life of the lease (ms)
-- -> {"<instance>:<epoch>", {field, value ...}, {watch ...}}: the fence of the new owner, and the tables;
--    {"", ms} when somebody else holds it, and for how long yet
-- Safe to repeat: a second run gives a newer epoch, and the caller goes by the last one it saw.
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^(.*):%d+$') ~= ARGV[1] then
  return { '', redis.call('PTTL', KEYS[1]) }
end
local fence = ARGV[1] .. ':' .. string.format('%.0f', redis.call('INCR', KEYS[2]))
redis.call('SET', KEYS[1], fence, 'PX', ARGV[2])
return { fence, redis.call('HGETALL', KEYS[3]), redis.call('ZRANGE', KEYS[4], 0, -1) }
