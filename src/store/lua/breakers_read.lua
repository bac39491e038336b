-- breakers_read.lua: which callback URLs or hosts of an application are invalid.
-- KEYS  1 breakers                                                           {a<app>}
-- -> {name (push/scope.h), ms since when, ms until the next probe, failures, reason, ...}
-- Safe to repeat.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local answer = {}
for i = 1, #all, 2 do
  local since, next_probe, fails, reason = string.match(all[i + 1], '^(%d+) (%d+) (%d+) (.*)$')
  if since then
    for _, value in ipairs({ all[i], string.format('%.0f', now - tonumber(since)),
                             string.format('%.0f', tonumber(next_probe) - now), fails, reason }) do
      answer[#answer + 1] = value
    end
  end
end
return answer
