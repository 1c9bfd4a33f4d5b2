-- Replaces a hash by another of the same password. Says 1 if it was still the one that was read.
--@ uses arguments
local was, new = take(), take()
if redis.call('HGET', KEYS[1], 'hash') ~= was then return 0 end
redis.call('HSET', KEYS[1], 'hash', new)
return 1
