#!lua flags=allow-oom
-- watch_read.lua: what came to a watch behind an event; the watch lives on.
-- KEYS  1 watch   2 table of watches   3 lease of the partition               {p<N>}
-- ARGV  1 "<watch id> <device id>"   2 id of the last event that was read: it and those before it go
--       3 life (ms)   4 most events
-- -> { how many it has ever had, how many it has, the owner's fence or "", id, event, lost, ... };
--    lost: how many before it could not be copied; or the status GONE
-- Safe to repeat: only what was read goes.
if redis.call('EXISTS', KEYS[1]) == 0 then return redis.status_reply('GONE') end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
local ms, sequence = string.match(ARGV[2], '^(%d+)%-(%d+)$')
local from = ms .. '-' .. string.format('%.0f', tonumber(sequence) + 1)
redis.call('XTRIM', KEYS[1], 'MINID', from)
local info, had = redis.call('XINFO', 'STREAM', KEYS[1]), 0
for i = 1, #info, 2 do
  if info[i] == 'entries-added' then had = info[i + 1] end
end
local answer = { had, redis.call('XLEN', KEYS[1]), redis.call('GET', KEYS[3]) or '' }
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[4])) do
  local fields = entry[2] -- e, event, and lost, their number
  answer[#answer + 1] = entry[1]
  answer[#answer + 1] = fields[2]
  answer[#answer + 1] = fields[4] or '0'
end
return answer
