-- Takes in accounts and their passwords, each in place of the one that its subject has.
--@ uses arguments
local accounts = PREFIX .. 'accounts'
for _ = 1, take_number() do
  local owner, listed, account, username, email = take(), take(), take(), take(), take()
  local hash, version, changed_at = take(), take(), take()
  local subject = PREFIX .. 'subject:' .. owner
  for name in string.gmatch(redis.call('HGET', subject, 'names') or '', '%x+') do
    redis.call('DEL', PREFIX .. 'name:' .. name)
  end
  redis.call('HSET', subject, 'account', account, 'names', username .. ' ' .. email)
  redis.call('HDEL', subject, 'hash', 'version', 'changed_at')
  if hash ~= '' then redis.call('HSET', subject, 'hash', hash, 'version', version, 'changed_at', changed_at) end
  redis.call('ZADD', accounts, 0, listed)
  if username ~= '-' then redis.call('SET', PREFIX .. 'name:' .. username, owner) end
  if email ~= '-' then redis.call('SET', PREFIX .. 'name:' .. email, owner) end
end
return 1
