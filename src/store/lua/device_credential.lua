-- device_credential.lua: new credentials for a device; it has to bind again, its tokens end.
-- KEYS  1 device   2 timers   3 event stream                                 {p<N>}
-- ARGV  1 application   2 device id   3 "1": refused while the device is online
--       4 time (ms) at which the registration ends when not activated, or ""   5 now (ms)
--       6.. name value ...
-- -> "OK" | "GONE" | "ONLINE"
-- Safe to repeat: sets the same values again; the node id has not changed then, so no event.
local d = redis.call('HMGET', KEYS[1], 'app', 'status', 'activated', 'gateway', 'nodeId')
if d[1] ~= ARGV[1] then return 'GONE' end
if ARGV[3] == '1' and d[2] == 'ONLINE' then return 'ONLINE' end
for i = 6, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[1], 'activated', '0', 'modified', ARGV[5])
redis.call('HDEL', KEYS[1], 'token', 'tokenEnd', 'oldToken', 'oldTokenEnd')
redis.call('ZREM', KEYS[2], 'registration:' .. ARGV[2])
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[2], ARGV[4], 'registration:' .. ARGV[2]) end
local node = redis.call('HGET', KEYS[1], 'nodeId')
if node ~= d[5] then
  node = cjson.encode(node)
  redis.call('XADD', KEYS[3], '*', 'e', table.concat(
    { '1', 'device.updated', d[1], ARGV[2], d[4], ARGV[5],
      '{"info":{"nodeId":' .. node .. '},"nodeId":' .. node .. '}' }, ' '))
end
return 'OK'
