-- node_tell.lua: put a word into a node's mailbox.
-- KEYS  1 mailbox                                                            {g}
-- ARGV  1 the word   2 most entries; the oldest go   3 life (ms): nobody may be there to read it
-- -> 1
-- Safe to repeat: hearing a word twice does no harm.
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[2]), -1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
