--[[
  Give an attempt back that did not begin its work: this worker is stopping, or does not know the
  action. It does not count as an attempt. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix    of every key
  ARGV[2]  run       its id
  ARGV[3]  entry     the action
  ARGV[4]  token     of the attempt
  ARGV[5]  delay_ms  at least, until another worker may take it; 0 for at once
  ARGV[6]  reason    JSON for the journal and for who asks why
  ARGV[7]  window    links in one chain

  Returns  "released", ready…  |  "repeated"  |  "fenced"  |  "gone"
]]
--- @include "attempt"
--- @include "outcome"
local id, n, token, delay, reason, window = arg(), arg(), arg(), number(), arg(), number()
local run, r, word = attempt_of(id, n, token)
if word then
  return { word }
end
local stops = stopping(run, n)

r.attempt = r.attempt - 1
free_slot(id, r)
call("HSET", K.plan(id), "e" .. n, reason)
jot(id, "action.released", n, run.revision, reason)
if stops then
  settle(run, r, "k")
  jot(id, "action.cancelled", n, run.revision)
  go_on(run, n, "s")
elseif delay > 0 then
  -- As long again as it has been going on, up to a minute: an action that nobody knows waits quietly.
  delay = math.max(delay, math.min(now - r.began, 60000))
  sleep(run, r, now + delay, r.phase)
else
  call("ZREM", K.wake(), id .. " " .. n .. " t")
  make_ready(run, n, r)
end
return ready_reply(run, "released", window, "")
