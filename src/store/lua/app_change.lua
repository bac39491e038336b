-- app_change.lua: change fields of an application that exists.
-- KEYS  1 application                                                        {a<app>}
-- ARGV  1 "1": its tokens end too   2.. field value ...
-- -> 1, or 0 when there is no such application
-- Safe to repeat: sets the same values again.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
if ARGV[1] == '1' then
  redis.call('HDEL', KEYS[1], 'token', 'tokenEnd', 'refresh', 'refreshEnd')
end
return 1
