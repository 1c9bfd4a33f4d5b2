-- What a session leaves to the one that replaces it: `carried` of `coatcheck.core.sessions`, in the same words.
local function take_crossing()
  local never, count, kept = take(), take(), nil
  if count ~= '-' then
    kept = {}
    for _ = 1, tonumber(count) do kept[take()] = true end
  end
  return function(key) return key ~= never and (not kept or kept[key]) end
end

local function is_timed_out(seen, expires, idle, now)
  local instant = tonumber(now)
  return instant >= tonumber(expires) or instant >= tonumber(seen) + idle + math.min(math.floor(idle / 20), 60)
end

-- The fields of its data that stay behind, nil if all of it does.
local function left_behind(old, owner, now, crosses)
  local data = redis.call('HGETALL', PREFIX .. 'data:' .. old.place)
  local is_anothers = old.owner ~= '-' and old.owner ~= owner
  if is_anothers or is_timed_out(old.seen, old.expires, old.idle, now) then return nil end
  local left = {}
  if old.owner == owner then return left end
  for at = 1, #data, 2 do
    local length, from = string.match(data[at], '^(%d+):()')
    local key = length and string.sub(data[at], from + length)
    if not key or not crosses(key) then left[#left + 1] = data[at] end
  end
  return left
end
