-- token_issue.lua: give an application its tokens; every earlier one ends.
-- KEYS  1 application                                                        {a<app>}
-- ARGV  1 secret digest that was checked   2 access token digest   3 its end (ms)
--       4 refresh token digest   5 its end (ms)   6 refresh digest that is being used up, or ""
-- -> "OK" | "GONE" (no such application, or its secret was changed) | "FROZEN" | "STALE" (another
--    refresh was faster)
-- Safe to repeat: a second run sets the same values again, or finds the used refresh token gone.
local app = redis.call('HMGET', KEYS[1], 'secret', 'state', 'refresh')
if not app[1] or app[1] ~= ARGV[1] then return 'GONE' end
if app[2] == 'frozen' then return 'FROZEN' end
if ARGV[6] ~= '' and app[3] ~= ARGV[6] then return 'STALE' end
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'tokenEnd', ARGV[3], 'refresh', ARGV[4],
           'refreshEnd', ARGV[5])
return 'OK'
