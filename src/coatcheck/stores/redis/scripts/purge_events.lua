-- Looks at some events above a number and deletes the older than the cutoff. Gives how many went, and the last number
-- looked at.
--@ uses arguments events
local above, limit, cutoff = take(), take_number(), take_number()
local page, gone, last = redis.call('ZRANGEBYSCORE', LOG, above, '+inf', 'WITHSCORES', 'LIMIT', 0, limit), 0, false
for entry = 1, #page, 2 do
  last = page[entry + 1]
  local at, subject = string.match(page[entry], '^%d+ (%-?%d+) (%S+) ')
  if at and tonumber(at) < cutoff then
    if subject ~= '-' then redis.call('ZREM', log_of(subject), last) end
    gone = gone + redis.call('ZREM', LOG, page[entry])
  end
end
return { gone, #page == 2 * limit and last or false }
