-- Reads accounts in the order of their subject, from a position on. Writes nothing.
--@ uses arguments places found
local position, limit, listed = take(), take_number(), {}
for at, entry in ipairs(redis.call('ZRANGEBYLEX', PREFIX .. 'accounts', position, '+', 'LIMIT', 0, limit)) do
  local account = #entry > 33 and value('HGET', PREFIX .. 'subject:' .. place_of(string.sub(entry, -32)), 'account')
  listed[at] = { entry, account or false }
end
return listed
