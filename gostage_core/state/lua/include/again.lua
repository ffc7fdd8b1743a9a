--[[
  Opens a run again that has failed or was cancelled, and in it what has failed or was cut off. What has
  completed stays so, at any depth: an action that waited for entries of its own, or for a child run,
  waits for them again.
]]
--- @include "memo"
local COUNTED = { c = "good", s = "over" }
local AGAIN = { f = true, k = true, x = true }
local reopen_run

--- Marks a member that is to be done again: "good" when it has completed, "over" when its turn has passed
--- otherwise, else "open".
local function mark(run, n)
  local text = call("HGET", K.plan(run.id), "r" .. n)
  local state = string.sub(text or "p", 1, 1)
  if COUNTED[state] then
    return COUNTED[state]
  end
  local r = text and parse_record(n, text)
  local one = r or (text and load_scope(run, n))
  if state == "m" then
    return one.ended > 0 and "over" or "open"
  elseif state == "f" and call("HEXISTS", K.plan(run.id), "b" .. n) == 1 then
    return "over" -- it was handled
  elseif AGAIN[state] then
    one.state, one.ended = "p", 0
    if r then
      r.fails, r.lost, r.began = 0, 0, 0
      save_record(run.id, r)
      jot(run.id, "action.reopened", n, run.revision)
    else
      save_scope(run, one)
    end
  end
  return "open"
end

--- Whether as many members have completed as their scope waits for: what it left out then stays so.
local function has_enough(run, l)
  local good, m = 0, l.quorum > 0 and l.first or "0"
  while m ~= "0" do
    good = good + (string.sub(call("HGET", K.plan(run.id), "r" .. m) or "", 1, 1) == "c" and 1 or 0)
    m = links(run, m).next
  end
  return l.quorum > 0 and good >= l.quorum
end

local function begin_members_again(run, s, l)
  if has_enough(run, l) then
    return false
  end
  local m = l.first
  while m ~= "0" do
    local how = mark(run, m)
    s.open = s.open + (how == "open" and 1 or 0)
    s.good = s.good + (how == "good" and 1 or 0)
    m = links(run, m).next
  end
  s.cursor = l.first
  save_scope(run, s)
  if l.mode == "s" then
    return walk(run, l.first)
  end
  local lives = fill(run, s, l.limit)
  save_scope(run, s)
  return lives
end

local function reopen_scope(run, n, l)
  local s = new_scope(n)
  s.began = load_scope(run, n).began
  if l.up == "0" and n ~= "0" then
    call("HSET", K.run(run.id), "stage", n)
    jot(run.id, "stage.reopened", n, run.revision)
  end
  if l.after ~= "0" and call("HDEL", K.plan(run.id), "r" .. l.after) == 1 then
    count(run.id, call("HGET", K.plan(run.id), "c" .. l.after), "n", 1)
    jot(run.id, "action.reopened", l.after, run.revision)
  end
  if l.before ~= "0" and mark(run, l.before) == "open" then
    save_scope(run, s)
    make_ready(run, l.before, load_record(run.id, l.before))
    return true
  end
  return begin_members_again(run, s, l) or close(run, s, l)
end

--- Goes on with the entries that an action waited for last: whether it does, and whether there were any.
local function reopen_below(run, r)
  local last = string.match(call("HGET", K.plan(run.id), "n" .. r.n) or "", "(%d+)$")
  if not last or mark(run, last) ~= "open" then
    return false, last
  end
  r.state, r.phase = "o", tonumber(links(run, last).order) or r.phase
  save_record(run.id, r)
  call("SADD", K.live(run.id), r.n)
  if not begin(run, last, call("HGET", K.plan(run.id), "r" .. last)) then
    resume(run, r.n)
  end
  return true, last
end

--- Gives a child run the deadline of the run above it.
local function take_deadline(run, child)
  local at = call("HGET", K.run(run.id), "deadline")
  if at then
    call("HSET", K.run(child.id), "deadline", at)
    call("ZADD", K.wake(), at, child.id .. " d")
  else
    call("HDEL", K.run(child.id), "deadline")
  end
end

--- Goes on with the child run that an action waited for: whether it does, and whether what it did counts. One that
--- was compensated has done nothing.
local function reopen_child(run, r)
  local child = call("HGET", K.plan(run.id), "u" .. r.n)
  local its = child and run_beside(child)
  if not its or call("HGET", K.run(child), "compensated") == "1" then
    return false, false
  elseif its.status == "completed" or its.status == "bailed" then
    r.phase = math.max(r.phase, 1)
    return false, true
  elseif not TERMINAL[its.status] then
    return false, false -- it was left to end by itself
  end
  r.state, r.phase = "w", 0
  save_record(run.id, r)
  call("SADD", K.live(run.id), r.n)
  take_deadline(run, its)
  soundly(its, "0", reopen_run, its, cjson.encode({ actor = "run " .. run.id }))
  return true, true
end

--- Has an entry begin from its first phase: waits that nothing came for have their whole time again.
local function begin_anew(run, r)
  r.phase = 0
  call("HDEL", K.plan(run.id), "q" .. r.n, "u" .. r.n)
  for which in string.gmatch(call("HGET", K.plan(run.id), "d" .. r.n) or "", "u(%d+)") do
    if call("HEXISTS", K.plan(run.id), "d" .. r.n .. " s" .. which) == 0 then
      unlearn(run.id, r.n, "u" .. which)
    end
  end
end

local function again(run, n, before)
  local l = links(run, n)
  if l.mode then
    return reopen_scope(run, n, l)
  end
  if l.deadline then
    set_due(run, n, l)
  end
  local r = parse_record(n, before)
  local lives, owned = reopen_below(run, r)
  if not lives and not owned then
    lives, owned = reopen_child(run, r)
  end
  if lives then
    return true
  elseif not owned then
    begin_anew(run, r)
  end
  make_ready(run, n, r)
  return true
end

--- Marks a scope to be opened again: its record, or nil where it has none.
local function mark_scope(run, n)
  local s = load_scope(run, n)
  if s then
    s.state, s.ended = "p", 0
    save_scope(run, s)
    return call("HGET", K.plan(run.id), "r" .. n)
  end
end

--- Goes on with the compensation of a run at what of it has failed.
local function reopen_undoing(run, stage)
  local s = load_scope(run, "0")
  s.state, s.ended, s.failed = "x", 0, "0"
  save_scope(run, s)
  if not begin(run, stage, mark_scope(run, stage)) then
    end_scope(run, s, links(run, "0"), "c")
    conclude(run, s)
  end
end

--- Lets the run in, where it has a throttle.
local function let_in(run)
--- @inline "admission"
  return call("HEXISTS", K.run(run.id), "throttle") == 0 or admit(throttle_of(run.id, "0"), "0")
end

--- Begins a run that is let in, or begins it again where it was opened again.
local function set_off(run)
  local stage = call("HGET", K.run(run.id), "undoing")
  if stage then
    reopen_undoing(run, stage)
  elseif not begin(run, "0", call("HGET", K.plan(run.id), "r0")) then
    finish(run, "completed")
  end
end

--- Begins a run, also again; one that its throttle does not let in is held until it is invited.
local function begin_run(run)
  if let_in(run) then
    set_off(run)
  else
    call("HSET", K.run(run.id), "held", 1)
    set_status(run, standing_of(run.id))
  end
end

reopen_run = function(run, details)
  local v = call("HMGET", K.run(run.id), "began", "undoing")
  count_up(run.id, 1)
  call("HDEL", K.run(run.id), "stop", "drain", "grace", "ended", "compensated")
  run.stop, run.drain, run.grace = nil, nil, nil
  call("ZREM", K.expiry(), run.id)
  set_status(run, v[1] and "running" or "pending")
  jot(run.id, "run.retried", 0, run.revision, details)
  if not v[2] then
    run.verdict = nil
    call("HDEL", K.run(run.id), "why", "failed", "verdict")
    mark_scope(run, "0")
  end
  begin_run(run)
end
