--[[
  End an entry that was not done at its deadline, whatever it does or waits for: it has failed, and is not tried
  again. What is below it is cancelled, and bodies that run are to be stopped. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  entry    the action
  ARGV[4]  policy   "fail" or "continue": what its failure means
  ARGV[5]  window   links in one chain
  ARGV[6]  failure  JSON, opaque, whole
  ARGV[7]  details  JSON for the journal, short

  Returns  "failed", ready…  |  "continued", ready…  |  "gone" (it has ended, or has been given more time)
]]
--- @include "outcome"
local id, n, policy, window, failure, details = arg(), arg(), arg(), number(), arg(), arg()
local run = load_run(id)
local r = run and not TERMINAL[run.status] and load_record(id, n)
local due = tonumber(call("HGET", K.plan(id), "x" .. n) or nil)
if not r or not LIVE[r.state] or not due or now < due then
  return { "gone" }
end
local was = r.state
local last = was == "o" and string.match(call("HGET", K.plan(id), "n" .. n) or "", "(%d+)$")
local below_it = last and living(run, last) or {} -- a damaged plan shows here, before the first write

--- Ends what an entry that is over has waited for: what is below it, and child runs.
local function end_below()
  for _, one in ipairs(below_it) do
    if one.state == "x" then
      doom(run, one)
    end
    settle(run, one, "k")
    jot(id, "action.cancelled", one.n, run.revision)
    halt_child(run, one.n)
  end
  if was == "w" then
    halt_child(run, n)
  end
end

call("HSET", K.plan(id), "e" .. n, failure)
if was == "x" then
  doom(run, r)
end
settle(run, r, "f")
jot(id, "action.failed", n, run.revision, details)
end_below()
if policy == "continue" then
  call("HSET", K.plan(id), "b" .. n, "on_error")
  go_on(run, n, "s")
  return ready_reply(run, "continued", window, "")
end
go_on(run, n, "f")
return ready_reply(run, "failed", window, "")
