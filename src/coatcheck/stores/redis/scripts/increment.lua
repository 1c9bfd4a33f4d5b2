-- Adds to a counter in a standing session's data, absent meaning 0, and gives the sum as text. The server's own 64-bit
-- addition does it. A value that it cannot read comes back for the caller to read, who calls again: `was` is that
-- value, `now` the same as a plain decimal.
--@ uses arguments numbers places everybody subjects sessions data
local place, field, by, limit, was, now = take(), take(), take(), take_number(), take(), take()
local session = standing_at(place)
if not session then return { 'gone' } end
local data = PREFIX .. 'data:' .. place
local values, before_size = data_at(data)
local value = values[field]
local start = value or '0'
if value and was == value then start = now end
if not (string.match(start, '^%-?[1-9]%d*$') or start == '0') then return { 'odd', value } end

-- Whatever is wrong with the sum, the value is put back in this same step.
redis.call('HSET', data, field, start)
local sum = redis.pcall('HINCRBY', data, field, by)
local total = type(sum) == 'number' and redis.call('HGET', data, field)
local answer
if not total or total == '-9223372036854775808' then
  answer = 'not_an_integer'
else
  values[field] = total
  local size = size_of(values)
  if size > limit and size > before_size then answer = 'too_large' end
end
if answer then
  if value then redis.call('HSET', data, field, value) else redis.call('HDEL', data, field) end
  return { answer }
end
end_with_session(data, place)
return { 'done', total }
