#!lua flags=allow-oom
-- pause_url.lua: hold deliveries to a callback URL back, or let them go on.
-- KEYS  1 facts of the deployment                                            {g}
-- ARGV  1 field   2 "1" or "0"   3 most fields
-- -> 1, or 0 when too many are paused already
-- Safe to repeat.
if ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 1
end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and
   redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], '1')
return 1
