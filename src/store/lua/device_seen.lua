-- device_seen.lua: a device was there: its first access activates it, and it is ONLINE.
-- KEYS  1 device   2 event stream   3 timers   4 marks of the index           {p<N>}
-- ARGV  1 device id   2 now (ms)   3 time (ms) at which its presence is looked at, or ""
--       4.. names of the members of DeviceInfo
-- -> "OK" | "GONE" | "MUTED"
-- Safe to repeat: the second run finds the device online and queues nothing.
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway', 'status', 'activated', 'mute',
                     'nodeId')
if not d[1] then return 'GONE' end
if d[5] == 'TRUE' then return 'MUTED' end
redis.call('HSET', KEYS[1], 'seen', ARGV[2])
if d[3] == 'ONLINE' and d[4] == '1' then return 'OK' end
redis.call('HSET', KEYS[1], 'status', 'ONLINE', 'statusDetail', 'NONE', 'activated', '1')
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('SADD', KEYS[4], d[1] .. ':' .. ARGV[1])
redis.call('ZREM', KEYS[3], 'registration:' .. ARGV[1])
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[3], ARGV[3], 'presence:' .. ARGV[1]) end

local function event(kind, payload)
  redis.call('XADD', KEYS[2], '*', 'e', table.concat(
    { '1', kind, d[1], ARGV[1], d[2], ARGV[2], payload }, ' '))
end

if d[4] ~= '1' then
  local members = {}
  for i = 4, #ARGV do
    local value = redis.call('HGET', KEYS[1], ARGV[i])
    if value then members[#members + 1] = '"' .. ARGV[i] .. '":' .. cjson.encode(value) end
  end
  event('device.bound', '{"result":"succeeded","info":{' .. table.concat(members, ',') .. '}}')
end
if d[3] ~= 'ONLINE' then
  event('device.status', '{"info":{"status":"ONLINE","statusDetail":"NONE"},"nodeId":'
        .. cjson.encode(d[6]) .. '}')
end
return 'OK'
