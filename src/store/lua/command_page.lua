-- command_page.lua: a page out of a list that is ordered by time, newest first.
-- KEYS  1 the list: commands of a device, of an application, or cancel tasks
-- ARGV  1 from (ms)   2 before (ms), or +inf   3 how many come before the page   4 its size
-- -> { how many match, members of the page ... }
-- Safe to repeat: it only reads. By rank, which costs the same for every page.
local newer = ARGV[2] == '+inf' and 0 or redis.call('ZCOUNT', KEYS[1], ARGV[2], '+inf')
local total = redis.call('ZCOUNT', KEYS[1], ARGV[1], ARGV[2] == '+inf' and ARGV[2] or '(' .. ARGV[2])
local skip = tonumber(ARGV[3])
local size = math.min(tonumber(ARGV[4]), total - skip)
if size <= 0 then return { total } end
local page = redis.call('ZREVRANGE', KEYS[1], newer + skip, newer + skip + size - 1)
table.insert(page, 1, total)
return page
