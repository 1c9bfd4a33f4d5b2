-- The log: a member for each event, by its number: `number at subject length:name` and the rest as it was given.
local LOG, COUNT = PREFIX .. 'event:{log}', PREFIX .. 'event-count:{log}'

local function log_of(subject)
  return PREFIX .. 'event-of:{log}:' .. subject
end

-- A look at the keys that will be written.
local function check_log(subject)
  if subject ~= '-' then redis.call('ZCARD', log_of(subject)) end
  redis.call('ZCARD', LOG)
  if not string.match(redis.call('GET', COUNT) or '0', '^%d+$') then error('CORRUPT event-count', 0) end
end

local function take_events()
  local events = {}
  for at = 1, take_number() do
    events[at] = { subject = take(), kept = take() }
    check_log(events[at].subject)
  end
  return events
end

-- An event without the id of its session, if one is given, and the event with one. What is around the id is MessagePack.
local function take_template()
  if take() == '0' then return nil end
  local template = { subject = take(), head = take(), tail = take() }
  check_log(template.subject)
  return template
end

local function filled_in(template, session_id)
  return { subject = template.subject, kept = template.head .. cmsgpack.pack(session_id) .. template.tail }
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
