-- Everybody's epoch, of which each shelf has its own copy (`keys.py` says why).
local function everybody_at(place)
  local kept = redis.call('GET', PREFIX .. 'everybody:' .. string.sub(place, 1, 4))
  if not kept then return 0 end
  local epoch = string.match(kept, '^(%d+) %-?%d+ ')
  if not epoch then error('CORRUPT everybody', 0) end
  return tonumber(epoch)
end
