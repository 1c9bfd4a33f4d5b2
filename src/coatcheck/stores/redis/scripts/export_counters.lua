-- Reads some counters, from a rank on. Writes nothing.
--@ uses arguments found
local index, from, limit, listed = PREFIX .. 'counters:{attempts}', take_number(), take_number(), {}
for at, key in ipairs(redis.call('ZRANGE', index, from, from + limit - 1)) do
  listed[at] = { key, value('GET', PREFIX .. 'counter:{attempts}:' .. key) }
end
return listed
