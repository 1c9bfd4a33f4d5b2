-- Gives a standing session its new digest and what else the rotation says; `is_free` comes before.
local function is_free(place, new_place)
  return new_place == place or redis.call('EXISTS', PREFIX .. 'session:' .. new_place) == 0
end

local function rotate(session, turn)
  local place = session.place
  session.seen = greater_of(session.seen, turn.seen)
  session.expires, session.proof = turn.expires, turn.proof
  local handle = handle_of(session)
  session.place = turn.place
  keep_session(session, turn.ttl)
  if turn.place ~= place then
    redis.call('DEL', PREFIX .. 'session:' .. place)
    if redis.call('EXISTS', PREFIX .. 'data:' .. place) == 1 then
      redis.call('RENAME', PREFIX .. 'data:' .. place, PREFIX .. 'data:' .. turn.place)
    end
    if session.owner ~= '-' then
      redis.call('HSET', PREFIX .. 'live:' .. session.owner, session.id, digest_of(turn.place))
    else
      redis.call('ZREM', shard_of(session.id), handle)
      redis.call('ZADD', shard_of(session.id), 0, handle_of(session))
    end
  end
  redis.call('EXPIRE', PREFIX .. 'data:' .. turn.place, turn.ttl)
  if session.owner ~= '-' then keep_for(PREFIX .. 'live:' .. session.owner, turn.ttl) end
end

local function take_turn()
  return { place = take(), seen = take(), expires = take(), proof = take(), ttl = take_number() }
end
