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
  ARGV[9]   details  JSON for the journal: what was added to the plan
  ARGV[10…] changes  of the store, as include/values.lua reads them
            actions  added right after this one, as include/nodes.lua reads them
            stages   added right after this one's stage, likewise

  Returns  "committed", ready…  |  "repeated"  |  "fenced"  |  "gone"
        |  "refused", key, kind (a change of the store that its value does not allow)
        |  "duplicate", stage id
]]
--- @include "attempt"
--- @include "nodes"
local id, n, token, have, window, order = arg(), arg(), arg(), arg(), number(), arg()
local bail, details = arg(), arg()
local changes = read_changes()
local actions, stages = read_actions(), read_stages()

local run, r, word = attempt_of(id, n, token)
if word then
  return { word }
end
local no = refused(id, changes)
if no then
  return { "refused", no.key, no.kind }
end
for i, stage in ipairs(stages) do
  if call("HEXISTS", K.plan(id), "g" .. stage.id) == 1 then
    return { "duplicate", stage.id }
  end
  for j = 1, i - 1 do
    if stages[j].id == stage.id then
      return { "duplicate", stage.id }
    end
  end
end
local l = links(run, n)
local outer = links(run, l.up)
local scope = load_scope(run, l.up)
if not scope then
  error("CORRUPT record r" .. l.up)
end
local stage_of, top = l.up, outer
while top.up ~= "0" do
  stage_of, top = top.up, links(run, top.up)
end

apply_changes(id, changes)
local added = {}
if #actions > 0 then
  local first, last = write_actions(id, l.up, actions, l.next)
  l.next = first
  save_links(run, n, l)
  if outer.last == n then
    outer.last = last
    save_links(run, l.up, outer)
  end
  for m = tonumber(first), tonumber(last) do
    added[#added + 1] = m
  end
  if outer.mode == "p" then
    scope.open = scope.open + #actions
    scope.extra = scope.extra .. (scope.extra ~= "" and " " or "") .. first .. "-" .. last
    save_scope(run, scope)
  end
end
local before, at = stage_of, links(run, stage_of)
for _, stage in ipairs(stages) do
  while at.next ~= "0" do
    local following = links(run, at.next)
    if following.by ~= stage_of or following.order > order then
      break
    end
    before, at = at.next, following
  end
  local m = write_stage(id, stage, at.next, stage_of, order)
  at.next = m
  save_links(run, before, at)
  local root = links(run, "0")
  if root.last == before then
    root.last = m
    save_links(run, "0", root)
  end
  added[#added + 1] = m
end
if #added > 0 then
  run.revision = run.revision + 1
  call("HSET", K.run(id), "revision", run.revision)
  jot(id, "plan.changed", n, run.revision, details)
end
settle(run, r, "c")
free_slot(id, r)
jot(id, "action.completed", n, run.revision)
if run.stop then
  finish_if_still(run)
elseif bail ~= "" then
  halt(run, "bailed", bail)
else
  go_on(run, n)
end
return ready_reply(run, "committed", window, have)
