--[[
  Hold a run: nothing more of it begins until it is resumed. What runs may end. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  details  JSON: who and why
  ARGV[4]  window   links in one chain

  Returns  "paused", ready… (of other runs)  |  "ended", status  |  "gone"
]]
--- @include "pausing"
local id, details, window = arg(), arg(), number()
local run = load_run(id)
if not run then
  return { "gone" }
elseif TERMINAL[run.status] then
  return { "ended", run.status }
end
pause(run, details)
return ready_reply(run, "paused", window, "")
