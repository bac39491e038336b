-- watch_open.lua: watch a device's events. The partition's owner hears of it by an event of its own; what
-- is stored behind that one is copied to the watch.
-- KEYS  1 device   2 event stream   3 watch   4 table of watches              {p<N>}
-- ARGV  1 device id   2 watch id   3 now (ms)   4 life (ms)   5 most watches of the partition
-- -> the event's id; or a status: GONE (no such device) | FULL
-- Safe to repeat: the watch begins anew then, with what is stored from now on.
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway')
if not d[1] then return redis.status_reply('GONE') end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local member = ARGV[2] .. ' ' .. ARGV[1]
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', string.format('%.0f', now))
if not redis.call('ZSCORE', KEYS[4], member) and
   redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[5]) then
  return redis.status_reply('FULL')
end
local id = redis.call('XADD', KEYS[2], '*', 'e', table.concat(
  { '1', 'watch.started', d[1], ARGV[1], d[2], ARGV[3], '{"watch":"' .. ARGV[2] .. '"}' }, ' '))
redis.call('DEL', KEYS[3])
redis.call('XADD', KEYS[3], id, 'e', '') -- so nothing older than it is taken
redis.call('PEXPIRE', KEYS[3], ARGV[4])
redis.call('ZADD', KEYS[4], string.format('%.0f', now + tonumber(ARGV[4])), member)
return id
