-- Takes in sessions, ended ones too, each in place of the one that has its digest or its id.
--@ uses arguments numbers places everybody subjects sessions handles

local function forget(session)
  redis.call('DEL', PREFIX .. 'session:' .. session.place, PREFIX .. 'data:' .. session.place)
  redis.call('ZREM', shard_of(session.id), handle_of(session))
  if session.owner ~= '-' then
    redis.call('HDEL', PREFIX .. 'live:' .. session.owner, session.id)
    redis.call('HDEL', PREFIX .. 'ended:' .. session.owner, session.id)
  end
end

for _ = 1, take_number() do
  local place, kept, ttl, id, handle, index = take(), take(), take_number(), take(), take(), take()
  local shard, data = shard_of(id), PREFIX .. 'data:' .. place
  local same_digest = session_at(place)
  if same_digest then forget(same_digest) end
  local same_id = find_handle(shard, string.sub(handle, 1, -34))
  if same_id then
    local other = follow(same_id)
    local session = other and session_at(other)
    if session then forget(session) end
    redis.call('ZREM', shard, same_id)
  end
  redis.call('SET', PREFIX .. 'session:' .. place, kept, 'EX', ttl)
  redis.call('ZADD', shard, 0, handle)
  if index ~= '-' then
    redis.call('HSET', PREFIX .. index, id, digest_of(place))
    keep_for(PREFIX .. index, ttl)
  end
  for _ = 1, take_number() do redis.call('HSET', data, take(), take()) end
  redis.call('EXPIRE', data, ttl)
end
return 1
