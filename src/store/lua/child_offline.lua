-- child_offline.lua: a gateway says that a device behind it is gone.
-- KEYS  1 device   2 event stream   3 marks of the index                     {p<N>}
-- ARGV  1 device id   2 its gateway   3 now (ms)
-- -> "OK" | "SAME" (it is not ONLINE, or has a connection of its own) | "GONE" (no such device behind
--    this gateway)
-- Safe to repeat: the second run finds it OFFLINE and queues nothing.
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway', 'status', 'nodeId', 'session')
if not d[1] or d[2] ~= ARGV[2] then return 'GONE' end
if d[3] ~= 'ONLINE' and d[3] ~= 'ABNORMAL' or d[5] then return 'SAME' end
redis.call('HSET', KEYS[1], 'status', 'OFFLINE', 'statusDetail', 'NONE')
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('SADD', KEYS[3], d[1] .. ':' .. ARGV[1])
redis.call('XADD', KEYS[2], '*', 'e', table.concat(
  { '1', 'device.status', d[1], ARGV[1], d[2], ARGV[3],
    '{"info":{"status":"OFFLINE","statusDetail":"NONE"},"nodeId":' .. cjson.encode(d[4]) .. '}' }, ' '))
return 'OK'
