--[[
  End one phase of an attempt: its store changes, and what it now waits for, holding no worker. When
  that has ended the entry becomes ready again. Refused when the lease has gone to somebody else.
  Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  entry    the action
  ARGV[4]  token    of the attempt
  ARGV[5]  window   links in one chain
  ARGV[6…] changes  of the store, as include/values.lua reads them
           kind     "group": details, mode, limit, quorum, policy, spec, collect (1 or 0), count, then each
                    member: a label's spec and its actions as include/nodes.lua reads them
                    "run": the child's id, and what it is, as include/creation.lua reads it
                    "delivery": its id, timeout_ms or 0

  Returns  "waiting", ready…  |  "repeated"  |  "fenced"  |  "gone"  |  "refused", key, kind
        |  "taken" (the child's id)  |  "limit", name, allowed
]]
--- @include "attempt"
--- @include "creation"
--- @include "edits"
local id, n, token, window = arg(), arg(), arg(), number()
local changes = read_changes()
local kind = arg()
local run, r, word = attempt_of(id, n, token)
if word then
  return { word }
end
local no = refused(id, changes)
if no then
  return { "refused", no.key, no.kind }
end
local l = links(run, n)
local group, child, awaited, timeout

if kind == "group" then
  group = { details = arg(), mode = arg(), limit = arg(), quorum = arg(), policy = arg(), spec = arg(),
            collect = arg() == "1", members = {}, actions = {} }
  for i = 1, number() do
    group.members[i] = { spec = arg(), actions = read_actions() }
  end
elseif kind == "run" then
  child = read_run(arg())
  local above = call("HMGET", K.run(id), "deadline", "depth", "most_children")
  child.deadline, child.depth, child.most_children = tonumber(above[1] or 0), tonumber(above[2]) + 1, above[3]
  if child.depth > tonumber(child.most_children) then
    return { "limit", "max_child_depth", child.most_children }
  end
  local known = call("HMGET", K.run(child.id), "nonce", "status")
  if known[2] and known[1] ~= child.nonce then
    return { "taken" }
  end
else
  awaited, timeout = arg(), number()
end

--- Writes the members of a group: an action by itself where a member has but one, else a sequence of its own;
--- and that too where members are counted, for what an action adds is part of its member.
local function write_group()
  local scope = { spec = group.spec, mode = group.mode, limit = group.limit, quorum = group.quorum,
                  policy = group.policy, actions = {} }
  local g = write_scope(id, n, scope, "0", "0", "")
  local first, before, collecting = "0", nil, {}
  for _, member in ipairs(group.members) do
    local m, last
    if #member.actions == 1 and group.quorum == "0" then
      m = write_actions(id, g, member.actions, "0")
      last = m
    else
      local inner = { spec = member.spec, mode = "s", limit = "0", quorum = "0", policy = "f", actions = member.actions }
      local _
      m, _, last = write_scope(id, g, inner, "0", "0", "")
    end
    collecting[#collecting + 1] = last
    if before then
      local b = links(run, before)
      b.next = m
      save_links(run, before, b)
    else
      first = m
    end
    before = m
  end
  local own = links(run, g)
  own.first, own.last = first, before or "0"
  save_links(run, g, own)
  local nested = call("HGET", K.plan(id), "n" .. n)
  call("HSET", K.plan(id), "n" .. n, (nested and nested .. "," or "") .. g, "y" .. n,
    group.collect and table.concat(collecting, ",") or "")
  add_note("open", n, g, tostring(tonumber(g) + 1), call("HGET", K.run(id), "nodes"))
  note_revision(run, n, group.details)
  return g
end

apply_changes(id, changes)
free_slot(id, r)
r.state, r.attempt, r.at = "w", r.attempt - 1, 0
call("ZREM", K.wake(), id .. " " .. n .. " t")
save_record(id, r)
if stopping(run, n) then
  settle(run, r, "k")
  jot(id, "action.cancelled", n, run.revision)
  go_on(run, n, "s")
elseif kind == "group" then
  local g = write_group()
  call("HDEL", K.plan(id), "u" .. n, "q" .. n)
  jot(id, "action.waiting", n, run.revision, '{"for":"entries"}')
  if not begin(run, g) then
    resume(run, n)
  end
elseif kind == "run" then
  call("HSET", K.plan(id), "u" .. n, child.id)
  call("HDEL", K.plan(id), "q" .. n)
  jot(id, "action.waiting", n, run.revision, cjson.encode({ ["for"] = "run", run = child.id }))
  local made, its = create(child)
  if made == "known" and TERMINAL[call("HGET", K.run(child.id), "status")] then
    resume(run, n)
  end
else
  call("HSET", K.plan(id), "q" .. n, awaited)
  call("HDEL", K.plan(id), "u" .. n)
  jot(id, "action.waiting", n, run.revision, '{"for":"delivery"}')
  if call("HEXISTS", K.plan(id), "d" .. n .. " " .. awaited) == 1 then
    resume(run, n)
  elseif timeout > 0 then
    r.at = now + timeout
    save_record(id, r)
    call("ZADD", K.wake(), r.at, id .. " " .. n)
  end
end
return ready_reply(run, "waiting", window, "")
