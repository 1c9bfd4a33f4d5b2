-- Moves "last seen" of a standing session forward, never back. Says 1 if it is standing.
--@ uses arguments numbers places everybody subjects sessions
local place, seen = take(), take()
local session = standing_at(place)
if not session then return 0 end
if less(session.seen, seen) then
  session.seen = seen
  keep_session(session)
end
return 1
