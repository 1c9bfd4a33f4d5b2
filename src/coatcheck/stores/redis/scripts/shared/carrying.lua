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

local function is_text(bytes) -- UTF-8
  local at = string.find(bytes, '[\128-\255]')
  while at and at <= #bytes do
    local first, second = string.byte(bytes, at, at + 1)
    local more = first < 128 and 0 or first < 194 and -1 or first < 224 and 1 or first < 240 and 2 or first < 245 and 3 or -1
    if more < 0 or not string.find(bytes, '^' .. string.rep('[\128-\191]', more), at + 1) then return false end
    local is_wrong = (first == 224 and second < 160) or (first == 237 and second > 159)
      or (first == 240 and second < 144) or (first == 244 and second > 143)
    if is_wrong then return false end
    at = at + 1 + more
  end
  return true
end

-- The key in a field of data, nil if no reader could take the field apart.
local function key_of(field)
  local length, from = string.match(field, '^(%d+):()')
  if not length or tonumber(length) > #field - from + 1 then return nil end
  local key = string.sub(field, from + length)
  return is_text(string.sub(field, from, from + length - 1)) and is_text(key) and key or nil
end

-- The fields of its data that stay behind, nil if all of it does. What cannot be read does: a log-in that has ended one
-- session must not begin another that is unreadable.
local function left_behind(old, owner, now, crosses)
  local data = redis.call('HGETALL', PREFIX .. 'data:' .. old.place)
  local is_anothers = old.owner ~= '-' and old.owner ~= owner
  if is_anothers or is_timed_out(old.seen, old.expires, old.idle, now) then return nil end
  local left = {}
  for at = 1, #data, 2 do
    local key = key_of(data[at])
    if not key or (old.owner ~= owner and not crosses(key)) then left[#left + 1] = data[at] end
  end
  return left
end
