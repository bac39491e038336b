-- unsubscribe.lua: delete subscriptions.
-- KEYS  1 subscriptions   2 index                                            {a<app>}
-- ARGV  id, index key, ...
-- -> how many there were
-- Safe to repeat: the second run finds none.
local gone = 0
for i = 1, #ARGV, 2 do
  gone = gone + redis.call('HDEL', KEYS[1], ARGV[i])
  if redis.call('HGET', KEYS[2], ARGV[i + 1]) == ARGV[i] then
    redis.call('HDEL', KEYS[2], ARGV[i + 1])
  end
end
return gone
