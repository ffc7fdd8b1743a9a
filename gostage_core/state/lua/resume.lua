--[[
  Let a run go on that was paused. One that is not paused stays as it is. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  details  JSON: who and why
  ARGV[4]  window   links in one chain

  Returns  "resumed", ready…  |  "ended", status  |  "gone"
]]
--- @include "pausing"
local id, details, window = arg(), arg(), number()
local run = load_run(id)
if not run then
  return { "gone" }
elseif TERMINAL[run.status] then
  return { "ended", run.status }
elseif run.paused then
  unpause(run, details)
end
return ready_reply(run, "resumed", window, "")
