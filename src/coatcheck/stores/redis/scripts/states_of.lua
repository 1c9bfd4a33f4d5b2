-- Reads the states of many subjects, each with its shelf's copy of everybody's epoch. Writes nothing.
--@ uses arguments found
local states = {}
for at = 1, take_number() do
  local owner = take()
  states[at] = {
    value('HGET', PREFIX .. 'subject:' .. owner, 'state'),
    value('GET', PREFIX .. 'everybody:' .. string.sub(owner, 1, 4)),
  }
end
return states
