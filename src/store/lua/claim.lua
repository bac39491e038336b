-- claim.lua: claim a verify code for a device.
-- KEYS  1 verify code                                                        vc:{..}
-- ARGV  1 device id   2 now (ms)   3 claim found dead by the caller, which may be replaced, or ""
-- -> "" when it is this device's now, else the claim in the way: "<device id>:<since ms>"
-- Safe to repeat: the own claim is found.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[3] then
  if string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ':' then return '' end
  return held
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2])
return ''
