-- Removes and sets fields of a standing session's data, unless that grows it beyond the limit. Other fields stay.
--@ uses arguments numbers places everybody subjects sessions data
local place, limit = take(), take_number()
local session = standing_at(place)
if not session then return 'gone' end
local removes, puts = {}, {}
for at = 1, take_number() do removes[at] = take() end
for at = 1, take_number() * 2 do puts[at] = take() end
local data = PREFIX .. 'data:' .. place
local values, before_size = data_at(data)
for _, field in ipairs(removes) do values[field] = nil end
for at = 1, #puts, 2 do values[puts[at]] = puts[at + 1] end
local size = size_of(values)
if size > limit and size > before_size then return 'too_large' end
for at = 1, #puts, 2 do redis.call('HSET', data, puts[at], puts[at + 1]) end
for _, field in ipairs(removes) do
  if not values[field] then redis.call('HDEL', data, field) end
end
end_with_session(data, place)
return 'done'
