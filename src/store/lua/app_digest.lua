-- app_digest.lua: has anything changed that the push engine knows of an application?
-- KEYS  1 application   2 subscriptions   3 breakers                         {a<app>}
-- ARGV  names of the application's fields that count
-- -> a digest of these fields, the subscriptions and the breakers
-- Safe to repeat.
local words = redis.call('HMGET', KEYS[1], unpack(ARGV))
for i = 1, #ARGV do words[i] = words[i] or '' end
for n = 2, 3 do
  local all = redis.call('HGETALL', KEYS[n])
  words[#words + 1] = #all
  for _, word in ipairs(all) do words[#words + 1] = word end
end
return redis.sha1hex(table.concat(words, '\0'))
