-- model_catalogue.lua: what is known of an application's models, if it is another than the reader
-- knows; and events of changes that nobody has appended for too long: the reader does it now.
-- KEYS  1 models   2 model events                                            {a<app>}
-- ARGV  1 revision that is known, or ""   2 time (ms) after which an event is taken over
-- -> { "SAME" | "READ", revision, { events to append }, product id, facts, ... }
-- Safe to repeat: an event that was given out once is given out again when it is still there later.
local late = {}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, event in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now),
                                  'LIMIT', 0, 10)) do
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[2])), event)
  late[#late + 1] = event
end
local revision = redis.call('HGET', KEYS[1], 'revision') or 'none'
if revision == ARGV[1] then return { 'SAME', revision, late } end
local answer = { 'READ', revision, late }
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] ~= 'revision' then
    answer[#answer + 1] = all[i]
    answer[#answer + 1] = all[i + 1]
  end
end
return answer
