-- subscribe.lua: create a subscription, or replace the callback of the one that is there.
-- KEYS  1 application   2 subscriptions   3 index                            {a<app>}
-- ARGV  1 index key   2 new subscription id   3 its JSON, with the id as @ID@ and the time as @TIME@
--       4 callback URL   5 what to do when the key is taken: replace | conflict   6 most subscriptions
--       7 now (ms)
-- -> { "OK", id } | { "GONE" } | { "CONFLICT" } | { "FULL" }
-- Safe to repeat with replace; with conflict a repeat after a lost answer says CONFLICT, as the
-- protocol says of every repeat.
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'GONE' } end
local id, created = redis.call('HGET', KEYS[3], ARGV[1]), ARGV[7]
local old = id and redis.call('HGET', KEYS[2], id)
if old then
  if ARGV[5] == 'conflict' then return { 'CONFLICT' } end
  created = string.match(old, '"created":(%d+)') or created
else
  if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[6]) then return { 'FULL' } end
  id = ARGV[2]
  redis.call('HSET', KEYS[3], ARGV[1], id)
end
local json = string.gsub(ARGV[3], '@ID@', id, 1)
json = string.gsub(json, '@TIME@', created, 1)
redis.call('HSET', KEYS[2], id, json)
return { 'OK', id }
