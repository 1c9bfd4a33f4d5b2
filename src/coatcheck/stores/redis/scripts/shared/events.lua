-- The log: a member for each event, by its number: `number at subject length:name` and the rest as it was given.
local LOG, COUNT = PREFIX .. 'event:{log}', PREFIX .. 'event-count:{log}'

local function log_of(subject)
  return PREFIX .. 'event-of:{log}:' .. subject
end

-- The events given, and a look at the keys that will be written.
local function take_events()
  local events = {}
  for at = 1, take_number() do
    events[at] = { subject = take(), kept = take() }
    if events[at].subject ~= '-' then redis.call('ZCARD', log_of(events[at].subject)) end
  end
  if #events > 0 then
    redis.call('ZCARD', LOG)
    if not string.match(redis.call('GET', COUNT) or '0', '^%d+$') then error('CORRUPT event-count', 0) end
  end
  return events
end

local function keep_events(events)
  if #events == 0 then return end
  local number = redis.call('INCRBY', COUNT, #events) - #events
  for _, event in ipairs(events) do
    number = number + 1
    local numeral = string.format('%.0f', number)
    redis.call('ZADD', LOG, numeral, numeral .. ' ' .. event.kept)
    if event.subject ~= '-' then redis.call('ZADD', log_of(event.subject), numeral, numeral) end
  end
end
