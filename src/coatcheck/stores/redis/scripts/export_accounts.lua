-- Reads accounts and their passwords in the order of their subject, from a position on. Writes nothing.
--@ uses arguments places found
local position, limit, listed = take(), take_number(), {}
for at, entry in ipairs(redis.call('ZRANGEBYLEX', PREFIX .. 'accounts', position, '+', 'LIMIT', 0, limit)) do
  local subject = PREFIX .. 'subject:' .. place_of(string.sub(entry, -32))
  local kept = value('HMGET', subject, 'account', 'hash', 'version', 'changed_at')
  listed[at] = { entry, kept ~= '?' and kept or {} }
end
return listed
