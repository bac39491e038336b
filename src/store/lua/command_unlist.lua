-- command_unlist.lua: take commands that are not there out of their application's list.
-- KEYS  1 the list                                                           {a<app>}
-- ARGV  1 those made since then stay (ms): their making may be under way   2.. members
-- -> how many went
-- Safe to repeat: what is out stays out.
local count = 0
for i = 2, #ARGV do
  local made = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]))
  if made and made < tonumber(ARGV[1]) then
    count = count + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return count
