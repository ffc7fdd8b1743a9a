--[[
  Create a run: its header, its plan, its first store values, its indexes, and make its first
  actions ready. Safe to repeat: the same nonce finds its own run.

  KEYS[1]  run  hash  the header of the new run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id
  ARGV[3]  window  links in one chain
  ARGV[4…] what it is, as include/creation.lua reads it; the deadline in ms from now, 0 for none

  Returns  "created", ready…   |  "exists", run id (of the key)  |  "taken" (the run id)
]]
--- @include "creation"
local id, window = arg(), number()
local new = read_run(id)
if new.deadline > 0 then
  new.deadline = now + new.deadline
end
local made, run = create(new)
if made == "known" then
  return { "created" }
elseif made == "exists" then
  return { "exists", run }
elseif made == "taken" then
  return { "taken" }
end
return ready_reply(run, "created", window, "")
