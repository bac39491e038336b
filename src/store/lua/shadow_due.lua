-- shadow_due.lua: which desired values are to be sent to the device now? They are taken as sent in the
-- same step, so that they are sent once in the protection window, whoever asks.
-- KEYS  1 device   2 reported values   3 desired values   4 timers
--       5 event stream   6 table of watches                                  {p<N>}
-- ARGV  1 device id   2 now (ms)   3 protection window (ms)
--       4 id of the deliveries, unique; or "": a look only, nothing is taken as sent
-- -> { application, gateway, { delivery id, service, property, JSON value, ... }, ... }, a list for each
--    service; { } when nothing is due. What is taken as sent is an event, while somebody watches
-- Safe to repeat: the second run finds it sent; what was lost in between is due again after the window.
local timer = 'desired:' .. ARGV[1]
local record = redis.call('HMGET', KEYS[1], 'app', 'gateway', 'status', 'mute', 'desired')
if not record[1] or record[4] == 'TRUE' or not record[5] then
  redis.call('ZREM', KEYS[4], timer)
  return {}
end

-- Values are equal whatever their spelling: 75 and 75.0, or members in another order. Integers are
-- compared as texts, since a double does not hold them all.
local function equal(a, b)
  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end
  for key, value in pairs(a) do
    if not equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function same(a, b)
  if not b or a == b then return b and true or false end
  if string.find(a, '^-?%d+$') and string.find(b, '^-?%d+$') then
    return tonumber(a) == 0 and tonumber(b) == 0 -- 0 and -0
  end
  local kind_a, kind_b = string.match(a, '^[{["]'), string.match(b, '^[{["]')
  if kind_a ~= kind_b then return false end
  local is_json_a, value_a = pcall(cjson.decode, '[' .. a .. ']')
  local is_json_b, value_b = pcall(cjson.decode, '[' .. b .. ']')
  return is_json_a and is_json_b and equal(value_a, value_b)
end

local names, desired, reported, answered = {}, {}, {}, {}
local all = redis.call('HGETALL', KEYS[3])
for i = 1, #all, 2 do
  local name = string.match(all[i], '^d(/.*)$')
  if name then
    local sent, id, value = string.match(all[i + 1], '^(%d+) (%S+) (.*)$')
    names[#names + 1] = name
    desired[name] = { sent = tonumber(sent), id = id, value = value }
  elseif string.sub(all[i], 1, 2) == 'a/' then
    answered[string.sub(all[i], 3)] = all[i + 1]
  end
end
table.sort(names) -- so a service's properties follow each other
for i, name in ipairs(names) do reported[i] = 'r' .. name end
if #names > 0 then reported = redis.call('HMGET', KEYS[2], unpack(reported)) end

local now, window = tonumber(ARGV[2]), tonumber(ARGV[3])
local answer, last, is_pending, look_at = {}, nil, false, math.huge
for i, name in ipairs(names) do
  local value = desired[name]
  if same(value.value, reported[i]) then
    if value.sent > 0 then redis.call('HSET', KEYS[3], 'd' .. name, '0 - ' .. value.value) end
  else
    local service, property = string.match(name, '^/([^/]*)/(.*)$')
    local is_answered = value.id == answered[service] -- then only the device can give an occasion
    is_pending = true
    if value.sent > 0 and now - value.sent < window then
      if not is_answered then look_at = math.min(look_at, value.sent + window) end
    elseif not is_answered or ARGV[4] ~= '' then
      look_at = math.min(look_at, now + window)
      if #answer == 0 then answer = { record[1], record[2] } end
      if service ~= last then
        answer[#answer + 1] = { ARGV[4] .. '-' .. (#answer - 1), service }
        last = service
      end
      local list = answer[#answer]
      list[#list + 1] = property
      list[#list + 1] = value.value
      if ARGV[4] ~= '' then
        redis.call('HSET', KEYS[3], 'd' .. name, ARGV[2] .. ' ' .. list[1] .. ' ' .. value.value)
      end
    end
  end
end
if ARGV[4] ~= '' and #answer > 0 and redis.call('EXISTS', KEYS[6]) == 1 then
  for i = 3, #answer do
    local list, properties = answer[i], {}
    for n = 3, #list, 2 do
      properties[#properties + 1] = cjson.encode(list[n]) .. ':' .. list[n + 1]
    end
    redis.call('XADD', KEYS[5], '*', 'e', table.concat(
      { '1', 'desired.sent', record[1], ARGV[1], record[2], ARGV[2], '{"service":' ..
        cjson.encode(list[2]) .. ',"properties":{' .. table.concat(properties, ',') .. '}}' }, ' '))
  end
end
local pending = is_pending and '1' or '0'
if record[5] ~= pending then redis.call('HSET', KEYS[1], 'desired', pending) end
if look_at < math.huge and record[3] == 'ONLINE' then
  redis.call('ZADD', KEYS[4], string.format('%.0f', look_at), timer)
else
  redis.call('ZREM', KEYS[4], timer) -- it asks itself when it comes online
end
return answer
