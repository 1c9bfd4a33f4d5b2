-- ARGV is read from front to back; the first of it is the prefix that all keys begin with.
local taken = 0
local function take()
  taken = taken + 1
  return ARGV[taken]
end
local function take_number()
  return tonumber(take())
end
local PREFIX = take()
