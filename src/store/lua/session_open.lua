-- session_open.lua: a device has connected: this session is its only one from now on, and it is ONLINE.
-- KEYS  1 device   2 event stream   3 timers   4 devices on this node   5 nodes
--       6 marks of the index                                              {p<N>}
-- ARGV  1 device id   2 secret that was checked   3 session   4 now (ms)   5 node
--       6.. names of the members of DeviceInfo
-- -> { "OK", the session before it, or "" } | { "DENIED" } (gone, or its secret was changed meanwhile)
--    | { "MUTED" }
-- Safe to repeat: the second run finds the same session and the device online, and queues nothing.
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway', 'status', 'activated', 'mute', 'nodeId',
                     'secret', 'session')
if not d[1] or d[7] ~= ARGV[2] then return { 'DENIED' } end
if d[5] == 'TRUE' then return { 'MUTED' } end
redis.call('HSET', KEYS[1], 'session', ARGV[3], 'seen', ARGV[4])
redis.call('SADD', KEYS[4], ARGV[1])
redis.call('SADD', KEYS[5], ARGV[5])
redis.call('ZREM', KEYS[3], 'presence:' .. ARGV[1], 'registration:' .. ARGV[1])
local before = d[8] or ''
if d[3] == 'ONLINE' and d[4] == '1' then return { 'OK', before } end

redis.call('HSET', KEYS[1], 'status', 'ONLINE', 'statusDetail', 'NONE', 'activated', '1')
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('SADD', KEYS[6], d[1] .. ':' .. ARGV[1])

local function event(kind, payload)
  redis.call('XADD', KEYS[2], '*', 'e', table.concat(
    { '1', kind, d[1], ARGV[1], d[2], ARGV[4], payload }, ' '))
end

if d[4] ~= '1' then
  local members = {}
  for i = 6, #ARGV do
    local value = redis.call('HGET', KEYS[1], ARGV[i])
    if value then members[#members + 1] = '"' .. ARGV[i] .. '":' .. cjson.encode(value) end
  end
  event('device.bound', '{"result":"succeeded","info":{' .. table.concat(members, ',') .. '}}')
end
if d[3] ~= 'ONLINE' then
  event('device.status', '{"info":{"status":"ONLINE","statusDetail":"NONE"},"nodeId":'
        .. cjson.encode(d[6]) .. '}')
end
return { 'OK', before }
