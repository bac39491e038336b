-- device_presence.lua: a presence timer came due: has the device been silent for too long?
-- KEYS  1 device   2 event stream   3 timers   4 marks of the index   5 lease  {p<N>}
-- ARGV  1 device id   2 now (ms)   3 silence (ms) that makes it ABNORMAL, 0 = none
--       4 silence (ms) that makes it OFFLINE, 0 = none   5 fence
-- -> the new status, or "" when nothing changed, or the lease is lost
-- Safe to repeat: the time of the last report decides, not the number of runs.
if (redis.call('GET', KEYS[5]) or '') ~= ARGV[5] then return '' end
local timer = 'presence:' .. ARGV[1]
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway', 'status', 'seen', 'nodeId', 'session')
-- whose connection is open does not have to say anything
if not d[1] or d[3] == 'OFFLINE' or d[3] == 'INACTIVE' or d[6] then
  redis.call('ZREM', KEYS[3], timer)
  return ''
end
local now, seen = tonumber(ARGV[2]), tonumber(d[4] or 0)
local abnormal, offline = tonumber(ARGV[3]), tonumber(ARGV[4])
local status, due = d[3], nil
if offline > 0 and now >= seen + offline then
  status = 'OFFLINE'
elseif abnormal > 0 and now >= seen + abnormal then
  status = 'ABNORMAL'
  if offline > 0 then due = seen + offline end
elseif abnormal > 0 then
  due = seen + abnormal
elseif offline > 0 then
  due = seen + offline
end
if due then
  redis.call('ZADD', KEYS[3], string.format('%.0f', due), timer)
else
  redis.call('ZREM', KEYS[3], timer)
end
if status == d[3] then return '' end
redis.call('HSET', KEYS[1], 'status', status, 'statusDetail', 'TIME_OUT')
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('SADD', KEYS[4], d[1] .. ':' .. ARGV[1])
redis.call('XADD', KEYS[2], '*', 'e', table.concat(
  { '1', 'device.status', d[1], ARGV[1], d[2], ARGV[2],
    '{"info":{"status":"' .. status .. '","statusDetail":"TIME_OUT"},"nodeId":'
    .. cjson.encode(d[5]) .. '}' }, ' '))
return status
