-- session_close.lua: a device's connection has ended: it is OFFLINE, if this was still its session.
-- KEYS  1 device   2 event stream   3 devices on this node   4 marks of the index   {p<N>}
-- ARGV  1 device id   2 session, or "" for whichever it has on the node   3 now (ms)   4 node
-- -> 1 when the device went OFFLINE, else 0
-- Safe to repeat: the second run finds another session, or none.
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway', 'status', 'nodeId', 'session')
local session = d[5] or ''
local is_on_node = string.sub(session, 1, #ARGV[4] + 1) == ARGV[4] .. ':'
if ARGV[2] == '' and not is_on_node or ARGV[2] ~= '' and session ~= ARGV[2] then
  if not is_on_node then redis.call('SREM', KEYS[3], ARGV[1]) end
  return 0
end
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[1], 'session')
if d[3] ~= 'ONLINE' and d[3] ~= 'ABNORMAL' then return 0 end
redis.call('HSET', KEYS[1], 'status', 'OFFLINE', 'statusDetail', 'NONE')
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('SADD', KEYS[4], d[1] .. ':' .. ARGV[1])
redis.call('XADD', KEYS[2], '*', 'e', table.concat(
  { '1', 'device.status', d[1], ARGV[1], d[2], ARGV[3],
    '{"info":{"status":"OFFLINE","statusDetail":"NONE"},"nodeId":' .. cjson.encode(d[4]) .. '}' }, ' '))
return 1
