-- Takes in counters, each in place of the one there is.
--@ uses arguments
for _ = 1, take_number() do
  local key, kept, ttl, kept_until = take(), take(), take(), take()
  redis.call('SET', PREFIX .. 'counter:{attempts}:' .. key, kept, 'EX', ttl)
  redis.call('ZADD', PREFIX .. 'counters:{attempts}', kept_until, key)
end
return 1
