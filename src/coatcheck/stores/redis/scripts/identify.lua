-- Reads an account by one of its names, with its password. Writes nothing.
--@ uses arguments
local owner = redis.call('GET', KEYS[1])
if not owner then return false end
return redis.call('HMGET', PREFIX .. 'subject:' .. owner, 'account', 'hash', 'version', 'changed_at')
