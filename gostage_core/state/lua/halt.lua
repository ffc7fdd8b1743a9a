--[[
  Ask a run to end: nothing more of it begins. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  status   that it is to end with
  ARGV[4]  why      JSON: who and why

  ARGV[5]  window   links in one chain

  Returns  "halted", ready…  |  "ended", status  |  "gone"
]]
--- @include "advance"
local id, status, why, window = arg(), arg(), arg(), number()
local run = load_run(id)
if not run then
  return { "gone" }
end
if TERMINAL[run.status] then
  return { "ended", run.status }
end
if not run.stop then
  jot(id, "run.halting", 0, run.revision, why)
  halt(run, status, why)
end
return ready_reply(run, "halted", window, "")
