-- device_delete.lua: delete a device with all that its partition holds of it, and queue the event.
-- KEYS  1 device   2 shadow   3 children   4 event stream   5 timers   6 marks of the index
--       7 lease   8.. what else is the device's alone                      {p<N>}
-- ARGV  1 application   2 device id   3 now (ms)
--       4 "deleted" | "expired": only when it was not activated and its time is over
--       5 fence of who runs the timers, with "expired"
-- -> { "OK", node id, verify code, gateway, session } | { "GONE" } | { "ALIVE" }, also when the lease is
--    lost
-- Safe to repeat: the second run answers GONE.
local d = redis.call('HMGET', KEYS[1], 'app', 'nodeId', 'verifyCode', 'gateway', 'activated',
                     'expires', 'session')
if not d[1] or d[1] ~= ARGV[1] then return { 'GONE' } end
if ARGV[4] == 'expired' then
  if (redis.call('GET', KEYS[7]) or '') ~= ARGV[5] then return { 'ALIVE' } end
  if d[5] == '1' or not d[6] or d[6] == '' then
    redis.call('ZREM', KEYS[5], 'registration:' .. ARGV[2])
    return { 'ALIVE' }
  elseif tonumber(d[6]) > tonumber(ARGV[3]) then -- prolonged meanwhile
    redis.call('ZADD', KEYS[5], d[6], 'registration:' .. ARGV[2])
    return { 'ALIVE' }
  end
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], unpack(KEYS, 8))
redis.call('SADD', KEYS[6], d[1] .. ':' .. ARGV[2])
redis.call('ZREM', KEYS[5], 'registration:' .. ARGV[2], 'presence:' .. ARGV[2],
           'desired:' .. ARGV[2])
local kind, payload = 'device.deleted', '{}'
if ARGV[4] == 'expired' then kind, payload = 'device.bound', '{"result":"expired"}' end
redis.call('XADD', KEYS[4], '*', 'e', table.concat(
  { '1', kind, d[1], ARGV[2], d[4], ARGV[3], payload }, ' '))
return { 'OK', d[2], d[3] or '', d[4], d[7] or '' }
