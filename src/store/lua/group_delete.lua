#!lua flags=allow-oom
-- group_delete.lua: delete a group. Its members are taken away by group_sweep.lua, some at a time;
-- until then nobody takes them for members, since their group does not exist.
-- KEYS  1 groups   2 names   3 groups by time   4 groups that are gone       {a<app>}
-- ARGV  1 group id
-- -> "OK" | "NONE"
-- Safe to repeat: the second run answers NONE.
local facts = redis.call('HGET', KEYS[1], ARGV[1])
if not facts then return 'NONE' end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], string.match(facts, '^%S+'))
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('SADD', KEYS[4], ARGV[1])
return 'OK'
