#!lua flags=allow-oom
-- index_find.lua: count the devices of a block that match, and name some of them.
-- KEYS  1 device index   2 live   3 rows   4, 5 scratch                      {a<app>}
--       6.. bitmaps that must have a bit   then those that must not have it
-- ARGV  1 first ordinal of the block   2 how many of the keys must have it   3 length of a row
--       4 registered not before, or ""   5 nor after, or "" (ms)
--       6 matches to skip, in the order of registration   7 most ids
-- -> { count, device id ... }
-- Safe to repeat: the scratch keys are gone at its end, and are copied neither to replicas nor to the
-- append-only file. Cost: some passes over bitmaps of 8 KB, and the ids.
redis.set_repl(redis.REPL_NONE)
local live, scratch, other = KEYS[2], KEYS[4], KEYS[5]
local wanted = tonumber(ARGV[2])
local found = live

-- to = begin OP keys (without begin: the keys alone); in groups, since Redis is quick with up to 16
local function combine(op, to, begin, from, last)
  for i = from, last, 12 do
    local keys = { unpack(KEYS, i, math.min(i + 11, last)) }
    if begin then keys[#keys + 1] = begin end
    redis.call('BITOP', op, to, unpack(keys))
    begin = to
  end
end

if #KEYS > 5 then
  if wanted > 0 then combine('AND', scratch, live, 6, 5 + wanted) end
  found = wanted > 0 and scratch or live
  if #KEYS > 5 + wanted then
    combine('OR', other, nil, 6 + wanted, #KEYS)
    redis.call('BITOP', 'AND', other, other, found)
    redis.call('BITOP', 'XOR', scratch, found, other)
    found = scratch
  end
end

-- The times of registration grow with the ordinals: the first device at this time or later.
local function first_since(time)
  local row = tonumber(ARGV[3])
  local low, high = 0, redis.call('STRLEN', live) * 8
  local best = high
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at = redis.call('BITPOS', live, 1, middle, -1, 'BIT')
    if at < 0 or at >= high then
      high = middle
    else
      local text = redis.call('GETRANGE', KEYS[3], at * row + 4, at * row + 9)
      local upper, lower = struct.unpack('>I2I4', text)
      if upper * 4294967296 + lower >= time then
        best, high = at, middle
      else
        low = at + 1
      end
    end
  end
  return best
end

local low, high = 0, redis.call('STRLEN', found) * 8 - 1
if ARGV[4] ~= '' then low = first_since(tonumber(ARGV[4])) end
if ARGV[5] ~= '' then high = math.min(high, first_since(tonumber(ARGV[5]) + 1) - 1) end
local result = { low <= high and redis.call('BITCOUNT', found, low, high, 'BIT') or 0 }

local skip, most = tonumber(ARGV[6]), tonumber(ARGV[7])
if most > 0 and skip < result[1] then
  local from, to = low, high -- the place of the first one that is not skipped
  while from < to do
    local middle = math.floor((from + to) / 2)
    if redis.call('BITCOUNT', found, low, middle, 'BIT') > skip then
      to = middle
    else
      from = middle + 1
    end
  end
  while #result <= most and from <= high do
    from = redis.call('BITPOS', found, 1, from, high, 'BIT')
    if from < 0 then break end
    local ordinal = string.format('%.0f', tonumber(ARGV[1]) + from)
    local id = redis.call('ZRANGEBYSCORE', KEYS[1], ordinal, ordinal)[1]
    if id then result[#result + 1] = id end
    from = from + 1
  end
end
redis.call('DEL', scratch, other)
return result
