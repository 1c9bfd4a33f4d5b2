-- Ends all sessions of a subject by raising its epoch, but for one that is kept, and may put a new password in place of
-- version `was` in the same step. All of it, or nothing and `gone` or `conflict`.
--@ uses arguments numbers places everybody subjects sessions handles rotation events
local owner, name, at, reason, version, disabled_at = take(), take(), take(), take(), take(), take()
local was, hash, changed_at = take(), take(), take()
local keep, turn, kept = take(), nil, nil
if keep ~= '-' then turn = take_turn() end
local events = take_events()
local subject = PREFIX .. 'subject:' .. owner
local state = state_of(owner) or new_state(owner, name)
if was ~= '-' and redis.call('HGET', subject, 'version') ~= was then return 'gone' end
if keep ~= '-' then
  kept = standing_at(keep)
  if not kept or kept.owner ~= owner then return 'gone' end
  if not is_free(keep, turn.place) then return 'conflict' end
  check_index(owner)
end
local everybody = kept and everybody_at(turn.place)
state.epoch, state.at, state.reason = state.epoch + 1, at, reason
if disabled_at ~= '-' then state.disabled = disabled_at end
state.version = greater_of(state.version, version)
keep_state(owner, state)
if was ~= '-' then redis.call('HSET', subject, 'hash', hash, 'version', version, 'changed_at', changed_at) end
if kept then
  kept.epoch = everybody + state.epoch
  rotate(kept, turn)
end
keep_events(events)
return 'done'
