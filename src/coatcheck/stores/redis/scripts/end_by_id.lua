-- Ends a standing session found in its owner's index: somebody else's id leads nowhere. Says 1 if it did.
--@ uses arguments numbers places everybody subjects sessions events
local owner, id, at, reason, events = take(), take(), take(), take(), take_events()
local digest = redis.call('HGET', PREFIX .. 'live:' .. owner, id)
local session = digest and #digest == 32 and standing_at(place_of(digest))
if not session or session.owner ~= owner or session.id ~= id then return 0 end
check_index(owner)
end_session(session, at, reason)
keep_events(events)
return 1
