-- token_revoke.lua: end an application's access token together with its refresh token.
-- KEYS  1 application                                                        {a<app>}
-- ARGV  1 access token digest   2 now (ms)
-- -> 1 when it was the current one and alive, else 0
-- Safe to repeat: the second run answers 0 and changes nothing.
local app = redis.call('HMGET', KEYS[1], 'token', 'tokenEnd')
if app[1] ~= ARGV[1] or tonumber(app[2] or 0) <= tonumber(ARGV[2]) then return 0 end
redis.call('HDEL', KEYS[1], 'token', 'tokenEnd', 'refresh', 'refreshEnd')
return 1
