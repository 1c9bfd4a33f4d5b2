-- Applies the outcomes of an attempt to its counters and keeps its events; nothing if a lock refuses, or if the account
-- it was about has no password any more.
--@ uses arguments counters events
local account = take()
if account ~= '-' and redis.call('HEXISTS', PREFIX .. 'subject:' .. account, 'hash') == 0 then return 'gone' end
local changes, locks = take_settlements()
if not changes then return 'locked' end
local events = take_events()
keep_settlements(changes)
keep_events(events)
return locks and 'locked' or 'done'
