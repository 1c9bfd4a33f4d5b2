-- A session's record: `epoch seen expires idle ended owner`, the lengths of what follows, and that: id, proof, reason of
-- its end, and what never changes. `ended` and `owner` may be `-`. What the parts mean inside is not looked at here.
local function session_at(place)
  local kept = redis.call('GET', PREFIX .. 'session:' .. place)
  if not kept then return nil end
  local epoch, seen, expires, idle, ended, owner, id, proof, reason, at =
    string.match(kept, '^(%d+) (%-?%d+) (%-?%d+) (%d+) (%S+) (%S+) (%d+) (%d+) (%d+)\n()')
  if not at or #kept < at + id + proof + reason then error('CORRUPT session', 0) end
  local function part(length)
    local from = at
    at = at + tonumber(length)
    return string.sub(kept, from, at - 1)
  end
  return {
    place = place, epoch = tonumber(epoch), seen = seen, expires = expires, idle = idle, ended = ended, owner = owner,
    id = part(id), proof = part(proof), reason = part(reason), rest = string.sub(kept, at),
  }
end

-- Epoch, last seen, expiry and idle timeout of a session that is its owner's and not marked ended, without the rest;
-- nothing of one that cannot be read, which shall not be in the way of the others.
local function live_head_at(place, owner)
  local kept = place and redis.pcall('GET', PREFIX .. 'session:' .. place)
  local epoch, seen, expires, idle, whose =
    string.match(type(kept) == 'string' and kept or '', '^(%d+) (%-?%d+) (%-?%d+) (%d+) %- (%S+) ')
  if whose == owner then return epoch, seen, expires, idle end
end

-- For so many seconds, or without them for as long as before.
local function keep_session(session, ttl)
  local head = table.concat({
    string.format('%.0f', session.epoch), session.seen, session.expires, session.idle, session.ended, session.owner,
    #session.id, #session.proof, #session.reason,
  }, ' ')
  local kept = head .. '\n' .. session.id .. session.proof .. session.reason .. session.rest
  local key = PREFIX .. 'session:' .. session.place
  if ttl then redis.call('SET', key, kept, 'EX', ttl) else redis.call('SET', key, kept, 'KEEPTTL') end
end

-- Not marked ended, of the present epoch, of a subject that is not disabled (`protocols.py`). `coming` is the state
-- that `owner` is about to have, if any is.
local function is_standing(session, owner, coming)
  if session.ended ~= '-' then return false end
  local epoch = everybody_at(session.place)
  if session.owner ~= '-' then
    local state = coming and session.owner == owner and coming or state_of(session.owner)
    if not state or state.disabled ~= '-' then return false end
    epoch = epoch + state.epoch
  end
  return session.epoch == epoch
end

local function standing_at(place)
  local session = session_at(place)
  return session and is_standing(session) and session or nil
end

-- Lets an index live at least as long as what it names.
local function keep_for(key, seconds)
  if redis.call('TTL', key) < seconds then redis.call('EXPIRE', key, seconds) end
end

-- A key that is not what it should be must show before anything is written.
local function check_index(owner)
  if owner ~= '-' then
    redis.call('HLEN', PREFIX .. 'live:' .. owner)
    redis.call('HLEN', PREFIX .. 'ended:' .. owner)
  end
end

-- `check_index` comes before.
local function end_session(session, at, reason)
  session.ended, session.reason = at, reason
  keep_session(session)
  redis.call('DEL', PREFIX .. 'data:' .. session.place)
  if session.owner ~= '-' then
    local ended = PREFIX .. 'ended:' .. session.owner
    redis.call('HSET', ended, session.id, digest_of(session.place))
    redis.call('HDEL', PREFIX .. 'live:' .. session.owner, session.id)
    keep_for(ended, redis.call('TTL', PREFIX .. 'session:' .. session.place))
  end
end
