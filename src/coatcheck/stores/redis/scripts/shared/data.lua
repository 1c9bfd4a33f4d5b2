-- Session data: a field for each key, `length:namespace` and the key, whose value is JSON text that nobody looks into.
local function size_of(values)
  local size = 0
  for field, value in pairs(values) do
    local length = string.match(field, '^(%d+):')
    if not length then error('CORRUPT session', 0) end
    size = size + #field - #length - 1 - tonumber(length) + #value
  end
  return size
end

local function data_at(key)
  local kept, values = redis.call('HGETALL', key), {}
  for at = 1, #kept, 2 do values[kept[at]] = kept[at + 1] end
  return values, size_of(values)
end

local function end_with_session(key, place)
  local left = redis.call('PTTL', PREFIX .. 'session:' .. place)
  if left > 0 then redis.call('PEXPIRE', key, left) end
end
