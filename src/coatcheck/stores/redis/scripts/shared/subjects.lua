-- A subject's state: `epoch epoch_at disabled_at version reason`, the second to last possibly `-`.
local function state_of(owner)
  local kept = redis.call('HGET', PREFIX .. 'subject:' .. owner, 'state')
  if not kept then return nil end
  local epoch, at, disabled, version, reason = string.match(kept, '^(%d+) (%-?%d+) (%S+) (%d+) (.*)$')
  if not epoch then error('CORRUPT subject', 0) end
  return { epoch = tonumber(epoch), at = at, disabled = disabled, version = version, reason = reason }
end

local function new_state()
  return { epoch = 0, at = '0', disabled = '-', version = '0', reason = '' }
end

local function keep_state(owner, state)
  local kept = table.concat({ string.format('%.0f', state.epoch), state.at, state.disabled, state.version, state.reason }, ' ')
  redis.call('HSET', PREFIX .. 'subject:' .. owner, 'state', kept)
end
