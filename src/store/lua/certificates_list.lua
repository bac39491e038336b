-- certificates_list.lua: an application's certificate entries without the certificates.
-- KEYS  1 certificates                                                       {a<app>}
-- -> { host:port, first two lines of its entry, ... }
-- Safe to repeat: only reads; the number of entries is bounded.
local all = redis.call('HGETALL', KEYS[1])
for i = 2, #all, 2 do
  all[i] = string.match(all[i], '^[^\n]*\n[^\n]*') or ''
end
return all
