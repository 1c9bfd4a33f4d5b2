-- Looks at some handles from a position on, shard after shard, and deletes the sessions that died before the cutoff, with
-- their data and whatever index names them. A handle or entry whose session is gone (its key ran out) goes too. Gives
-- how many sessions went, and the shard and handle to go on after.
--@ uses arguments numbers places everybody subjects sessions handles
local shards, shard, position, limit, cutoff = take_number(), take_number(), take(), take_number(), take_number()
local gone, looked = 0, 0

local function epoch_raised_at(session)
  local kept = redis.call('GET', PREFIX .. 'everybody:' .. string.sub(session.place, 1, 4))
  local epoch, at = 0, 0
  if kept then
    local everybodys, when = string.match(kept, '^(%d+) (%-?%d+) ')
    if not everybodys then error('CORRUPT everybody', 0) end
    epoch, at = tonumber(everybodys), tonumber(when)
  end
  if session.owner ~= '-' then
    local state = state_of(session.owner)
    if not state then return nil end
    at = (epoch == 0 or tonumber(state.at) >= at) and tonumber(state.at) or at
    epoch = epoch + state.epoch
  end
  return session.epoch ~= epoch and at or nil
end

local function died_at(session)
  local idle = tonumber(session.idle)
  local died = math.min(tonumber(session.expires), tonumber(session.seen) + idle + math.min(math.floor(idle / 20), 60))
  if session.ended ~= '-' then died = math.min(died, tonumber(session.ended)) end
  return math.min(died, epoch_raised_at(session) or died)
end

local function look_at(key, handle)
  local place, id, owner = follow(handle)
  local session = place and session_at(place)
  if session and died_at(session) >= cutoff then return end
  if session then
    redis.call('DEL', PREFIX .. 'session:' .. place, PREFIX .. 'data:' .. place)
    gone = gone + 1
  end
  if owner ~= '-' then
    redis.call('HDEL', PREFIX .. 'live:' .. owner, id)
    redis.call('HDEL', PREFIX .. 'ended:' .. owner, id)
  end
  redis.call('ZREM', key, handle)
end

-- What cannot be read stays, and holds up nothing else.
local function is_of_one(problem)
  local words = type(problem) == 'table' and problem.err or tostring(problem)
  return string.find(words, 'CORRUPT', 1, true) or string.find(words, 'WRONGTYPE', 1, true)
end

while shard < shards do
  local key = string.format('%shandles:{%02x}', PREFIX, shard)
  local handles = redis.pcall('ZRANGEBYLEX', key, position, '+', 'LIMIT', 0, limit - looked)
  for _, handle in ipairs(handles) do
    looked = looked + 1
    local is_fine, problem = pcall(look_at, key, handle)
    if not is_fine and not is_of_one(problem) then error(problem) end
    if looked == limit then return { gone, shard, handle } end
  end
  shard, position = shard + 1, '-'
end
return { gone, -1, '' }
