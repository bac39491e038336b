-- subscribe.lua: create a subscription, or replace the callback of the one that is there.
-- KEYS  1 application   2 subscriptions   3 index                            {a<app>}
-- ARGV  1 index key   2 new subscription id   3 its JSON, with the id as @ID@ and the order as @ORDER@
--       4 callback URL   5 what to do when the key is taken: replace | conflict   6 most subscriptions
-- -> { "OK", id } | { "GONE" } | { "CONFLICT" } | { "FULL" }
-- Safe to repeat with replace; with conflict a repeat after a lost answer says CONFLICT, as the
-- protocol says of every repeat.
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'GONE' } end
local id = redis.call('HGET', KEYS[3], ARGV[1])
local old = id and redis.call('HGET', KEYS[2], id)
local order
if old then
  if ARGV[5] == 'conflict' then return { 'CONFLICT' } end
  order = string.match(old, '"order":(%d+)')
else
  if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[6]) then return { 'FULL' } end
  id = ARGV[2]
  redis.call('HSET', KEYS[3], ARGV[1], id)
  order = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'subscribed', 1))
end
local json = string.gsub(ARGV[3], '@ID@', id, 1)
json = string.gsub(json, '@ORDER@', order, 1)
redis.call('HSET', KEYS[2], id, json)
return { 'OK', id }
