-- Deletes some counters that need not be kept any more, those first that fall due first. Gives how many went, and 1 if
-- none is left. What fell due can no longer be read (its key ran out): its entry goes, too.
--@ uses arguments
local limit, cutoff, gone = take_number(), take(), 0
local due = redis.call('ZRANGEBYSCORE', PREFIX .. 'counters:{attempts}', '-inf', '(' .. cutoff, 'LIMIT', 0, limit)
for _, key in ipairs(due) do
  gone = gone + redis.call('DEL', PREFIX .. 'counter:{attempts}:' .. key)
  redis.call('ZREM', PREFIX .. 'counters:{attempts}', key)
end
return { gone, #due < limit and 1 or 0 }
