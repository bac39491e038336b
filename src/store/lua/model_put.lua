-- model_put.lua: store a product model, or replace the one of the same manufacturer and model; its
-- event is left to be appended to a stream.
-- KEYS  1 application   2 models   3 model keys   4 model data   5 packages   6 model events  {a<app>}
-- ARGV  1 application's id   2 reference: manufacturer and model   3 product id, if it is a new one
--       4 facts   5 content   6 package   7 "replace" | ""   8 most models   9 new revision
--       10 now (ms)   11 payload of the event   12 time (ms) after which others take the event
-- -> { "ADDED" | "UPDATED", product id, event } | { "EXISTS", product id } | { "FULL" } | { "GONE" }
-- Safe to repeat: the second run answers EXISTS, or replaces the model by itself with one more event.
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'GONE' } end
local id = redis.call('HGET', KEYS[3], ARGV[2])
if id and ARGV[7] ~= 'replace' then return { 'EXISTS', id } end
if not id and redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[8]) then return { 'FULL' } end
local outcome, kind, created = 'UPDATED', 'model.updated', nil
if id then
  created = string.match(redis.call('HGET', KEYS[2], id) or '', '^%d+')
else
  id, outcome, kind = ARGV[3], 'ADDED', 'model.added'
end
redis.call('HSET', KEYS[2], id, (created or ARGV[10]) .. ' ' .. ARGV[10] .. ' ' .. ARGV[4],
           'revision', ARGV[9])
redis.call('HSET', KEYS[3], ARGV[2], id)
redis.call('HSET', KEYS[4], id, ARGV[5])
redis.call('HSET', KEYS[5], id, ARGV[6])
local event = table.concat({ ARGV[9], '1', kind, ARGV[1], id, id, ARGV[10], ARGV[11] }, ' ')
local time = redis.call('TIME')
redis.call('ZADD', KEYS[6], string.format('%.0f', tonumber(time[1]) * 1000 + tonumber(ARGV[12])),
           event)
return { outcome, id, event }
