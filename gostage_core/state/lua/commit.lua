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
  ARGV[7]   bail     JSON: end the run early, on purpose; or empty
  ARGV[8]   value    what the action returned, where that is collected; or empty
  ARGV[9]   undo     how it is undone, opaque; or empty
  ARGV[10]  report   of a hook: 0, or 4 and then verdict ("", skip, recover), scratch, by, reason
  ARGV[11…] changes  of the store, as include/values.lua reads them
            planned  0, or 1 and then what it changes in the plan, as include/replanning.lua reads it

  Returns  "committed", ready…  |  "repeated"  |  "fenced"  |  "gone"
        |  "refused", key, kind (a change of the store that its value does not allow)  |  "full", bytes allowed
        |  "duplicate", stage id  |  "finished", stage  |  "conflict", detail  |  "limit", name, allowed
]]
--- @include "attempt"
--- @include "outcome"
local id, n, token, have, window, bail, value, undo
  = arg(), arg(), arg(), arg(), number(), arg(), arg(), arg()
local report = number() == 4 and { verdict = arg(), scratch = arg(), by = arg(), reason = arg() }
local changes = read_changes()
local run, r, word = attempt_of(id, n, token)
if word then
  return { word }
end
local no = refused(run, changes)
if no then
  return no
end
local l = links(run, n)
local outer = links(run, l.up)
local scope = load_scope(run, l.up)
if not scope then
  error("CORRUPT record r" .. l.up)
end

--- Checks what the attempt changes in the plan: what refuses it, else what applies it, and what begins then.
local function replan()
--- @inline "replanning"
  return replanning(run, n, l, outer)
end

local apply, begin_planned
if number() == 1 then
  no, apply, begin_planned = replan()
  if no then
    return no
  end
end

if undo ~= "" then
  call("LLEN", K.undo(id)) -- damage there shows before the first write
end
apply_changes(run, changes)
if value ~= "" then
  call("HSET", K.plan(id), "v" .. n, value)
end
if undo ~= "" then
  call("RPUSH", K.undo(id), undo)
end
local over = apply and apply() or {}
settle(run, r, "c")
free_slot(id, r)
jot(id, "action.completed", n, run.revision, report and report.verdict ~= "" and cjson.encode(
  { actor = "middleware " .. report.by, reason = report.reason, verdict = report.verdict }) or nil)

--- Skips what is left of a scope that does not begin, or whose failure was handled.
local function skip_rest(first)
  while first ~= "0" do
    local member = links(run, first)
    local state = string.sub(call("HGET", K.plan(id), "r" .. first) or "", 1, 1)
    if member.mode and (state == "" or state == "d" or state == "p") then
      if state ~= "d" then
--- @inline "leaving"
        count_members(run, first, -1)
      end
      call("HSET", K.plan(id), "r" .. first, string.format("s|0|0|0||0|%.0f|0|0|0", now))
    elseif not member.mode and (state == "" or state == "d" or state == "k" or state == "p") then
      local one = load_record(id, first) or new_record(first)
      one.state, one.ended = "s", now
      save_record(id, one)
    end
    first = member.next
  end
end

--- What a hook decided of its scope.
local function take_verdict()
  call("HSET", K.plan(id), "h" .. l.up, report.scratch)
  scope = load_scope(run, l.up)
  if report.verdict == "skip" and n == outer.before and scope.state == "x" then
    if l.up == "0" then
      skip_rest(outer.first)
    end
    scope.state = "s"
    save_scope(run, scope)
  elseif report.verdict == "recover" and n == outer.after and scope.state == "f" and not run.stop then
    call("HSET", K.plan(id), "b" .. scope.failed, report.by)
    skip_rest(outer.first)
    scope.state = "c"
    save_scope(run, scope)
  end
end

soundly(run, n, function()
  if report then
    take_verdict()
  end
  go_past(run, over)
  if bail ~= "" and not draining(run, n) then -- a failure beside it counts for more
    return halt(run, "bailed", bail)
  elseif #over == 0 or not is_left_behind(run, n) then
    move_on(run, n, "c")
  end
  if begin_planned then
    begin_planned()
  end
end)
return ready_reply(run, "committed", window, have)
