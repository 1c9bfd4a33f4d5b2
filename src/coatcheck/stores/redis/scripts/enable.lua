-- Lets a disabled subject have sessions again. Says 1 if it was disabled.
--@ uses arguments places subjects events
local owner, events = take(), take_events()
local state = state_of(owner)
if not state or state.disabled == '-' then return 0 end
state.disabled = '-'
keep_state(owner, state)
keep_events(events)
return 1
