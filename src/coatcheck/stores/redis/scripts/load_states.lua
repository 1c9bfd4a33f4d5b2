-- Takes in the states of subjects, each in place of the one there is, and everybody's, which is on all shelves.
--@ uses arguments
for _ = 1, take_number() do
  local owner, entry, state = take(), take(), take()
  if owner == '-' then
    for shelf = 0, 63 do redis.call('SET', string.format('%severybody:{%02x}', PREFIX, shelf), state) end
  else
    redis.call('HSET', PREFIX .. 'subject:' .. owner, 'state', state)
    redis.call('ZADD', PREFIX .. 'subjects:' .. string.sub(owner, 1, 4), 0, entry)
  end
end
return 1
