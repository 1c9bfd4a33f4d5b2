-- All that is known of a session, as it is kept. Unreadable neighbours are told by their absence, so that lists go on.
local function value(...)
  local kept = redis.pcall(...)
  if type(kept) == 'table' and kept.err then return '?' end
  return kept
end

local function found_at(place)
  local session = value('GET', PREFIX .. 'session:' .. place)
  if not session then return nil end
  local owner = string.match(session, '^%d+ %-?%d+ %-?%d+ %d+ %S+ (%S+) ') or '-'
  local everybody = value('GET', PREFIX .. 'everybody:' .. string.sub(place, 1, 4))
  local data = value('HGETALL', PREFIX .. 'data:' .. place)
  if owner == '-' then return { place, session, data, everybody } end
  local subject = value('HMGET', PREFIX .. 'subject:' .. owner, 'state', 'account')
  if subject == '?' then subject = { '?', '?' } end
  return { place, session, data, everybody, subject[1], subject[2] }
end
