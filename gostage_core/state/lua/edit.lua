--[[
  Change the plan of a run from outside, as it was read: all of it or nothing. Safe to repeat with the
  same nonce.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix    of every key
  ARGV[2]  run       its id
  ARGV[3]  nonce     of this edit
  ARGV[4]  revision  of the plan that was read
  ARGV[5]  window    links in one chain
  ARGV[6]  details   JSON for the journal: actor and reason
  ARGV[7…] edits     as include/edits.lua reads them

  Returns  "applied", ready…  |  "conflict", detail  |  "ended", status
        |  "duplicate", stage id  |  "finished", stage  |  "limit", name, allowed  |  "gone"
]]
--- @include "edits"
--- @include "outcome"
local id, nonce, revision, window, details = arg(), arg(), number(), number(), arg()
local edits = read_edits()
local run = load_run(id)
if not run then
  return { "gone" }
end
if call("HGET", K.run(id), "edited") == nonce then
  return { "applied" }
end
if TERMINAL[run.status] or run.stop then
  return { "ended", run.stop or run.status }
end
if run.revision ~= revision then
  return { "conflict", "its plan is at revision " .. run.revision .. ", not " .. revision }
end
local no = refuse(run, edits, true, "", 0, {})
if no then
  return no
end
local over = apply_edits(run, edits)
call("HSET", K.run(id), "edited", nonce)
note_revision(run, "0", details)
soundly(run, "0", function()
  go_past(run, over)
  begin_added(run)
end)
return ready_reply(run, "applied", window, "")
