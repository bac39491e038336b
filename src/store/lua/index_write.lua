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
      local old = redis.call('GET', KEYS[i]) or ''
      redis.call('SET', KEYS[i], old .. string.rep('\0', full - #old))
    end
  end
end

local function write_digests(old, new, offset)
  for byte = 13, #new do
    local changed = bit.bxor(string.byte(old, byte), string.byte(new, byte))
    local value = string.byte(new, byte)
    local key = 10 + (byte - 13) * 8
    while changed ~= 0 do
      if bit.band(changed, 1) == 1 then
        redis.call('SETBIT', KEYS[key], offset, bit.band(value, 1))
      end
      changed, value, key = bit.rshift(changed, 1), bit.rshift(value, 1), key + 1
    end
  end
end

local function write_value(old, new, base, offset)
  if old == new then return end
  if old > 0 then redis.call('SETBIT', KEYS[base + old], offset, 0) end
  if new > 0 then redis.call('SETBIT', KEYS[base + new], offset, 1) end
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
        if not is_same_text then write_digests(old, row, offset) end
        write_value(string.byte(old, 11), string.byte(row, 11), 3, offset)
        write_value(string.byte(old, 12), string.byte(row, 12), 7, offset)
        redis.call('SETRANGE', KEYS[3], offset * #row, row)
        redis.call('SETBIT', KEYS[2], offset, 1)
      end
    end
  end
end
return refused
