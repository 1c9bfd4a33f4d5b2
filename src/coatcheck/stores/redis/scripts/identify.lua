-- Reads an account by one of its names, with its password and its subject's state. Writes nothing.
--@ uses arguments
local owner = redis.call('GET', KEYS[1])
if not owner then return false end
local kept = redis.call('HMGET', PREFIX .. 'subject:' .. owner, 'account', 'hash', 'version', 'changed_at', 'state')
local everybody = redis.call('GET', PREFIX .. 'everybody:' .. string.sub(owner, 1, 4))
return { kept, everybody }
