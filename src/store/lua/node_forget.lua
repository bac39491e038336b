-- node_forget.lua: forget a node of which no device is left in the partition.
-- KEYS  1 nodes   2 devices on the node                                      {p<N>}
-- ARGV  1 node
-- -> 1 when it is forgotten, 0 when it has devices
-- Safe to repeat: what is gone stays gone.
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('SREM', KEYS[1], ARGV[1])
return 1
