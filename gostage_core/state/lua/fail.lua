--[[
  End an attempt that failed: try again later, go on without it, or end the run. Nothing of the
  attempt but this stays. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix    of every key
  ARGV[2]  run       its id
  ARGV[3]  entry     the action
  ARGV[4]  token     of the attempt
  ARGV[5]  delay_ms  until the next try, or empty when there is none
  ARGV[6]  policy    "fail" or "continue": what a last failure means
  ARGV[7]  window    links in one chain
  ARGV[8]  failure   JSON, opaque, whole
  ARGV[9]  details   JSON for the journal, short
  ARGV[10] missed    the wait of the entry that nothing came for, if that is what failed it; or empty

  Returns  "retrying", ready…  |  "failed", ready…  |  "continued", ready…  |  "repeated"  |  "fenced"  |  "gone"
]]
--- @include "attempt"
--- @include "outcome"
--- @include "memo"
local id, n, token, delay, policy, window, failure, details, missed
  = arg(), arg(), arg(), number(), arg(), number(), arg(), arg(), arg()
local run, r, word = attempt_of(id, n, token)
if word then
  return { word }
end
links(run, n) -- a damaged plan shows here, before the first write
local stops = stopping(run, n)

r.fails = r.fails + 1
call("HSET", K.plan(id), "e" .. n, failure)
free_slot(id, r)
if missed ~= "" then
  wait_anew(id, n, missed) -- the next try does, or it could only fail again
end
if delay and not stops then
  sleep(run, r, now + delay, 0)
  count(id, call("HGET", K.plan(id), "c" .. n), "t", 1)
  jot(id, "action.retrying", n, run.revision, details)
  return ready_reply(run, "retrying", window, "")
end
settle(run, r, "f")
jot(id, "action.failed", n, run.revision, details)
if policy == "continue" then
  call("HSET", K.plan(id), "b" .. n, "on_error")
  go_on(run, n, "s")
  return ready_reply(run, "continued", window, "")
end
go_on(run, n, "f")
return ready_reply(run, "failed", window, "")
