-- shadow_answer.lua: a device has answered a delivery of desired values, or it could not be sent.
-- KEYS  1 device   2 desired values   3 event stream                         {p<N>}
-- ARGV  1 device id   2 now (ms)   3 delivery id   4 "1": the values are to be sent again
--       5 payload of the event, or ""   6.. "d/<service>/<property>" ... of the delivery
-- -> 1, or 0 when the device is gone
-- Safe to repeat: the service's last answer is known, and tells nothing again. Values that were written or
-- sent anew meanwhile are left alone.
local record = redis.call('HMGET', KEYS[1], 'app', 'gateway')
if not record[1] then return 0 end
for i = 6, ARGV[4] == '1' and #ARGV or 0 do
  local id, value = string.match(redis.call('HGET', KEYS[2], ARGV[i]) or '', '^%d+ (%S+) (.*)$')
  if id == ARGV[3] then
    redis.call('HSET', KEYS[2], ARGV[i], '0 ' .. (ARGV[5] == '' and '-' or id) .. ' ' .. value)
  end
end
if ARGV[5] == '' then return 1 end
local answered = 'a/' .. string.match(ARGV[6], '^d/([^/]*)/')
if redis.call('HGET', KEYS[2], answered) == ARGV[3] then return 1 end
redis.call('HSET', KEYS[2], answered, ARGV[3])
redis.call('XADD', KEYS[3], '*', 'e', table.concat(
  { '1', 'desired.status', record[1], ARGV[1], record[2], ARGV[2], ARGV[5] }, ' '))
return 1
