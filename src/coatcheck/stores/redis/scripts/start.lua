-- Creates a session, or says why not and writes nothing. Its epoch is the present one. The session it replaces ends, and
-- may leave it its data. Those seen longest ago end when there are too many. Settlements and events are kept with it.
--@ uses arguments counters numbers places everybody subjects sessions handles carrying events
local place, kept, ttl, now = take(), take(), take_number(), take()
local id, handle = take(), take()
local owner, subject, version, most, holds_accounts = take(), take(), take(), take_number(), take()
local replaces, crosses = take(), take_crossing()
local values = {}
for at = 1, take_number() * 2 do values[at] = take() end

local state
if owner ~= '-' then
  state = state_of(owner) or new_state(owner, subject)
  if state.disabled ~= '-' then return 'refused' end
  if version ~= '-' then
    local is_deleted = holds_accounts == '1' and redis.call('HEXISTS', PREFIX .. 'subject:' .. owner, 'hash') == 0
    if is_deleted or less(version, state.version) then return 'refused' end
    if less(state.version, version) then
      state.version = version
      if less('1', version) then -- 1 is an account's first password
        state.epoch, state.at, state.reason = state.epoch + 1, now, 'password_changed'
      end
    end
  end
end
local changes = take_settlements()
if not changes then return 'locked' end
local events, eviction = take_events(), take_template()
local shard = shard_of(id)
local is_taken = redis.call('EXISTS', KEYS[1]) == 1
if is_taken or find_handle(shard, string.sub(handle, 1, -34)) then return 'conflict' end

local epoch = everybody_at(place) + (state and state.epoch or 0)
-- Under the state that is to be: what a newer password ends is replaced by nothing and leaves nothing.
local old = replaces ~= '-' and session_at(replaces) or nil
if old and not is_standing(old, owner, state) then old = nil end
local leaves
if old then
  check_index(old.owner)
  leaves = left_behind(old, owner, now, crosses)
end
check_index(owner)

local surplus = {}
local live = PREFIX .. 'live:' .. owner
if owner ~= '-' and redis.call('HLEN', live) + 1 > most then
  local others, present = {}, text(epoch)
  local index = redis.call('HGETALL', live)
  for at = 1, #index, 2 do
    local other = #index[at + 1] == 32 and place_of(index[at + 1])
    local its_epoch, seen, expires, idle = live_head_at(other, owner)
    if its_epoch == present and other ~= (old and old.place) and not is_timed_out(seen, expires, idle, now) then
      others[#others + 1] = { id = index[at], place = other, seen = seen }
    end
  end
  table.sort(others, function(a, b)
    if a.seen ~= b.seen then return less(a.seen, b.seen) end
    return before(a.id, b.id)
  end)
  for at = 1, #others + 1 - most do surplus[at] = session_at(others[at].place) end
end

if state then keep_state(owner, state) end
redis.call('SET', KEYS[1], text(epoch) .. kept, 'EX', ttl)
redis.call('ZADD', shard, 0, handle)
if owner ~= '-' then
  redis.call('HSET', live, id, digest_of(place))
  keep_for(live, ttl)
end
local data = PREFIX .. 'data:' .. place
redis.call('DEL', data)
if leaves then
  if redis.call('EXISTS', PREFIX .. 'data:' .. old.place) == 1 then
    redis.call('RENAME', PREFIX .. 'data:' .. old.place, data)
    for _, field in ipairs(leaves) do redis.call('HDEL', data, field) end
  end
else
  for at = 1, #values, 2 do redis.call('HSET', data, values[at], values[at + 1]) end
end
redis.call('EXPIRE', data, ttl)
if old then end_session(old, now, 'replaced') end
local evicted = {}
for at, session in ipairs(surplus) do
  end_session(session, now, 'too_many_sessions')
  evicted[at] = session.id
end
keep_settlements(changes)
if eviction then
  for _, session_id in ipairs(evicted) do events[#events + 1] = filled_in(eviction, session_id) end
end
keep_events(events)
return { text(epoch), evicted, leaves and redis.call('HGETALL', data) or false }
