-- Reads the states of one shelf's subjects from a position on, each with its entry in the index. Writes nothing.
--@ uses arguments places found
local index, position, limit, listed = PREFIX .. 'subjects:' .. take(), take(), take_number(), {}
for at, entry in ipairs(redis.call('ZRANGEBYLEX', index, position, '+', 'LIMIT', 0, limit)) do
  local is_ours = #entry > 32
  listed[at] = { entry, is_ours and value('HGET', PREFIX .. 'subject:' .. place_of(string.sub(entry, 1, 32)), 'state') }
end
return listed
