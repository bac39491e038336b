-- command.lua: all that happens to a device's commands: each step changes what is kept of them, and
-- queues the event that tells of it.
-- KEYS  1 device   2 commands   3 order of creation   4 queue   5 deadlines
--       6 devices by command   7 event stream   8 timers   9 lease           {p<N>}
-- ARGV  1 step   2 device id   3 now (ms)   4.. what the step needs:
--   create     4 id   5 application   6 flags   7 end of its cache time   8 most retransmissions
--              9 what is ordered (JSON)   10 beginning of its events   11 most that may be pending
--              12 most that are kept   13 how long (ms)   14 the gateway's session, or ""
--              15 how long it may wait to be taken (ms)   16 to be acknowledged (ms)
--              -> { "OK", status, ids that were forgotten ... } | { "GONE" | "FULL" | "OFFLINE" }
--   take       4 session   5 how long to be acknowledged (ms)   6 first pause of retransmissions, or 0
--              7 who has it: the device, or its gateway   8 name of this question, unique: asked once more,
--              it gets the same command again
--              -> { id, mid, flags, times, what is ordered } | {}: none, or not now | { "GONE" }
--   delivered  4 id   5 how long the answer may take (ms)     -> { "OK" | "LATE" | "NONE" }
--   answered   4 id, or "" and   5 mid   6 SUCCESSFUL | FAILED   7 the answer (JSON) or ""
--              8 more for its event   9 who says so: the device, or its gateway
--              -> the same
--   failed     4 id: it could not be sent                     -> the same
--   cancel     4 id   5 application                           -> the same
--   cancel_all 4 application    -> { "OK", ids of those that were pending ... } | { "GONE" }
--   due        4 how long to be acknowledged (ms)   5 first pause of retransmissions, or 0
--              6 most that are kept   7 how long (ms)   8 how long one may wait to be taken (ms)
--              9 fence of who runs the timers, or ""   10 "1": cached ones that are not acknowledged are
--              sent again until the end of their cache time
--              -> { "OK", "1": some wait to be taken, who connects for it, statuses of those that ended ... } |
--              { "GONE" }, also when the lease is lost
-- -> a list, as said of each step
-- Safe to repeat: a command is made once, each step starts from the status that it ends, and what
-- is taken is given to the same question again, and to no other.
--
-- A state is one line: status, times of creation, sending, delivery and answer, how often it was
-- sent, flags, end of the cache time, most retransmissions, mid. Flags: i immediate, r it has a
-- response, k kept until its end only (sendCommand), s its creation was answered SENT,
-- z immediate for a device that sleeps.
local CACHED = 1e15 -- of the queue's scores: immediate ones go first
local names = { 'status', 'created', 'issued', 'delivered', 'executed', 'times', 'flags', 'expires',
                'retransmit', 'mid' }
local device, now = ARGV[2], tonumber(ARGV[3])
local timer = 'command:' .. device
local d = redis.call('HMGET', KEYS[1], 'app', 'gateway', 'session', 'mute', 'orders')

local function whole(n) return string.format('%.0f', n) end
local function is(c, flag) return string.find(c.flags, flag, 1, true) ~= nil end

local function load(id)
  local line = redis.call('HGET', KEYS[2], id .. '/s')
  if not line then return nil end
  local c, i = { id = id }, 0
  for word in string.gmatch(line, '%S+') do
    i = i + 1
    c[names[i]] = word
  end
  return c
end

local function save(c)
  local words = {}
  for i, name in ipairs(names) do words[i] = c[name] end
  redis.call('HSET', KEYS[2], c.id .. '/s', table.concat(words, ' '))
end

local function forget(c)
  redis.call('HDEL', KEYS[2], c.id, c.id .. '/s', c.id .. '/e', c.id .. '/r', '@m' .. c.mid)
  redis.call('ZREM', KEYS[3], c.id)
  redis.call('ZREM', KEYS[4], c.id)
  redis.call('ZREM', KEYS[5], c.id)
  redis.call('HDEL', KEYS[6], c.id)
end

local function tell(c, more)
  local begin = redis.call('HGET', KEYS[2], c.id .. '/e')
  redis.call('XADD', KEYS[7], '*', 'e', table.concat(
    { '1', 'command.status', d[1], device, d[2], ARGV[3],
      '{' .. begin .. ',"status":"' .. c.status .. '"' .. (more or '') .. '}' }, ' '))
end

local function deadline(c, at) redis.call('ZADD', KEYS[5], whole(at), c.id) end

-- The next cached one may go.
local function leave_flight(c)
  local flight = redis.call('HGET', KEYS[2], '@flight')
  if flight and string.match(flight, '^%S+') == c.id then redis.call('HDEL', KEYS[2], '@flight') end
end

local function finish(c, status, detail, more)
  c.status = status
  if detail and detail ~= '' then
    redis.call('HSET', KEYS[2], c.id .. '/r', detail)
    more = ',"detail":' .. detail .. (more or '')
  end
  tell(c, more)
  leave_flight(c)
  if is(c, 'k') then return forget(c) end
  redis.call('ZREM', KEYS[4], c.id)
  redis.call('ZREM', KEYS[5], c.id)
  redis.call('HDEL', KEYS[2], '@m' .. c.mid)
  c.mid = '0'
  save(c)
end

local function not_sent(c) finish(c, 'FAILED', '{"reason":"send command failed"}') end

-- The record says that there may be some, so that reports are an occasion for them (report.lua).
local function queue(c, score)
  redis.call('ZADD', KEYS[4], whole(score), c.id)
  if not d[5] then redis.call('HSET', KEYS[1], 'orders', '1') end
end

-- One timer for all: the first deadline, or the end of the oldest one's keeping, if it is over.
local function rearm(keep_ms)
  local first = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')[2]
  local oldest = keep_ms and redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES') or {}
  local at = tonumber(first)
  if oldest[2] and not redis.call('ZSCORE', KEYS[5], oldest[1])
     and (not at or oldest[2] + keep_ms < at) then
    at = oldest[2] + keep_ms
  end
  if at and not keep_ms then -- what was planned for the keeping stays
    local planned = tonumber(redis.call('ZSCORE', KEYS[8], timer))
    if planned and planned < at then at = planned end
  end
  if at then redis.call('ZADD', KEYS[8], whole(at), timer)
  elseif keep_ms then redis.call('ZREM', KEYS[8], timer) end
end

-- Forgets the oldest of those that are over.
local function trim(most, keep_ms, forgotten)
  local count = redis.call('ZCARD', KEYS[3])
  local oldest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  if count <= most and (not oldest[2] or oldest[2] + keep_ms > now) then return end
  oldest = redis.call('ZRANGE', KEYS[3], 0, 99, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    if count <= most and oldest[i + 1] + keep_ms > now then return end
    if not redis.call('ZSCORE', KEYS[5], oldest[i]) then
      local c = load(oldest[i])
      if c then forget(c) else redis.call('ZREM', KEYS[3], oldest[i]) end
      forgotten[#forgotten + 1] = oldest[i]
      count = count - 1
    end
  end
end

local function waits_for_acknowledgement(session)
  local flight = redis.call('HGET', KEYS[2], '@flight')
  return flight and string.match(flight, ' (.*)$') == session
end

local function cached_waiting() return redis.call('ZCOUNT', KEYS[4], CACHED, '+inf') end

local steps = {}

function steps.create()
  local c = load(ARGV[4])
  if c then return { 'OK', c.status } end
  if d[1] ~= ARGV[5] then return { 'GONE' } end
  local session = d[3] and d[3] ~= '' and d[3] or ARGV[14]
  c = { id = ARGV[4], created = ARGV[3], issued = '0', delivered = '0', executed = '0', times = '0',
        flags = ARGV[6], expires = ARGV[7], retransmit = ARGV[8], mid = '0' }
  local score = math.max(now, (redis.call('HGET', KEYS[2], '@order') or 0) + 1)
  local waiting = cached_waiting()
  local is_sleeping = session == '' and is(c, 'z')
  if is(c, 'i') then
    if session == '' and not is_sleeping then return { 'OFFLINE' } end
    c.status = 'SENT'
  else
    if waiting >= tonumber(ARGV[11]) then return { 'FULL' } end
    local is_next = session ~= '' and waiting == 0 and not waits_for_acknowledgement(session)
    c.status = is_next and 'SENT' or 'PENDING'
    score = score + CACHED
  end
  if c.status == 'SENT' then
    c.issued = ARGV[3]
    c.flags = c.flags .. 's'
    deadline(c, now + (is_sleeping and ARGV[16] or ARGV[15]))
  else
    deadline(c, tonumber(c.expires))
  end
  redis.call('HSET', KEYS[2], c.id, ARGV[9], c.id .. '/e', ARGV[10],
             '@order', whole(is(c, 'i') and score or score - CACHED))
  save(c)
  if not is_sleeping then queue(c, score) end
  local forgotten = { 'OK', c.status }
  redis.call('HSET', KEYS[6], c.id, device)
  if not is(c, 'k') then
    redis.call('ZADD', KEYS[3], whole(is(c, 'i') and score or score - CACHED), c.id)
  end
  trim(tonumber(ARGV[12]), tonumber(ARGV[13]), forgotten)
  rearm(tonumber(ARGV[13]))
  return forgotten
end

-- 16 bits for devices that know their commands by such a number; one that is open is not given out.
local function give_mid(c)
  if c.mid ~= '0' then return end
  local mid = tonumber(redis.call('HGET', KEYS[2], '@mid') or 0)
  for _ = 1, 100 do
    mid = mid % 65535 + 1
    if redis.call('HEXISTS', KEYS[2], '@m' .. mid) == 0 then break end
  end
  c.mid = whole(mid)
  redis.call('HSET', KEYS[2], '@mid', c.mid, '@m' .. c.mid, c.id)
end

-- When a command that was sent is looked at: to be sent again, or given up.
local function await(c, acknowledge_ms, retransmit_ms)
  local again = retransmit_ms > 0 and tonumber(c.times) <= tonumber(c.retransmit)
  deadline(c, now + (again and retransmit_ms * 2 ^ (c.times - 1) or acknowledge_ms))
end

local function taken(c) return { c.id, c.mid, c.flags, c.times, redis.call('HGET', KEYS[2], c.id) } end

local function send(c, session)
  c.times = whole(c.times + 1)
  give_mid(c)
  redis.call('ZREM', KEYS[4], c.id)
  redis.call('HSET', KEYS[2], '@taken', ARGV[8] .. ' ' .. c.id)
  if not is(c, 'i') then redis.call('HSET', KEYS[2], '@flight', c.id .. ' ' .. session) end
  await(c, tonumber(ARGV[5]), tonumber(ARGV[6]))
  if c.status == 'PENDING' then
    c.status, c.issued = 'SENT', ARGV[3]
    tell(c)
  end
  save(c)
  rearm()
  return taken(c)
end

-- The answer to this very question may have been lost on its way.
local function taken_before()
  local name, id = string.match(redis.call('HGET', KEYS[2], '@taken') or '', '^(%S+) (%S+)$')
  local c = name == ARGV[8] and load(id)
  return c and c.status == 'SENT' and taken(c)
end

function steps.take()
  local session = ARGV[4]
  if ARGV[7] == device and d[3] ~= session or ARGV[7] ~= device and ARGV[7] ~= d[2] then return {} end
  local before = taken_before()
  if before then return before end
  if d[4] == 'TRUE' then return {} end -- frozen; what it was sent may still be acknowledged
  for _ = 1, 100 do
    local head = redis.call('ZRANGE', KEYS[4], 0, 0)[1]
    if not head then
      if d[5] then redis.call('HDEL', KEYS[1], 'orders') end
      return {}
    end
    local c = load(head)
    if not c then
      redis.call('ZREM', KEYS[4], head)
    elseif is(c, 'i') then
      return send(c, session)
    elseif c.times == '0' and tonumber(c.expires) <= now then
      finish(c, 'EXPIRED')
    elseif c.times ~= '0' and tonumber(redis.call('ZSCORE', KEYS[5], c.id)) <= now then
      finish(c, 'TIMEOUT')
    elseif waits_for_acknowledgement(session) then
      return {}
    else
      return send(c, session)
    end
  end
  return {}
end

local function was_sent(c) return c.times ~= '0' or is(c, 'z') end

local function deliver(c, answer_ms)
  c.status, c.delivered = 'DELIVERED', ARGV[3]
  tell(c)
  leave_flight(c)
  redis.call('ZREM', KEYS[4], c.id)
  if is(c, 'r') then
    deadline(c, math.max(tonumber(c.expires), now + answer_ms))
  elseif is(c, 'k') then
    return forget(c)
  else
    redis.call('ZREM', KEYS[5], c.id)
  end
  save(c)
end

-- A Redis that was restarted, or replaced, may not know any more that it was taken: it must not go out again.
local function note_sent(c)
  if c.status == 'PENDING' then
    c.status, c.issued = 'SENT', ARGV[3]
    tell(c)
  end
  if not was_sent(c) then c.times = '1' end
end

function steps.delivered()
  local c = load(ARGV[4])
  if not c then return { 'NONE' } end
  if c.status ~= 'SENT' and c.status ~= 'PENDING' then return { 'LATE' } end
  note_sent(c)
  deliver(c, tonumber(ARGV[5]))
  rearm()
  return { 'OK' }
end

function steps.answered()
  local id = ARGV[4] ~= '' and ARGV[4] or redis.call('HGET', KEYS[2], '@m' .. ARGV[5])
  local c = id and load(id)
  if not c or ARGV[9] ~= device and ARGV[9] ~= d[2] then return { 'NONE' } end
  if c.status ~= 'SENT' and c.status ~= 'DELIVERED' and c.status ~= 'PENDING' then return { 'LATE' } end
  note_sent(c) -- who knows its id, or its number, was sent it
  if c.status == 'SENT' then
    c.status, c.delivered = 'DELIVERED', ARGV[3]
    tell(c)
  end
  c.executed = ARGV[3]
  finish(c, ARGV[6], ARGV[7], ARGV[8])
  rearm()
  return { 'OK' }
end

function steps.failed()
  local c = load(ARGV[4])
  if not c then return { 'NONE' } end
  if c.status ~= 'SENT' then return { 'LATE' } end
  not_sent(c)
  rearm()
  return { 'OK' }
end

function steps.cancel()
  local c = load(ARGV[4])
  if not c or d[1] ~= ARGV[5] or is(c, 'k') then return { 'NONE' } end
  if c.status ~= 'PENDING' then return { 'LATE' } end
  finish(c, 'CANCELED')
  rearm()
  return { 'OK' }
end

function steps.cancel_all()
  if d[1] ~= ARGV[4] then return { 'GONE' } end
  local answer = { 'OK' }
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], CACHED, '+inf')) do
    local c = load(id)
    if c and c.status == 'PENDING' then
      finish(c, 'CANCELED')
      answer[#answer + 1] = id
    end
  end
  rearm()
  return answer
end

-- Whoever is to take it may not have heard of it: he is told again, for as long as there may be somebody.
local function wait_again(c)
  local may_be_there = d[2] ~= device or d[3] and d[3] ~= ''
  local look_ms = may_be_there and now + tonumber(ARGV[4]) or math.huge
  deadline(c, math.min(tonumber(c.expires), look_ms))
end

-- It was sent, and may be sent once more: a number of times, or as long as its cache time lasts.
local function send_again(c, take_ms)
  local lasts = ARGV[10] == '1' and tonumber(c.expires) > now
  local is_left = tonumber(ARGV[5]) > 0 and tonumber(c.times) <= tonumber(c.retransmit)
  if not was_sent(c) or not lasts and not is_left then return false end
  leave_flight(c)
  queue(c, tonumber(c.created) + (is(c, 'i') and 0 or CACHED))
  deadline(c, lasts and tonumber(c.expires) or now + take_ms)
  return true
end

-- Its deadline is over.
local function look_at(c, take_ms)
  local is_queued = redis.call('ZSCORE', KEYS[4], c.id)
  if c.status == 'PENDING' then
    if tonumber(c.expires) > now then wait_again(c) else finish(c, 'EXPIRED') end
  elseif c.status ~= 'SENT' or (is_queued and c.times ~= '0') then
    finish(c, 'TIMEOUT')
  elseif is_queued and is(c, 'i') then
    not_sent(c)
  elseif is_queued and tonumber(c.expires) <= now then
    finish(c, 'EXPIRED')
  elseif is_queued then -- nobody was there to take it, so it has not been sent after all
    c.status, c.issued, c.flags = 'PENDING', '0', string.gsub(c.flags, 's', '')
    wait_again(c)
    save(c)
  elseif not send_again(c, take_ms) then
    finish(c, 'TIMEOUT')
  end
end

function steps.due()
  if ARGV[9] ~= '' and (redis.call('GET', KEYS[9]) or '') ~= ARGV[9] then return { 'GONE' } end
  local answer = { 'OK', '', d[3] and d[3] ~= '' and device or d[2] }
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', whole(now), 'LIMIT', 0, 100)) do
    local c = load(id)
    if c then
      look_at(c, tonumber(ARGV[8]))
      if c.status ~= 'PENDING' and c.status ~= 'SENT' then answer[#answer + 1] = c.status end
    else
      redis.call('ZREM', KEYS[5], id)
    end
  end
  trim(tonumber(ARGV[6]), tonumber(ARGV[7]), {})
  rearm(tonumber(ARGV[7]))
  answer[2] = redis.call('ZCARD', KEYS[4]) > 0 and '1' or '0'
  return answer
end

-- The device was deleted: so are its commands, some at a time.
if not d[1] then
  local ids = redis.call('ZRANGE', KEYS[3], 0, 499)
  local open = redis.call('ZRANGE', KEYS[5], 0, 499) -- calls too
  if #ids > 0 then
    redis.call('HDEL', KEYS[6], unpack(ids))
    redis.call('ZREM', KEYS[3], unpack(ids))
  end
  if #open > 0 then
    redis.call('HDEL', KEYS[6], unpack(open))
    redis.call('ZREM', KEYS[5], unpack(open))
  end
  if #ids == 500 or #open == 500 then
    redis.call('ZADD', KEYS[8], ARGV[3], timer)
  else
    redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
    redis.call('ZREM', KEYS[8], timer)
  end
  return { 'GONE' }
end
return steps[ARGV[1]]()
