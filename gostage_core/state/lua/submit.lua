--[[
  Create a run: its header, its plan, its first store values, its indexes, and make its first
  actions ready. Safe to repeat: the same nonce finds its own run.

  KEYS[1]  run  hash  the header of the new run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id
  ARGV[3]  window  links in one chain
  ARGV[4]  most    runs that may live at a time, or 0
  ARGV[5…] what it is, as include/creation.lua reads it; the deadline in ms from now, 0 for none

  Returns  "created", ready…   |  "exists", run id (of the key)  |  "taken" (the run id)
        |  "full", how many live, how many have ended within the last minute
]]
--- @include "creation"
--- @include "outcome"
local id, window, most = arg(), number(), number()
local new = read_run(id)
if new.deadline > 0 then
  new.deadline = now + new.deadline
end

--- How many runs have not ended.
local function count_living()
  local count = 0
  for _, status in ipairs({ "pending", "running", "sleeping", "waiting", "paused" }) do
    count = count + call("ZCARD", K.status(status))
  end
  return count
end

if most > 0 and call("HEXISTS", K.run(id), "nonce") == 0 and count_living() >= most then
  local known = new.key ~= "" and call("HGET", K.keys(), new.key)
  if not known or new.on_conflict == "replace" then
    return { "full", tostring(count_living()), tostring(call("ZCOUNT", K.expiry(), now + new.retention - 60000, "+inf")) }
  end
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
