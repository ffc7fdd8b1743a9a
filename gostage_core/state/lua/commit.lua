--[[
  End an attempt that did its work: its store changes, its plan changes, its record, and what comes
  next, together or not at all. Refused when the lease has gone to somebody else. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]   prefix   of every key
  ARGV[2]   run      its id
  ARGV[3]   entry    the action
  ARGV[4]   token    of the attempt
  ARGV[5]   have     the entry that the carried chain goes on with, or empty
  ARGV[6]   window   links in one chain
  ARGV[7]   order    the entry's place among its siblings, for stages that it adds
  ARGV[8]   bail     JSON: end the run early, on purpose; or empty
  ARGV[9]   details  JSON for the journal: who changes the plan
  ARGV[10]  value    what the action returned, where that is collected; or empty
  ARGV[11]  report   of a hook: 0, or 4 and then verdict ("", skip, recover), scratch, by, reason
  ARGV[12…] changes  of the store, as include/values.lua reads them
            actions  added right after this one, as include/nodes.lua reads them
            stages   added right after this one's stage, likewise
            edits    of the plan, as include/edits.lua reads them

  Returns  "committed", ready…  |  "repeated"  |  "fenced"  |  "gone"
        |  "refused", key, kind (a change of the store that its value does not allow)
        |  "duplicate", stage id  |  "finished", stage  |  "conflict", detail  |  "limit", name, allowed
]]
--- @include "attempt"
--- @include "edits"
local id, n, token, have, window, order = arg(), arg(), arg(), arg(), number(), arg()
local bail, details, value = arg(), arg(), arg()
local report = number() == 4 and { verdict = arg(), scratch = arg(), by = arg(), reason = arg() }
local changes = read_changes()
local actions, stages, edits = read_actions(), read_stages(), read_edits()

local run, r, word = attempt_of(id, n, token)
if word then
  return { word }
end
local no = refused(id, changes)
if no then
  return { "refused", no.key, no.kind }
end
local l = links(run, n)
local outer = links(run, l.up)
local scope = load_scope(run, l.up)
if not scope then
  error("CORRUPT record r" .. l.up)
end
if #actions + #stages + #edits > 0 then
  local all = {}
  for i, stage in ipairs(stages) do
    all[i] = stage
  end
  no = refuse(run, edits, false, n, #actions, all)
  if no then
    return no
  end
end

apply_changes(id, changes)
if value ~= "" then
  call("HSET", K.plan(id), "v" .. n, value)
end
if #actions > 0 then
  add_actions(run, l.up, n, actions)
end
if #stages > 0 then
  local stage_of, at = l.up, outer
  while stage_of ~= "0" and at.up ~= "0" do
    stage_of = at.up
    at = links(run, stage_of)
  end
  local before = stage_of
  for _, stage in ipairs(stages) do
    local following = stage_of ~= "0" and at.next or "0"
    while following ~= "0" do
      local f = links(run, following)
      if f.by ~= stage_of or f.order > order then
        break
      end
      before, following = following, f.next
    end
    before = add_stage(run, before, stage, stage_of, order)
    at = links(run, before)
  end
end
local over = apply_edits(run, edits)
note_revision(run, n, details)
settle(run, r, "c")
free_slot(id, r)
jot(id, "action.completed", n, run.revision, report and report.verdict ~= "" and cjson.encode(
  { actor = "middleware " .. report.by, reason = report.reason, verdict = report.verdict }) or nil)
if report then
  call("HSET", K.plan(id), "h" .. l.up, report.scratch)
  scope = load_scope(run, l.up)
  if report.verdict == "skip" and n == outer.before and scope.state == "x" then
    if l.up == "0" then
      skip_rest(run, outer.first)
    end
    scope.state = "s"
    save_scope(run, scope)
  elseif report.verdict == "recover" and n == outer.after and scope.state == "f" and not run.stop then
    call("HSET", K.plan(id), "b" .. scope.failed, report.by)
    skip_rest(run, outer.first)
    scope.state = "c"
    save_scope(run, scope)
  end
end
for _, other in ipairs(over) do
  go_on(run, other, "s")
end
if bail ~= "" and not draining(run, n) then -- a failure beside it counts for more
  halt(run, "bailed", bail)
else
  go_on(run, n, "c")
  begin_added(run)
end
return ready_reply(run, "committed", window, have)
