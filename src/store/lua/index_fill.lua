-- index_fill.lua: index new devices that stand side by side; as index_write.lua does, in a fraction of
-- its time.
-- KEYS  1 device index   2 live   3 rows   4..7 status   8..9 node type                {a<app>}
--       10.. one bitmap per bit of the digests
-- ARGV  1 first ordinal of the block   2 its number of ordinals
--       3 first byte that is written in the bitmaps   4 which bits of its bytes are these devices'
--       5 for each bitmap the values of these bits, as many bytes each
--       6.. device id, ordinal, row ...          (rows are described in index_write.lua)
-- -> 1, or 0 when one of them is not new, or has no ordinal any more: nothing was written then
-- Safe to repeat: the second run answers 0.
local first, size, low = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local mask, values = ARGV[4], ARGV[5]
local row_bytes = #ARGV[8]

for i = 6, #ARGV, 3 do
  local at = (tonumber(ARGV[i + 1]) - first) * row_bytes
  local old = redis.call('GETRANGE', KEYS[3], at, at + 3)
  if (old ~= '' and old ~= '\0\0\0\0') or redis.call('ZSCORE', KEYS[1], ARGV[i]) ~= ARGV[i + 1] then
    return 0
  end
end

-- Redis gives a growing string twice the room it needs; a block that fills up gets its room at once.
local function make_room()
  local full = size / 8
  if redis.call('STRLEN', KEYS[2]) == full then return end
  for i = 2, #KEYS do
    if i ~= 3 then
      local old = redis.call('GET', KEYS[i]) or (i == 2 and '')
      if old then redis.call('SET', KEYS[i], old .. string.rep('\0', full - #old)) end
    end
  end
end
if low >= size / 64 then make_room() end

local shared = {} -- bytes with bits of other devices that are there, which must stay
local there = redis.call('GETRANGE', KEYS[2], low, low + #mask - 1)
for i = 1, #there do
  if bit.band(string.byte(there, i), 255 - string.byte(mask, i)) ~= 0 then shared[#shared + 1] = i end
end

local function write(key, new)
  for _, i in ipairs(shared) do
    local at = low + i - 1
    local old = string.byte(redis.call('GETRANGE', key, at, at)) or 0
    local others = bit.band(old, 255 - string.byte(mask, i))
    new = string.sub(new, 1, i - 1) .. string.char(bit.bor(others, string.byte(new, i)))
          .. string.sub(new, i + 1)
  end
  redis.call('SETRANGE', key, low, new)
end

local nothing = string.rep('\0', #mask)
local from = 1
for i = 2, #KEYS do
  if i ~= 3 then
    local new = string.sub(values, from, from + #mask - 1)
    from = from + #mask
    if new ~= nothing then write(KEYS[i], new) end
  end
end
for i = 6, #ARGV, 3 do
  redis.call('SETRANGE', KEYS[3], (tonumber(ARGV[i + 1]) - first) * row_bytes, ARGV[i + 2])
end
return 1
