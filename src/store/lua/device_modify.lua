-- device_modify.lua: change members of a device; what DeviceInfo shows of it is an event.
-- KEYS  1 device   2 event stream   3 marks of the index                      {p<N>}
-- ARGV  1 application   2 device id   3 now (ms)   4.. name value shown ...   shown: "1" when the
--       name is a member of DeviceInfo
-- -> "OK" | "GONE"
-- Safe to repeat: the second run finds nothing changed and queues nothing.
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway')
if d[1] ~= ARGV[1] then return 'GONE' end
local changed, is_changed = {}, false
for i = 4, #ARGV, 3 do
  local name, value = ARGV[i], ARGV[i + 1]
  if redis.call('HGET', KEYS[1], name) ~= value then
    redis.call('HSET', KEYS[1], name, value)
    is_changed = true
    if ARGV[i + 2] == '1' then
      changed[#changed + 1] = '"' .. name .. '":' .. cjson.encode(value)
    end
  end
end
redis.call('HSET', KEYS[1], 'modified', ARGV[3])
if is_changed then
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  redis.call('SADD', KEYS[3], d[1] .. ':' .. ARGV[2])
end
if #changed > 0 then
  local node = redis.call('HGET', KEYS[1], 'nodeId')
  redis.call('XADD', KEYS[2], '*', 'e', table.concat(
    { '1', 'device.updated', d[1], ARGV[2], d[2], ARGV[3],
      '{"info":{' .. table.concat(changed, ',') .. '},"nodeId":' .. cjson.encode(node) .. '}' }, ' '))
end
return 'OK'
