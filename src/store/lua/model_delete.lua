-- model_delete.lua: delete a product model; its event is left to be appended to a stream.
-- KEYS  1 models   2 model keys   3 model data   4 packages   5 model events {a<app>}
-- ARGV  1 application's id   2 reference: manufacturer and model   3 product id   4 new revision
--       5 now (ms)   6 payload of the event   7 time (ms) after which others take the event
-- -> { "OK", event } | { "NONE" }
-- Safe to repeat: the second run answers NONE.
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then return { 'NONE' } end
redis.call('HDEL', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[1], 'revision', ARGV[4])
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[3])
redis.call('HDEL', KEYS[4], ARGV[3])
local event = table.concat({ ARGV[4], '1', 'model.deleted', ARGV[1], ARGV[3], ARGV[3], ARGV[5],
                             ARGV[6] }, ' ')
local time = redis.call('TIME')
redis.call('ZADD', KEYS[5], string.format('%.0f', tonumber(time[1]) * 1000 + tonumber(ARGV[7])),
           event)
return { 'OK', event }
