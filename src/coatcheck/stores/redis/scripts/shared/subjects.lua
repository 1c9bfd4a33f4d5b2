-- A subject's state: `epoch epoch_at disabled_at version reason`, the second to last possibly `-`.
local function state_of(owner)
  local kept = redis.call('HGET', PREFIX .. 'subject:' .. owner, 'state')
  if not kept then return nil end
  local epoch, at, disabled, version, reason = string.match(kept, '^(%d+) (%-?%d+) (%S+) (%d+) (.*)$')
  if not epoch then error('CORRUPT subject', 0) end
  return { epoch = tonumber(epoch), at = at, disabled = disabled, version = version, reason = reason }
end

local function subjects_on(owner)
  return PREFIX .. 'subjects:' .. string.sub(owner, 1, 4)
end

local function new_state(owner, subject)
  redis.call('ZCARD', subjects_on(owner)) -- which will be written
  return { epoch = 0, at = '0', disabled = '-', version = '0', reason = '', is_new_of = subject }
end

local function keep_state(owner, state)
  if state.is_new_of then redis.call('ZADD', subjects_on(owner), 0, digest_of(owner) .. state.is_new_of) end
  local kept = table.concat({ string.format('%.0f', state.epoch), state.at, state.disabled, state.version, state.reason }, ' ')
  redis.call('HSET', PREFIX .. 'subject:' .. owner, 'state', kept)
end
