-- Takes in events under the numbers they have, each in place of the one there is; later ones get higher numbers.
--@ uses arguments events
local last = tonumber(redis.call('GET', COUNT) or '0')
for _ = 1, take_number() do
  local number, subject, kept = take(), take(), take()
  for _, event in ipairs(redis.call('ZRANGEBYSCORE', LOG, number, number)) do
    local before = string.match(event, '^%d+ %-?%d+ (%S+) ')
    if before and before ~= '-' then redis.call('ZREM', log_of(before), number) end
    redis.call('ZREM', LOG, event)
  end
  redis.call('ZADD', LOG, number, number .. ' ' .. kept)
  if subject ~= '-' then redis.call('ZADD', log_of(subject), number, number) end
  last = math.max(last, tonumber(number))
end
redis.call('SET', COUNT, string.format('%.0f', last))
return 1
