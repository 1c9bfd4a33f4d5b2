-- The arithmetic of `coatcheck.core.throttle`, in the same words.
local KEPT, LOCK_KEPT, PENDING_KEPT, GRACE = take_number(), take_number(), take_number(), take_number()

-- All counters by the instant until which they are kept.
local COUNTERS = PREFIX .. 'counters:{attempts}'

local function take_gate()
  local gate = { key = take() }
  local free, delay, delay_max, is_cleared, starts_over, crowd, locks =
    string.match(take(), '^(%d+) (%d+) (%d+) (%d) (%d) (%d+) (%d)$')
  gate.free, gate.delay, gate.delay_max, gate.crowd = tonumber(free), tonumber(delay), tonumber(delay_max), tonumber(crowd)
  gate.is_cleared, gate.starts_over, gate.locks = is_cleared == '1', starts_over == '1', locks == '1'
  return gate
end

local function counter_at(key)
  redis.call('ZCARD', COUNTERS) -- which will be written
  local kept = redis.call('GET', PREFIX .. 'counter:{attempts}:' .. key)
  if not kept then return nil end
  local failures, pending, counted_at, blocked_until, kept_until =
    string.match(kept, '^(%d+) (%d+) (%-?%d+) (%-?%d+) (%-?%d+)$')
  if not failures or #failures > 9 or #pending > 9 then error('CORRUPT counter', 0) end
  return {
    failures = tonumber(failures), pending = tonumber(pending), counted_at = tonumber(counted_at),
    blocked_until = tonumber(blocked_until), kept_until = tonumber(kept_until),
  }
end

local function keep_counter(key, counter, now)
  local kept = string.format('%.0f %.0f %.0f %.0f %.0f', counter.failures, counter.pending, counter.counted_at,
    counter.blocked_until, counter.kept_until)
  local ttl = string.format('%.0f', math.min(math.max(0, counter.kept_until - now), LOCK_KEPT) + GRACE)
  redis.call('SET', PREFIX .. 'counter:{attempts}:' .. key, kept, 'EX', ttl)
  redis.call('ZADD', COUNTERS, string.format('%.0f', counter.kept_until), key)
end

local function is_locked(counter, gate)
  return gate.locks and counter ~= nil and counter.failures >= gate.free
end

local function settled(counter, gate, outcome, at)
  if not counter then
    if not gate.locks or outcome ~= 'failure' then return nil end
    counter = { failures = 0, pending = 0, counted_at = 0, blocked_until = 0, kept_until = 0 }
  end
  local pending = math.max(0, counter.pending - 1)
  if outcome == 'lifted' then return nil end
  if outcome == 'failure' then
    local failures = counter.failures + 1
    local doublings = math.min(failures - gate.free, 30)
    local wait = doublings >= 0 and math.min(gate.delay * 2 ^ doublings, gate.delay_max) or 0
    return {
      failures = failures, pending = pending, counted_at = at, blocked_until = wait > 0 and at + wait or 0,
      kept_until = at + (gate.locks and LOCK_KEPT or KEPT),
    }
  end
  local left = {
    failures = counter.failures, pending = pending, counted_at = counter.counted_at,
    blocked_until = counter.blocked_until, kept_until = counter.kept_until,
  }
  if outcome == 'success' and gate.is_cleared then left.failures, left.blocked_until = 0, 0 end
  if left.failures == 0 and pending == 0 then return nil end
  return left
end

-- What the settlements given come to, before anything is written: nil if a lock refuses one of them.
local function take_settlements()
  local changes, refuses, locks = {}, false, false
  for _ = 1, take_number() do
    local gate, outcome, at = take_gate(), take(), take_number()
    local counter = counter_at(gate.key)
    local left = settled(counter, gate, outcome, at)
    refuses = refuses or (outcome == 'success' and is_locked(counter, gate))
    locks = locks or (is_locked(left, gate) and not is_locked(counter, gate))
    if left or counter then changes[#changes + 1] = { key = gate.key, left = left, at = at } end
  end
  if refuses then return nil end
  return changes, locks
end

local function keep_settlements(changes)
  for _, change in ipairs(changes) do
    if change.left then
      keep_counter(change.key, change.left, change.at)
    else
      redis.call('DEL', PREFIX .. 'counter:{attempts}:' .. change.key)
      redis.call('ZREM', COUNTERS, change.key)
    end
  end
end
