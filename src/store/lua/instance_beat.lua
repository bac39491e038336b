#!lua flags=allow-oom
-- instance_beat.lua: an instance says that it lives, and learns who else does.
-- KEYS  1 instances                                                          {g}
-- ARGV  1 instance id   2 silence (ms) after which an instance is dead
-- -> { ms after which the most silent of the others is dead, {ids of the live instances} }
-- Safe to repeat: the clock is Redis', and a second beat only says the same again.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - tonumber(ARGV[2])))
local alive = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local ids, next_death = {}, tonumber(ARGV[2])
for i = 1, #alive, 2 do
  ids[#ids + 1] = alive[i]
  if alive[i] ~= ARGV[1] then
    next_death = math.min(next_death, tonumber(alive[i + 1]) + tonumber(ARGV[2]) - now)
  end
end
return { next_death + 1, ids }
