-- device_create.lua: store a new device and queue the events of its creation.
-- KEYS  1 device   2 event stream   3 timers   4 marks of the index           {p<N>}
-- ARGV  1 device id   2 time (ms) at which the registration ends when not activated, or ""
--       3 its mark   4 number of events   5.. the events   then  field value ...
-- -> 1
-- Safe to repeat: a device that is there already is left alone, and its events are not queued twice.
if redis.call('EXISTS', KEYS[1]) == 1 then return 1 end
local events = tonumber(ARGV[4])
redis.call('HSET', KEYS[1], unpack(ARGV, 5 + events))
if ARGV[2] ~= '' then redis.call('ZADD', KEYS[3], ARGV[2], 'registration:' .. ARGV[1]) end
redis.call('SADD', KEYS[4], ARGV[3])
for i = 5, 4 + events do
  redis.call('XADD', KEYS[2], '*', 'e', ARGV[i])
end
return 1
