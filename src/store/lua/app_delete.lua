-- app_delete.lua: delete an application that has no devices, with its subscriptions.
-- KEYS  1 application   2 device index   3 node index   4 subscriptions   5 subscription index
--       6 breakers   7 certificates   8.. those of its groups, product models, index and commands
--                                                                            {a<app>}
-- -> 1, 0 when there is no such application, -1 while it has devices
-- Safe to repeat: the second run answers 0.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('ZCARD', KEYS[2]) > 0 then return -1 end
redis.call('UNLINK', unpack(KEYS))
return 1
