-- service_info.lua: set what an application wants of a service of a device, and queue the event.
-- KEYS  1 device   2 shadow   3 event stream                                 {p<N>}
-- ARGV  1 application   2 device id   3 now (ms)   4 field of the shadow   5 its value
--       6 payload of the event   7 most fields in the shadow
-- -> "OK" | "GONE" | "FULL"
-- Safe to repeat: the second run finds nothing changed and queues nothing.
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway')
if d[1] ~= ARGV[1] then return 'GONE' end
local old = redis.call('HGET', KEYS[2], ARGV[4])
if old == ARGV[5] then return 'OK' end
if not old and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[7]) then return 'FULL' end
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
redis.call('HSET', KEYS[1], 'modified', ARGV[3])
redis.call('XADD', KEYS[3], '*', 'e', table.concat(
  { '1', 'service.info', d[1], ARGV[2], d[2], ARGV[3], ARGV[6] }, ' '))
return 'OK'
