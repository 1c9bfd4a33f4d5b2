-- Reads a session by its public id. Writes nothing.
--@ uses arguments places handles found
local shard, id = take(), take()
local handle = find_handle(shard, id)
local place = handle and follow(handle)
return place and found_at(place) or false
