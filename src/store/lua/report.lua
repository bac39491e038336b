-- report.lua: store what a device reports and queue its event; the device's right to do so is
-- checked in the same step, so that no cache can be behind.
-- KEYS  1 device   2 shadow   3 event stream   4 history
--       5 desired values                                                   {p<N>}
-- ARGV  1 token digest, "@" and its session, or "" when the gateway spoke
--       2 the gateway's id, or ""   3 now (ms)
--       4 most shadow fields   5 event kind   6 device id   7 payload, or "": there is no event
--       8 most entries of the history, 0 = none   9 how far (ms) `seen` may be behind
--       10 age (ms) of the history, unless the device has one of its own
--       11 reference of the model that this was checked against, "*" = needs none
--       12.. shadow field value ...
-- -> the application's id, as a string; when it is stored and something waits for the device: { PENDING,
--    the gateway's id, "1": desired values may wait, or "", who connects for it: commands may wait, or "" };
--    or a status: DENIED | ASLEEP (not online yet: device_seen.lua first, nothing stored) | FULL; or
--    { MODEL, the application's id, manufacturerId, model, deviceType, protocolType } when the record
--    names another model, nothing stored
-- Not repeated by the caller: a device that got no answer sends again by itself.
-- This is the path that every report takes. A redis.call costs about a tenth of it, so what needs not be
-- read or written by each report is not.
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway', 'status', 'mute', 'token', 'tokenEnd',
                     'oldToken', 'oldTokenEnd', 'activated', 'dataAging', 'historyAged',
                     'manufacturerId', 'model', 'deviceType', 'protocolType', 'desired',
                     'session', 'seen', 'orders')
local proof, now = ARGV[1], tonumber(ARGV[3])
local may_report
if string.sub(proof, 1, 1) == '@' then
  may_report = '@' .. (d[17] or '') == proof
elseif proof ~= '' then
  may_report = d[5] == proof and now < tonumber(d[6]) or d[7] == proof and now < tonumber(d[8])
else
  may_report = d[2] == ARGV[2]
end
if not d[1] or not may_report or d[4] == 'TRUE' then return redis.status_reply('DENIED') end
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
if math.abs(now - (d[18] or 0)) >= tonumber(ARGV[9]) then
  redis.call('HSET', KEYS[1], 'seen', ARGV[3])
end

-- Where all was as wanted (shadow_due.lua has seen that), is it still?
local waits = d[16] == '1'
for i = 12, d[16] == '0' and #ARGV or 0, 2 do
  local wanted = redis.call('HGET', KEYS[5], 'd' .. string.sub(ARGV[i], 2))
  waits = waits or wanted and string.match(wanted, '^%S+ %S+ (.*)$') ~= ARGV[i + 1]
end
local holder = ''
if d[19] and (d[17] or '') ~= '' then
  holder = ARGV[6]
elseif d[19] and d[2] ~= ARGV[6] then -- else it has no connection: there is nobody to ask
  holder = d[2]
end
local answer = d[1]
if waits or holder ~= '' then
  answer = { redis.status_reply('PENDING'), d[2], waits and '1' or '', holder }
end
if ARGV[7] == '' then return answer end

local days = d[10] ~= '' and d[10]
local age = days or ARGV[10]
if ARGV[8] ~= '0' and age ~= '0' then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', 'e', ARGV[7])
  -- By age only once a day, since most reports have nothing to do here: so the key lives a day longer.
  local day = 86400000
  local aged = math.floor(now / day) .. '/' .. age
  if d[11] ~= aged then
    age = age * (days and day or 1)
    redis.call('XTRIM', KEYS[4], 'MINID', '~', string.format('%.0f', math.max(now - age, 0)))
    redis.call('PEXPIRE', KEYS[4], string.format('%.0f', age + day))
    redis.call('HSET', KEYS[1], 'historyAged', aged)
  end
end
redis.call('XADD', KEYS[3], '*', 'e', '1 ' .. ARGV[5] .. ' ' .. d[1] .. ' ' .. ARGV[6] .. ' ' .. d[2]
           .. ' ' .. ARGV[3] .. ' ' .. ARGV[7])
return answer
