-- Marks a session ended that is not so marked yet, standing or not; its data goes. Says 1 if it did.
--@ uses arguments numbers places everybody subjects sessions events
local place, at, reason, events = take(), take(), take(), take_events()
local session = session_at(place)
if not session or session.ended ~= '-' then return 0 end
check_index(session.owner)
end_session(session, at, reason)
keep_events(events)
return 1
