-- Public ids, in order: the id, two NULs (one in it is written NUL 255), and where to look: `s` and a subject's digest,
-- whose index has the session's, or `d` and the digest of a session that is nobody's.
local function shard_of(id)
  return string.format('%shandles:{%02x}', PREFIX, math.floor(tonumber(string.sub(redis.sha1hex(id), 1, 2), 16) / 4))
end

local function handle_of(session)
  local id = string.gsub(session.id, '%z', '\0\255') .. '\0\0'
  if session.owner == '-' then return id .. 'd' .. digest_of(session.place) end
  return id .. 's' .. digest_of(session.owner)
end

-- The handle that begins with an id and its two NULs, if there is one.
local function find_handle(shard, id)
  return redis.call('ZRANGEBYLEX', shard, '[' .. id, '(' .. string.sub(id, 1, -2) .. '\1', 'LIMIT', 0, 1)[1]
end

-- The place of the session that a handle leads to, its id and owner. The place is nil if an index has lost it.
local function follow(handle)
  if #handle < 36 then error('CORRUPT handle', 0) end
  local digest, kind = string.sub(handle, -32), string.sub(handle, -33, -33)
  local id = string.gsub(string.sub(handle, 1, -36), '%z\255', '\0')
  if kind == 'd' then return place_of(digest), id, '-' end
  local owner = place_of(digest)
  local found = redis.call('HGET', PREFIX .. 'live:' .. owner, id) or redis.call('HGET', PREFIX .. 'ended:' .. owner, id)
  return found and #found == 32 and place_of(found) or nil, id, owner
end
