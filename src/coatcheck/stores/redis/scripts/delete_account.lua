-- Deletes an account and all that names its subject: sessions, indexes, state, password, names, counters. Its events keep
-- time and name. Says 1 if there was such an account; where none is held, any subject is forgotten.
--@ uses arguments numbers places subjects handles events
local owner, name, holds_accounts, listed, counters = take(), take(), take(), take(), {}
local log = log_of(string.sub(owner, 6))
for at = 1, take_number() do counters[at] = take() end
local events = take_events()
local subject = PREFIX .. 'subject:' .. owner
if redis.call('HEXISTS', subject, 'account') == 0 and holds_accounts == '1' then return 0 end
local indexes = { PREFIX .. 'live:' .. owner, PREFIX .. 'ended:' .. owner }
local sessions = { redis.call('HGETALL', indexes[1]), redis.call('HGETALL', indexes[2]) }
for _, index in ipairs(sessions) do
  for at = 1, #index, 2 do redis.call('ZCARD', shard_of(index[at])) end
end
local names = redis.call('HGET', subject, 'names') or ''
local numbers = redis.call('ZRANGE', log, 0, -1)
redis.call('ZCARD', LOG)
redis.call('ZCARD', PREFIX .. 'accounts')
redis.call('ZCARD', PREFIX .. 'counters:{attempts}')
redis.call('ZCARD', subjects_on(owner))

for _, index in ipairs(sessions) do
  for at = 1, #index, 2 do
    if #index[at + 1] == 32 then
      local place = place_of(index[at + 1])
      redis.call('DEL', PREFIX .. 'session:' .. place, PREFIX .. 'data:' .. place)
    end
    redis.call('ZREM', shard_of(index[at]), handle_of({ id = index[at], owner = owner }))
  end
end
redis.call('DEL', indexes[1], indexes[2], subject, log)
redis.call('ZREM', PREFIX .. 'accounts', listed)
redis.call('ZREM', subjects_on(owner), digest_of(owner) .. name)
for name in string.gmatch(names, '%x+') do redis.call('DEL', PREFIX .. 'name:' .. name) end
for _, key in ipairs(counters) do
  redis.call('DEL', PREFIX .. 'counter:{attempts}:' .. key)
  redis.call('ZREM', PREFIX .. 'counters:{attempts}', key)
end
for _, number in ipairs(numbers) do
  local event = redis.call('ZRANGEBYSCORE', LOG, number, number)[1]
  local at, length, from = string.match(event or '', '^%d+ (%-?%d+) %S+ (%d+):()')
  if from then
    local name = string.sub(event, from, from + tonumber(length) - 1)
    redis.call('ZREM', LOG, event)
    redis.call('ZADD', LOG, number, number .. ' ' .. at .. ' - ' .. length .. ':' .. name)
  end
end
keep_events(events)
return 1
