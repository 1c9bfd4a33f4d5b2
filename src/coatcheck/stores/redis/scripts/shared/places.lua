-- A place is where the keys of a digest lie: its shelf, which is the hash tag, and its hex digits.
local HEX = '{%02x}:' .. string.rep('%02x', 32)

local function place_of(digest)
  return string.format(HEX, math.floor(string.byte(digest) / 4), string.byte(digest, 1, 32))
end

local function digest_of(place)
  return (string.gsub(string.sub(place, 6), '..', function(pair) return string.char(tonumber(pair, 16)) end))
end
