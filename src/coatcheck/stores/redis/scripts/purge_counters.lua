-- Looks at some of the server's keys from a cursor on and deletes the counters that need not be kept any more. Gives how
-- many went, and the cursor to go on from.
--@ uses arguments
local cursor, pattern, limit, cutoff = take(), take(), take(), take_number()
local page, gone = redis.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', limit), 0
for _, key in ipairs(page[2]) do
  local kept = redis.pcall('GET', key)
  local kept_until = type(kept) == 'string' and string.match(kept, '^%d+ %d+ %-?%d+ %-?%d+ (%-?%d+)$')
  if kept_until and tonumber(kept_until) < cutoff then gone = gone + redis.call('DEL', key) end
end
return { gone, page[1] }
