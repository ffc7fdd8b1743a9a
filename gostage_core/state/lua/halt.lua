--[[
  Ask a run to end: nothing more of it begins. Safe to repeat; of two graces the shorter one counts.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  status   that it is to end with
  ARGV[4]  why      JSON: who and why
  ARGV[5]  window   links in one chain
  ARGV[6]  grace_ms after which what runs then is ended from outside, or empty

  Returns  "halted", ready…  |  "ended", status (or it undoes what it had done, and ends so then)  |  "gone"
]]
--- @include "outcome"
local id, status, why, window, grace = arg(), arg(), arg(), number(), number()
local run = load_run(id)
if not run then
  return { "gone" }
end
if TERMINAL[run.status] or run.verdict then
  return { "ended", run.verdict or run.status }
end
ask_to_end(run, status, why, grace)
return ready_reply(run, "halted", window, "")
