-- shadow_set.lua: write desired values; none of them is sent yet.
-- KEYS  1 device   2 desired values   3 their history                        {p<N>}
-- ARGV  1 application   2 now (ms)   3 most desired properties of the device   4 most bytes of them
--       5 most entries of the history   6 most bytes of it   7 their age (ms)   8 the new entry
--       9.. "d/<service>/<property>" value ...   value: JSON, or "" to remove it
-- -> { "OK", gateway } | { "GONE" } | { "FULL" }: nothing is written
-- Safe to repeat: sets the same values again; the history then tells of both.
local device = redis.call('HMGET', KEYS[1], 'app', 'gateway')
if device[1] ~= ARGV[1] then return { 'GONE' } end

local values, left = {}, redis.call('HGETALL', KEYS[2])
for i = 1, #left, 2 do
  if string.sub(left[i], 1, 2) == 'd/' then values[left[i]] = left[i + 1] end
end
for i = 9, #ARGV, 2 do
  values[ARGV[i]] = ARGV[i + 1] ~= '' and '0 - ' .. ARGV[i + 1] or nil
end
local count, bytes, used = 0, 0, {}
for name, value in pairs(values) do
  count, bytes = count + 1, bytes + #name + #value
  used[string.match(name, '^d/([^/]*)/')] = true
end
if count > tonumber(ARGV[3]) or bytes > tonumber(ARGV[4]) then return { 'FULL' } end

local touched = {}
for i = 9, #ARGV, 2 do
  local value = values[ARGV[i]]
  if value then
    redis.call('HSET', KEYS[2], ARGV[i], value)
  else
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
  touched[string.match(ARGV[i], '^d/([^/]*)/')] = true
end
for service in pairs(touched) do
  local field = 't/' .. service
  if used[service] then
    local version = string.match(redis.call('HGET', KEYS[2], field) or '', ' (%d+)$') or 0
    redis.call('HSET', KEYS[2], field, string.format('%s %.0f', ARGV[2], version + 1))
  else
    redis.call('HDEL', KEYS[2], field)
  end
end
if count > 0 then
  redis.call('HSET', KEYS[1], 'desired', '1')
else
  redis.call('HDEL', KEYS[1], 'desired')
end
if ARGV[5] ~= '0' then
  local entries = math.min(tonumber(ARGV[5]), math.ceil(tonumber(ARGV[6]) / #ARGV[8]))
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', entries, '*', 'e', ARGV[8])
  redis.call('PEXPIRE', KEYS[3], ARGV[7])
end
return { 'OK', device[2] }
