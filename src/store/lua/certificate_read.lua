-- certificate_read.lua: an entry, if it is another one than the reader knows.
-- KEYS  1 certificates                                                       {a<app>}
-- ARGV  1 host:port   2 version that is known
-- -> { "NONE" } | { "SAME" } | { "ENTRY", entry }
-- Safe to repeat: only reads. An entry's first line is its version.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then return { 'NONE' } end
if string.match(entry, '^[^\n]*') == ARGV[2] then return { 'SAME' } end
return { 'ENTRY', entry }
