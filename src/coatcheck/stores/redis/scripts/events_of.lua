-- Reads the events of a subject below a number, newest first. Gives the number of each with what is kept. Writes nothing.
--@ uses arguments events
local subject, below, limit, listed = take(), take(), take_number(), {}
for at, number in ipairs(redis.call('ZREVRANGEBYSCORE', log_of(subject), below, '-inf', 'LIMIT', 0, limit)) do
  listed[at] = redis.call('ZRANGEBYSCORE', LOG, number, number)[1] or number
end
return listed
