-- Counts one pending attempt at every gate, or none if one is closed. Says how long to wait, that a lock has closed, or
-- that the subject is disabled.
--@ uses arguments counters places subjects
local owner, now, gates, wait, locked = take(), take_number(), {}, 0, false
local state = owner ~= '-' and state_of(owner)
for _ = 1, take_number() do
  local gate = take_gate()
  local counter = counter_at(gate.key)
  locked = locked or is_locked(counter, gate)
  if not gate.locks then
    counter = counter or { failures = 0, pending = 0, counted_at = 0, blocked_until = 0, kept_until = 0 }
    local pending = math.abs(now - counter.counted_at) < PENDING_KEPT and counter.pending or 0
    local meant, left = counter.blocked_until - counter.counted_at, counter.blocked_until - now
    if not (left > 0 and left <= 2 * meant) then
      left = pending > 0 and counter.failures + pending - gate.crowd >= gate.free and 1 or 0
    end
    wait = math.max(wait, left)
    local is_over = now - counter.counted_at >= KEPT or (gate.starts_over and counter.blocked_until > 0)
    gates[#gates + 1] = {
      key = gate.key, failures = is_over and 0 or counter.failures + counter.pending - pending,
      pending = pending + 1, counted_at = now, blocked_until = 0, kept_until = now + KEPT,
    }
  end
end
if wait > 0 then return string.format('%.0f', wait) end
for _, counter in ipairs(gates) do keep_counter(counter.key, counter, now) end
if locked then return 'locked' end
return state and state.disabled ~= '-' and 'refused' or '0'
