-- index_write.lua: bring the index of devices up to what their records say.
-- KEYS  1 device index   2 live   3 rows   4..7 status   8..9 node type                {a<app>}
--       10.. one bitmap per bit of the digests, or none of them
-- ARGV  1 first ordinal of the block   2 its number of ordinals
--       3.. device id, ordinal, row ...
--       A row is: version (4 bytes)   time (6)   status, node type (1 each: which key, from 1)
--       digests (all of them, in the order of the keys, the lowest bit of a byte first)
-- -> the device ids whose digests change, and that were not written because their keys are missing
-- Safe to repeat, and in any order: an older version never replaces a newer one, and a device that
-- has no ordinal any more, or another one, is left out.
local first, size = tonumber(ARGV[1]), tonumber(ARGV[2])
local has_bits = #KEYS > 9
local refused = {}

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

-- What changes of the bitmaps is collected first, so that devices that stand side by side, as after an
-- import, cost one write per bitmap and not one per device: here, and in the append-only file.
local changes = {} -- number of a key -> { offset, bit, offset, bit ... }

local function change(key, offset, value)
  local list = changes[key]
  if not list then
    list = {}
    changes[key] = list
  end
  list[#list + 1] = offset
  list[#list + 1] = value
end

local function change_digests(old, new, offset)
  for byte = 13, #new do
    local value = string.byte(new, byte)
    local changed = bit.bxor(string.byte(old, byte), value)
    local key = 10 + (byte - 13) * 8
    while changed ~= 0 do
      if bit.band(changed, 1) == 1 then change(key, offset, bit.band(value, 1)) end
      changed, value, key = bit.rshift(changed, 1), bit.rshift(value, 1), key + 1
    end
  end
end

local function change_value(old, new, base, offset)
  if old == new then return end
  if old > 0 then change(base + old, offset, 0) end
  if new > 0 then change(base + new, offset, 1) end
end

-- Offsets within some bytes: read, changed, written.
local function write_together(key, list, low, high)
  local bytes = { string.byte(redis.call('GETRANGE', key, low, high), 1, -1) }
  for i = #bytes + 1, high - low + 1 do bytes[i] = 0 end
  for i = 1, #list, 2 do
    local at = math.floor(list[i] / 8)
    local mask = bit.rshift(128, list[i] - at * 8) -- the highest bit is the first
    local byte = bytes[at - low + 1]
    bytes[at - low + 1] = list[i + 1] == 1 and bit.bor(byte, mask) or bit.band(byte, 255 - mask)
  end
  redis.call('SETRANGE', key, low, string.char(unpack(bytes)))
end

local function write_changes(key, list)
  local low, high = list[1], list[1]
  for i = 3, #list, 2 do
    low, high = math.min(low, list[i]), math.max(high, list[i])
  end
  low, high = math.floor(low / 8), math.floor(high / 8)
  if high - low < 64 then
    write_together(key, list, low, high)
  else
    for i = 1, #list, 2 do redis.call('SETBIT', key, list[i], list[i + 1]) end
  end
end

for i = 3, #ARGV, 3 do
  local id, ordinal, row = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local offset = tonumber(ordinal) - first
  if redis.call('ZSCORE', KEYS[1], id) == ordinal then
    local old = redis.call('GETRANGE', KEYS[3], offset * #row, offset * #row + #row - 1)
    if #old < #row then old = string.rep('\0', #row) end
    if old ~= row and struct.unpack('>I4', old) <= struct.unpack('>I4', row) then
      local is_same_text = string.sub(old, 13) == string.sub(row, 13)
      if not is_same_text and not has_bits then
        refused[#refused + 1] = id
      else
        if has_bits and offset >= size / 8 then make_room() end
        if not is_same_text then change_digests(old, row, offset) end
        change_value(string.byte(old, 11), string.byte(row, 11), 3, offset)
        change_value(string.byte(old, 12), string.byte(row, 12), 7, offset)
        redis.call('SETRANGE', KEYS[3], offset * #row, row)
        if struct.unpack('>I4', old) == 0 then change(2, offset, 1) end
      end
    end
  end
end
for key = 2, #KEYS do
  if changes[key] then write_changes(KEYS[key], changes[key]) end
end
return refused
