-- Lua's numbers are doubles. What may exceed 2^53 stays decimal text, compared exactly.
local function text(number)
  return string.format('%.0f', number)
end

local function less(a, b)
  local x, y = tonumber(a), tonumber(b)
  if x ~= y then return x < y end -- rounding never reverses an order
  if a == b then return false end
  if x < 0 then a, b = string.sub(b, 2), string.sub(a, 2) end
  if #a ~= #b then return #a < #b end
  return a < b -- digits, of one length
end

local function greater_of(a, b)
  return less(a, b) and b or a
end

-- The order of bytes; Lua's own is that of the server's locale.
local function before(a, b)
  for at = 1, math.min(#a, #b) do
    local x, y = string.byte(a, at), string.byte(b, at)
    if x ~= y then return x < y end
  end
  return #a < #b
end
