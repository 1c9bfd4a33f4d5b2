-- Reads sessions in the order of their handles, shard after shard, from a position on. Gives them, and the shard and
-- handle of the last one looked at if there are more. Writes nothing.
--@ uses arguments places handles found
local shards, shard, position, limit = take_number(), take_number(), take(), take_number()
local listed, looked, last = {}, 0, false
while shard < shards do
  local key = string.format('%shandles:{%02x}', PREFIX, shard)
  local handles = value('ZRANGEBYLEX', key, position, '+', 'LIMIT', 0, limit + 1 - looked)
  for _, handle in ipairs(handles ~= '?' and handles or {}) do
    if looked == limit then return { listed, last } end
    looked = looked + 1
    last = { shard, handle }
    local is_fine, place = pcall(follow, handle)
    listed[#listed + 1] = is_fine and place and found_at(place) or nil
  end
  shard, position = shard + 1, '-'
end
return { listed, false }
