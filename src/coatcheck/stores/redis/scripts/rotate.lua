-- Gives a standing session a new digest. Says `done`, `gone` or `conflict`.
--@ uses arguments numbers places everybody subjects sessions handles rotation events
local place, turn, events = take(), take_turn(), take_events()
local session = standing_at(place)
if not session then return 'gone' end
if not is_free(place, turn.place) then return 'conflict' end
check_index(session.owner)
redis.call('ZCARD', shard_of(session.id))
rotate(session, turn)
keep_events(events)
return 'done'
