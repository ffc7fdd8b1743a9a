--[[
  Changes of a plan: all are checked before the first write, and each that is applied is noted for the
  journal.
]]
--- @include "nodes"
--- @include "leaving"
local OPEN = { x = true, d = true, p = true }

--- count, then of each: disable n | enable n | remove n | set n spec carrier limits throttle |
--- add stage after actions | stage after stage
local function read_edits()
  local edits = {}
  for i = 1, number() do
    local e = { op = arg(), n = arg() }
    if e.op == "set" then
      e.spec, e.carrier, e.limits, e.throttle = arg(), arg(), arg(), arg()
    elseif e.op == "add" then
      e.after = arg()
      e.actions = read_actions()
    elseif e.op == "stage" then
      e.stage = read_stage()
    end
    edits[i] = e
  end
  return edits
end

--- Whether an entry or a stage has not begun, so that it can be changed: its record, or "" for none.
local function untouched(run, n)
  local text = call("HGET", K.plan(run.id), "r" .. n)
  local state, r = string.sub(text or "d", 1, 1), text and parse_record(n, text)
  if state == "d" then
    return text or ""
  end
  local waits = state == "r" or state == "h" or state == "p"
  return waits and r and r.began == 0 and text or nil
end

--- Whether the scope of a node still goes on, or has not begun.
local function goes_on(run, up)
  local text = call("HGET", K.plan(run.id), "r" .. up)
  return not text or OPEN[string.sub(text, 1, 1)]
end

local function check_limit(run, what, count)
  if count == 0 then
    return nil
  end
  local v = call("HMGET", K.run(run.id), "added_" .. what, "most_" .. what)
  check_count(v[1], "header")
  check_count(v[2], "header")
  if v[2] and tonumber(v[1] or 0) + count > tonumber(v[2]) then
    return { "limit", "max_added_" .. what, v[2] }
  end
end

--- The answer that refuses the changes, or nil. `strict`: whatever has begun meanwhile refuses them all;
--- else what has begun is left as it is. `self` is the entry that makes them. It reads all that they need, so that
--- damage shows before the first write.
local function refuse(run, edits, strict, self, actions, stages)
  local ids = {}
  for _, e in ipairs(edits) do
    local known = call("HGET", K.plan(run.id), "l" .. e.n)
    if not known then
      return { "conflict", "entry " .. e.n .. " is not in the plan" }
    end
    if e.op == "add" then
      actions = actions + #e.actions
      local text = call("HGET", K.plan(run.id), "r" .. e.n)
      local s = text and load_scope(run, e.n)
      local outer = links(run, e.n)
      local is_over = s and outer.after ~= "0" and call("HEXISTS", K.plan(run.id), "r" .. outer.after) == 1
      if s and (is_over or not OPEN[s.state]) then
        return { "finished", e.n }
      end
      if e.after == "" and outer.last ~= "0" then
        links(run, outer.last)
      elseif e.after ~= "" then
        if links(run, e.after).up ~= e.n then
          return { "conflict", "entry " .. e.after .. " is not in the stage" }
        end
        local gone = s and e.after ~= self and outer.mode == "s" and call("HGET", K.plan(run.id), "r" .. e.after)
        if gone and not LIVE[string.sub(gone, 1, 1)] and untouched(run, e.after) == nil then
          return { "conflict", "entry " .. e.after .. " has passed" }
        end
      end
    elseif e.op == "stage" then
      stages[#stages + 1] = e.stage
      local text = call("HGET", K.plan(run.id), "r" .. e.n)
      local s = text and load_scope(run, e.n)
      links(run, e.n)
      links(run, "0")
      if s and e.n ~= "0" and s.ended > 0 and s.state ~= "d" then
        return { "conflict", "stage " .. e.n .. " has passed" }
      end
    elseif not (untouched(run, e.n) and goes_on(run, links(run, e.n).up)) then
      if strict then
        return { "conflict", "entry " .. e.n .. " has begun or ended" }
      end
      e.void = true
    end
  end
  for _, stage in ipairs(stages) do
    actions = actions + #stage.actions
    if ids[stage.id] or call("HEXISTS", K.plan(run.id), "g" .. stage.id) == 1 then
      return { "duplicate", stage.id }
    end
    ids[stage.id] = true
  end
  return check_limit(run, "actions", actions) or check_limit(run, "stages", #stages)
end

local notes = {}
local grown = {} -- parallel scopes that got members, and may have room for them

local function add_note(...)
  notes[#notes + 1] = cjson.encode({ ... })
end

local function add_named(op, ids)
  if #ids > 0 then
    table.insert(ids, 1, op)
    notes[#notes + 1] = cjson.encode(ids)
  end
end

--- Counts what was added, against the limits.
local function count_added(run, what, count)
  call("HINCRBY", K.run(run.id), "added_" .. what, count)
end

--- Adds actions to a scope, behind a member of it, or at its end.
local function add_actions(run, up, after, actions)
  local outer = links(run, up)
  after = after == "" and outer.last or after
  local first, last
  if after == "0" then
    first, last = write_actions(run.id, up, actions, "0")
    outer.first, outer.last = first, last
    save_links(run, up, outer)
  else
    local l = links(run, after)
    first, last = write_actions(run.id, up, actions, l.next)
    l.next = first
    save_links(run, after, l)
    if outer.last == after then
      outer.last = last
      save_links(run, up, outer)
    end
  end
  local s = outer.mode == "p" and load_scope(run, up)
  if s and s.state == "x" and (outer.before == "0" or s.open > 0) then
    s.open = s.open + #actions
    s.extra = s.extra .. (s.extra ~= "" and " " or "") .. first .. "-" .. last
    save_scope(run, s)
    grown[#grown + 1] = up
  end
  for _, a in ipairs(is_left_out(run, up) and actions or {}) do
    count(run.id, a.carrier, "n", a.state ~= "d" and -1 or 0)
  end
  count_added(run, "actions", #actions)
  add_note("add", up, after, first, last)
end

--- Puts a new stage behind another one; behind 0 it is the first.
local function add_stage(run, after, stage, by, order)
  local at = links(run, after)
  local n, first, last
  if after == "0" then
    n, first, last = write_stage(run.id, stage, at.first, by, order)
    at.first = n
    at.last = at.last == "0" and n or at.last
  else
    n, first, last = write_stage(run.id, stage, at.next, by, order)
    at.next = n
    local root = links(run, "0")
    if root.last == after then
      root.last = n
      save_links(run, "0", root)
    end
  end
  save_links(run, after, at)
  count_added(run, "stages", 1)
  count_added(run, "actions", #stage.actions)
  add_note("stage", n, after, first, last)
  return n
end

--- Has a ready entry asked again whether its throttle lets it in.
local function requeue(run, r)
  let_go(run, r)
  make_ready(run, r.n, r)
end

--- Puts a node back into its turn.
local function take_in(run, n)
  call("HDEL", K.plan(run.id), "r" .. n)
  local l = links(run, n)
  if l.mode then
    count_members(run, n, 1)
  elseif not is_left_out(run, l.up) then
    count(run.id, call("HGET", K.plan(run.id), "c" .. n), "n", 1)
  end
end

--- Takes a node that has not begun out of its turn; true when its message was under way already.
local function take_out(run, n, state)
  local r = load_record(run.id, n)
  if r and LIVE[r.state] then
    settle(run, r, state == "d" and "s" or state)
    jot(run.id, "action." .. (state == "d" and "skipped" or "removed"), n, run.revision)
    return true
  end
  local l = links(run, n)
  if l.mode then
    if not is_left_out(run, n) then
      count_members(run, n, -1)
    end
    call("HSET", K.plan(run.id), "r" .. n, state .. "|0|0|0||0|0|0|0|0")
  else
    r = r or new_record(n)
    r.state = state
    r.was = is_left_out(run, l.up) and state or r.was -- it was not planned any more
    save_record(run.id, r)
  end
end

--- Applies the changes, which have been checked: the entries whose turn has passed by it.
local function apply_edits(run, edits)
  local over, named = {}, { disable = {}, enable = {}, remove = {} }
  for _, e in ipairs(edits) do
    if e.op == "add" then
      add_actions(run, e.n, e.after, e.actions)
    elseif e.op == "stage" then
      add_stage(run, e.n, e.stage, "0", "")
    elseif not e.void and e.op == "set" then
      add_note("set", e.n, call("HGET", K.plan(run.id), "s" .. e.n))
      local l = links(run, e.n)
      local is_planned = string.find(AHEAD, string.sub(untouched(run, e.n) or "-", 1, 1), 1, true) and not is_left_out(run, l.up)
      count(run.id, call("HGET", K.plan(run.id), "c" .. e.n), "n", is_planned and -1 or 0)
      count(run.id, e.carrier, "n", is_planned and 1 or 0)
      local r = sound_record(run, e.n)
      if r and (r.state == "h" or r.place ~= "0") then
        requeue(run, r) -- it stands in line for the throttle that it had
      end
      local timeout, deadline = string.match(e.limits, "^(%d+)D?(%d*)$")
      l.timeout, l.deadline, l.throttled = timeout, tonumber(deadline), e.throttle ~= "" and "T" or ""
      save_links(run, e.n, l)
      if r and LIVE[r.state] then
        set_due(run, e.n, l)
      end
      call("HSET", K.plan(run.id), "s" .. e.n, e.spec, "c" .. e.n, e.carrier, "t" .. e.n, e.throttle)
    elseif not e.void then
      local text = untouched(run, e.n) -- nil where an edit before this one has taken it out
      local is_off = text and string.sub(text, 1, 1) == "d"
      if e.op == "enable" and is_off then
        take_in(run, e.n)
        table.insert(named.enable, e.n)
      elseif text and (e.op == "remove" or (e.op == "disable" and not is_off)) then
        if take_out(run, e.n, e.op == "remove" and "m" or "d") then
          over[#over + 1] = e.n
        end
        table.insert(named[e.op], e.n)
      end
    end
  end
  for _, op in ipairs({ "disable", "enable", "remove" }) do
    add_named(op, named[op])
  end
  return over
end

--- Begins members that were added to parallel scopes with room for them: it may be long until another
--- member ends, or what is added may be what they wait for.
local function begin_added(run)
  for _, n in ipairs(grown) do
    local s, l = load_scope(run, n), links(run, n)
    local is_over = l.after ~= "0" and call("HEXISTS", K.plan(run.id), "r" .. l.after) == 1
    if s.state == "x" and s.open > 0 and not is_over and not draining(run, n) and not is_left_behind(run, n) then
      fill(run, s, l.limit)
      save_scope(run, s)
    end
  end
end

--- Makes what was applied a revision of the plan. `details` is a JSON object, which is not empty.
local function note_revision(run, n, details)
  if #notes > 0 then
    run.revision = run.revision + 1
    call("HSET", K.run(run.id), "revision", run.revision)
    jot(run.id, "plan.changed", n, run.revision,
      string.sub(details, 1, -2) .. ',"ops":[' .. table.concat(notes, ",") .. "]}")
  end
end
