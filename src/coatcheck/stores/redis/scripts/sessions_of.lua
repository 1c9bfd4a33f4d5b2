-- Reads the sessions of a subject that are not marked ended; the caller picks those that stand. Writes nothing.
--@ uses arguments places found
local owner, listed = take(), {}
local index = redis.call('HVALS', PREFIX .. 'live:' .. owner)
for _, digest in ipairs(index) do
  listed[#listed + 1] = #digest == 32 and found_at(place_of(digest)) or nil
end
return listed
