-- report.lua: store what a device reports and queue its event; the device's right to do so is
-- checked in the same step, so that no cache can be behind.
-- KEYS  1 device   2 shadow   3 event stream   4 history
--       5 desired values                                                   {p<N>}
-- ARGV  1 token digest, "@" and its session, or "" when the gateway spoke
--       2 the gateway's id, or ""   3 now (ms)
--       4 most shadow fields   5 event kind   6 device id   7 payload, or "": there is no event
--       8 most entries of the history, 0 = none   9 most bytes of it
--       10 their age (ms), unless the device has one of its own
--       11 reference of the model that this was checked against, "*" = needs none
--       12.. shadow field value ...
-- -> the application's id, as a string; { PENDING, the gateway's id } when it is stored and desired values
--    may wait for the device; or a status: DENIED | ASLEEP (not online yet: device_seen.lua first, nothing
--    stored) | FULL; or { MODEL, the application's id, manufacturerId, model, deviceType, protocolType }
--    when the record names another model, nothing stored
-- Not repeated by the caller: a device that got no answer sends again by itself.
local denied = redis.status_reply('DENIED')
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway', 'status', 'mute', 'token', 'tokenEnd',
                     'oldToken', 'oldTokenEnd', 'activated', 'dataAging', 'historyAged',
                     'manufacturerId', 'model', 'deviceType', 'protocolType', 'desired',
                     'session')
if not d[1] or d[4] == 'TRUE' then return denied end
if string.sub(ARGV[1], 1, 1) == '@' then
  if '@' .. (d[17] or '') ~= ARGV[1] then return denied end
elseif ARGV[1] ~= '' then
  local now = tonumber(ARGV[3])
  local is_current = d[5] == ARGV[1] and now < tonumber(d[6])
  local is_previous = d[7] == ARGV[1] and now < tonumber(d[8])
  if not is_current and not is_previous then return denied end
elseif d[2] ~= ARGV[2] then
  return denied
end
if d[3] ~= 'ONLINE' or d[9] ~= '1' then return redis.status_reply('ASLEEP') end
if ARGV[11] ~= '*' then
  local maker, model, kind, protocol = d[12] or '', d[13] or '', d[14] or '', d[15] or ''
  local reference = ''
  if maker ~= '' and model ~= '' then
    reference = maker .. '\31' .. model .. '\31' .. kind .. '\31' .. protocol
  end
  if reference ~= ARGV[11] then
    return { redis.status_reply('MODEL'), d[1], maker, model, kind, protocol }
  end
end

local most = tonumber(ARGV[4])
local fields = (#ARGV - 11) / 2
local have = fields > 0 and redis.call('HLEN', KEYS[2]) or 0
if have + fields > most then
  for i = 12, #ARGV, 2 do
    have = have + 1 - redis.call('HEXISTS', KEYS[2], ARGV[i])
  end
  if have > most then return redis.status_reply('FULL') end
end
for i = 12, #ARGV, 2000 do
  redis.call('HSET', KEYS[2], unpack(ARGV, i, math.min(i + 1999, #ARGV)))
end
redis.call('HSET', KEYS[1], 'seen', ARGV[3])

-- Where all was as wanted (shadow_due.lua has seen that), is it still?
local waits = d[16] == '1'
for i = 12, d[16] == '0' and #ARGV or 0, 2 do
  local wanted = redis.call('HGET', KEYS[5], 'd' .. string.sub(ARGV[i], 2))
  waits = waits or wanted and string.match(wanted, '^%S+ %S+ (.*)$') ~= ARGV[i + 1]
end
local answer = waits and { redis.status_reply('PENDING'), d[2] } or d[1]
if ARGV[7] == '' then return answer end

if ARGV[8] ~= '0' then
  local day, now = 86400000, tonumber(ARGV[3])
  local days = tonumber(d[10] or '')
  local age = days and days * day or tonumber(ARGV[10])
  if age > 0 then
    local entries = math.min(tonumber(ARGV[8]), math.ceil(tonumber(ARGV[9]) / #ARGV[7]))
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', entries, '*', 'e', ARGV[7])
    -- By age only once a day, since most reports have nothing to do here: so the key lives a day longer.
    local aged = string.format('%d/%.0f', math.floor(now / day), age)
    if d[11] ~= aged then
      redis.call('XTRIM', KEYS[4], 'MINID', '~', string.format('%.0f', math.max(now - age, 0)))
      redis.call('PEXPIRE', KEYS[4], string.format('%.0f', age + day))
      redis.call('HSET', KEYS[1], 'historyAged', aged)
    end
  end
end
redis.call('XADD', KEYS[3], '*', 'e', table.concat(
  { '1', ARGV[5], d[1], ARGV[6], d[2], ARGV[3], ARGV[7] }, ' '))
return answer
