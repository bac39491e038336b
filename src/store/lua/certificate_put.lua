-- certificate_put.lua: store an application's certificate entry, or replace it.
-- KEYS  1 application   2 certificates                                       {a<app>}
-- ARGV  1 host:port   2 entry   3 most entries
-- -> OK | GONE (no such application) | FULL
-- Safe to repeat: stores the same entry again.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'GONE' end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 and
   redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then return 'FULL' end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 'OK'
