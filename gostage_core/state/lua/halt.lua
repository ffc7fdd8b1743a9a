--[[
  Ask a run to end: nothing more of it begins. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  status   that it is to end with
  ARGV[4]  why      JSON: who and why

  Returns  "halted", status now  |  "ended", status  |  "gone"
]]
--- @include "ending"
local id, status, why = arg(), arg(), arg()
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
return { "halted", run.status }
