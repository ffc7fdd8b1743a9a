--[[
  Bring a waiting entry what it waits for from outside. What comes before the entry waits is kept for
  it. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id
  ARGV[3]  entry   the action
  ARGV[4]  id      of the delivery
  ARGV[5]  text    what is brought, opaque
  ARGV[6]  window  links in one chain

  Returns  "delivered", ready…  |  "repeated"  |  "gone"
]]
--- @include "outcome"
--- @include "memo"
local id, n, awaited, text, window = arg(), arg(), arg(), arg(), number()
local run = load_run(id)
local r = run and not TERMINAL[run.status] and load_record(id, n)
if not r or not LIVE[r.state] then
  return { "gone" }
end
-- Each under its id: what comes late, for an earlier try, takes nothing from a later one.
if not remember(id, n, awaited, text) then
  return { "repeated" }
end
if r.state == "w" and call("HGET", K.plan(id), "q" .. n) == awaited then
  resume(run, n)
end
return ready_reply(run, "delivered", window, "")
