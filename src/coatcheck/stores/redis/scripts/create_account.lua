-- Opens an account whose names are nobody's, or says which one is taken and writes nothing.
--@ uses arguments events
local owner, listed, account, hash, version, changed_at = take(), take(), take(), take(), take(), take()
local username, email, events = take(), take(), take_events()
local subject, accounts = PREFIX .. 'subject:' .. owner, PREFIX .. 'accounts'
local function is_taken(name) return name ~= '-' and redis.call('EXISTS', PREFIX .. 'name:' .. name) == 1 end
if is_taken(username) then return 'username_taken' end
if is_taken(email) then return 'email_taken' end
if redis.call('HEXISTS', subject, 'account') == 1 then return 'conflict' end
redis.call('ZCARD', accounts)
redis.call('HSET', subject, 'account', account, 'hash', hash, 'version', version, 'changed_at', changed_at,
  'names', username .. ' ' .. email)
redis.call('ZADD', accounts, 0, listed)
if username ~= '-' then redis.call('SET', PREFIX .. 'name:' .. username, owner) end
if email ~= '-' then redis.call('SET', PREFIX .. 'name:' .. email, owner) end
keep_events(events)
return 'done'
