-- Puts a new password in place of version `was`. Says 1 if it was that.
--@ uses arguments
local was, hash, version, changed_at = take(), take(), take(), take()
if redis.call('HGET', KEYS[1], 'version') ~= was then return 0 end
redis.call('HSET', KEYS[1], 'hash', hash, 'version', version, 'changed_at', changed_at)
return 1
