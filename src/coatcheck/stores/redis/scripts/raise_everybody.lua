-- Ends every session there is by raising everybody's epoch, in each shelf's copy.
--@ uses arguments numbers everybody events
local shelves, at, reason, events = take_number(), take(), take(), take_events()
local copies = {}
for shelf = 0, shelves - 1 do
  local tag = string.format('{%02x}', shelf)
  copies[#copies + 1] = { key = PREFIX .. 'everybody:' .. tag, epoch = everybody_at(tag) + 1 }
end
for _, copy in ipairs(copies) do redis.call('SET', copy.key, text(copy.epoch) .. ' ' .. at .. ' ' .. reason) end
keep_events(events)
return 1
