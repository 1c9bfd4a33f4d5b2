-- Reads all that a request needs: a session, its data, everybody's epoch, its subject's state and account. Writes nothing.
local kept = redis.call('GET', KEYS[1])
if not kept then return false end
local prefix, place = ARGV[1], ARGV[2]
local data = redis.call('HGETALL', prefix .. 'data:' .. place)
local everybody = redis.call('GET', prefix .. 'everybody:' .. string.sub(place, 1, 4))
local owner = string.match(kept, '^%d+ %-?%d+ %-?%d+ %d+ %S+ ({%S+) ')
if not owner then return { kept, data, everybody } end
local subject = redis.call('HMGET', prefix .. 'subject:' .. owner, 'state', 'account')
return { kept, data, everybody, subject[1], subject[2] }
