--[[
  Begins what a scope holds. Loops walk siblings and recursion walks nesting, so that no plan is too
  long for the stack.
]]
--- @include "values"
--- @include "ending"
--- @include "links"
local began_now = {}
local STAGE_ENDS = { c = "completed", f = "failed", s = "skipped", k = "cancelled" }

--- A scope's progress, in r<n>: state|open|cursor|active|extra|began|ended|good|bad|failed. Members that
--- were added are in extra, as ranges of ids; they are taken before those that the cursor has not
--- come to. States: x running, f failing or failed, c completed, s skipped, k cancelled, d disabled,
--- m removed, p pending again in a run that was reopened.
local function load_scope(run, n)
  local text = call("HGET", K.plan(run.id), "r" .. n)
  if not text then
    return nil
  end
  local state, open, at, active, extra, began, ended, good, bad, failed = string.match(text, SCOPE)
  if not state then
    error("CORRUPT record r" .. n)
  end
  return { n = n, state = state, open = tonumber(open), cursor = at, active = tonumber(active), extra = extra,
           began = tonumber(began), ended = tonumber(ended), good = tonumber(good), bad = tonumber(bad), failed = failed }
end

local function save_scope(run, s)
  call("HSET", K.plan(run.id), "r" .. s.n, string.format("%s|%d|%s|%d|%s|%.0f|%.0f|%d|%d|%s",
    s.state, s.open, s.cursor, s.active, s.extra, s.began, s.ended, s.good, s.bad, s.failed))
end

local function new_scope(n)
  return { n = n, state = "x", open = 0, cursor = "0", active = 0, extra = "", began = now, ended = 0,
           good = 0, bad = 0, failed = "0" }
end

local function end_scope(run, s, l, state)
  s.state, s.ended = state, now
  save_scope(run, s)
  if state == "s" then
--- @inline "leaving"
    count_members(run, s.n, -1, l)
  end
  if l.up == "0" and s.n ~= "0" then
    jot(run.id, "stage." .. STAGE_ENDS[state], s.n, run.revision)
  end
end

--- Makes an action ready: from here on somebody looks for its message, so that a lost one costs seconds.
--- In a paused run it has none. The token of its last attempt stays, for claims of that which come late.
local function make_ready(run, n, r)
  r = r or new_record(n)
  r.state, r.at, r.resends = "r", now, 0
  save_record(run.id, r)
  call("SADD", K.live(run.id), n)
  if not run.paused then
    call("ZADD", K.sent(), now + OVERDUE_MS, run.id .. " " .. n)
    began_now[#began_now + 1] = { run.id, n }
  end
end

--- Sets until when an action whose turn has come is to be done in all, where it has a deadline.
local function set_due(run, n, l)
  if l.deadline then
    call("HSET", K.plan(run.id), "x" .. n, string.format("%.0f", now + l.deadline))
    call("ZADD", K.wake(), now + l.deadline, run.id .. " " .. n .. " d")
  else
    call("ZREM", K.wake(), run.id .. " " .. n .. " d")
  end
end

--- Lets an entry sleep until `at`; it goes on with a phase, holding nothing meanwhile. In a paused run it has
--- no timer.
local function sleep(run, r, at, phase)
  let_go(run, r)
  r.state, r.at, r.phase = "z", at, phase
  save_record(run.id, r)
  call("ZREM", K.wake(), run.id .. " " .. r.n .. " t")
  if not run.paused then
    call("ZADD", K.wake(), at, run.id .. " " .. r.n)
  end
end

--- Gives an entry back what pausing took: its message, or its timer.
local function set_going(run, r)
  if r.state == "r" then
    make_ready(run, r.n, r)
  elseif r.state == "z" or (r.state == "w" and r.at > 0) then
    call("ZADD", K.wake(), r.at, run.id .. " " .. r.n)
  end
end

--- Looks at a member whose turn has come: nil when it is to begin, "now" when it was disabled or
--- removed and its turn passes here, "before" when it has begun or ended already.
local function passed(run, n)
  local text = call("HGET", K.plan(run.id), "r" .. n)
  local state = string.sub(text or "p", 1, 1)
  if state == "p" then
    return nil, text
  elseif state ~= "d" and state ~= "m" then
    return "before"
  end
  local r = parse_record(n, text)
  local one = r or load_scope(run, n)
  if one.ended > 0 then
    return "before"
  end
  one.ended = now
  if state == "d" then
    one.state = "s"
    jot(run.id, (r and "action" or "stage") .. ".skipped", n, run.revision)
  end
  if r then
    save_record(run.id, r)
  else
    save_scope(run, one)
  end
  return "now"
end

local begin, begin_again

--- Begins `n` or the first sibling after it that lives; false when the sequence has run out.
local function walk(run, n)
  while n ~= "0" do
    local how, before = passed(run, n)
    if not how and begin(run, n, before) then
      return true
    end
    n = links(run, n).next
  end
  return false
end

--- Fills a parallel scope up to its limit; false when nothing of it is open any more.
local function fill(run, s, limit)
  while s.active < limit do
    local n, last, rest = string.match(s.extra, "^(%d+)%-(%d+) ?(.*)$")
    if n then
      local left = n ~= last and string.format("%d-%s", n + 1, last) or ""
      s.extra = left .. (left ~= "" and rest ~= "" and " " or "") .. rest
    else
      n = s.cursor
      if n == "0" then
        break
      end
      s.cursor = links(run, n).next
    end
    local how, before = passed(run, n)
    if how == "now" then
      s.open = s.open - 1
    elseif not how then
      if begin(run, n, before) then
        s.active = s.active + 1
      else
        s.open, s.good = s.open - 1, s.good + 1
      end
    end
  end
  return s.open > 0
end

local function write_initial(run, n)
  local text = call("HGET", K.plan(run.id), "i" .. n)
  if text then
    local values = cjson.decode(text)
    for i = 1, #values, 2 do
      replace(run.id, values[i], values[i + 1])
    end
  end
end

--- What a scope holds is over: true when a hook lives now, else the scope has ended.
local function close(run, s, l)
  if l.after ~= "0" and call("HEXISTS", K.plan(run.id), "r" .. l.after) == 0 then
    save_scope(run, s)
    make_ready(run, l.after)
    return true
  end
  end_scope(run, s, l, s.state == "x" and "c" or s.state)
  return false
end

--- Begins the members of a scope: true when something lives now, else the scope has ended.
local function begin_members(run, s, l)
  local lives
  if l.mode == "s" then
    save_scope(run, s)
    lives = walk(run, l.first)
  else
    local m = l.first
    while m ~= "0" do
      s.open = s.open + 1
      m = links(run, m).next
    end
    s.cursor = l.first
    lives = fill(run, s, l.limit)
    save_scope(run, s)
  end
  return lives or close(run, s, l)
end

--- Begins a node: true when it lives now, false when it ended at once (an empty stage). `before` is its
--- record, where it began once already in a run that was reopened since.
begin = function(run, n, before)
  if before then
    return begin_again(run, n, before)
  end
  local l = links(run, n)
  if not l.mode then
    make_ready(run, n)
    if l.deadline then
      set_due(run, n, l)
    end
    return true
  end
  local s = new_scope(n)
  if l.up == "0" and n ~= "0" then
    call("HSET", K.run(run.id), "stage", n)
    jot(run.id, "stage.started", n, run.revision)
  end
  write_initial(run, n)
  if l.before ~= "0" then
    save_scope(run, s)
    make_ready(run, l.before)
    return true
  end
  return begin_members(run, s, l)
end
