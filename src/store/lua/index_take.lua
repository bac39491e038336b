#!lua flags=allow-oom
-- index_take.lua: which devices' index entries are behind their records?
-- KEYS  1 lease   2 marks   3 marks being worked at                          {p<N>}
-- ARGV  1 fence   2 most
-- -> { "OK", "<application>:<device>" ... }, the same ones again until index_done.lua;
--    { "LOST" } when the partition belongs to somebody else
-- Safe to repeat. What is marked meanwhile waits for the next round, so no mark of a change that came
-- after the reading of the record is taken away with the one before it.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return { 'LOST' } end
if redis.call('EXISTS', KEYS[3]) == 0 then
  if redis.call('EXISTS', KEYS[2]) == 0 then return { 'OK' } end
  redis.call('RENAME', KEYS[2], KEYS[3])
end
return { 'OK', unpack(redis.call('SRANDMEMBER', KEYS[3], ARGV[2])) }
