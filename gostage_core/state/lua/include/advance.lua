--[[
  Moves a plan on. Loops walk siblings and recursion walks nesting, so that no plan is too long for
  the stack.
]]
--- @include "values"
--- @include "ending"
--- @include "links"
local began_now = {}

--- A scope's progress, in r<n>: state|open|cursor|active|extra|began|ended. Members that were added
--- are in extra, as ranges of ids; they are taken before those that the cursor has not come to.
local function load_scope(run, n)
  local text = call("HGET", K.plan(run.id), "r" .. n)
  if not text then
    return nil
  end
  local state, open, at, active, extra, began, ended = string.match(text,
    "^(%l)|(%d+)|(%d+)|(%d+)|([%d%- ]*)|(%d+)|(%d+)$")
  if not state then
    error("CORRUPT record r" .. n)
  end
  return { n = n, state = state, open = tonumber(open), cursor = at, active = tonumber(active),
           extra = extra, began = tonumber(began), ended = tonumber(ended) }
end

local function save_scope(run, s)
  call("HSET", K.plan(run.id), "r" .. s.n, string.format("%s|%d|%s|%d|%s|%.0f|%.0f",
    s.state, s.open, s.cursor, s.active, s.extra, s.began, s.ended))
end

local function end_scope(run, s, state)
  s.state, s.ended = state, now
  save_scope(run, s)
  if s.n ~= "0" then
    jot(run.id, "stage.completed", s.n, run.revision)
  end
end

--- Makes an action ready: from here on it has a timer, so that a lost message costs seconds.
local function make_ready(run, n, r)
  r = r or new_record(n)
  r.state, r.token, r.at, r.resends = "r", "", now, 0
  save_record(run.id, r)
  call("SADD", K.live(run.id), n)
  call("ZADD", K.wake(), now + OVERDUE_MS, run.id .. " " .. n)
  began_now[#began_now + 1] = n
end

local begin

--- Begins `n` or the first sibling after it that lives; false when the sequence has run out.
local function walk(run, n)
  while n ~= "0" do
    if call("HEXISTS", K.plan(run.id), "r" .. n) == 0 and begin(run, n) then
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
      s.extra = n == last and rest or string.format("%d-%s %s", n + 1, last, rest)
    else
      n = s.cursor
      if n == "0" then
        break
      end
      s.cursor = links(run, n).next
    end
    if call("HEXISTS", K.plan(run.id), "r" .. n) == 0 then
      if begin(run, n) then
        s.active = s.active + 1
      else
        s.open = s.open - 1
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

--- Begins a node: true when it lives now, false when it ended at once (an empty stage).
begin = function(run, n)
  local l = links(run, n)
  if not l.mode then
    make_ready(run, n)
    return true
  end
  local s = { n = n, state = "x", open = 0, cursor = "0", active = 0, extra = "", began = now, ended = 0 }
  if n ~= "0" then
    jot(run.id, "stage.started", n, run.revision)
  end
  write_initial(run, n)
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
  if not lives then
    end_scope(run, s, "c")
  end
  return lives
end

--- An entry has ended: goes on with what follows it, up to the end of the run.
local function move_on(run, n)
  local l = links(run, n)
  while true do
    local up = l.up
    local outer = links(run, up)
    if outer.mode == "s" then
      if walk(run, l.next) then
        return
      end
      end_scope(run, load_scope(run, up), "c")
    else
      local s = load_scope(run, up)
      s.open, s.active = s.open - 1, s.active - 1
      if fill(run, s, outer.limit) then
        save_scope(run, s)
        return
      end
      end_scope(run, s, "c")
    end
    if up == "0" then
      finish(run, "completed")
      return
    end
    l = outer
  end
end

--- Goes on behind an entry that has ended. Where the plan is damaged the run ends, and says why.
local function go_on(run, n)
  local sound, problem = pcall(move_on, run, n)
  if not sound then
    began_now = {}
    local text = type(problem) == "table" and problem.err or tostring(problem)
    halt(run, "failed", cjson.encode({ type = "CorruptRunError", message =
      "the plan is damaged behind entry " .. n .. ": " .. string.gsub(text, "^user_script:%d+: ", "") }))
  end
end

--- What became ready, each with its carrier. `keep`: the chain at hand goes on with it. `group`: side
--- by side. `chain`: one, and behind it in a sequence the next ones.
local function ready_reply(run, word, window, have)
  local reply = { word, "group" }
  if #began_now == 1 and began_now[1] == have then
    reply[2] = "keep"
    return reply
  end
  for _, n in ipairs(began_now) do
    reply[#reply + 1] = n
    reply[#reply + 1] = call("HGET", K.plan(run.id), "c" .. n)
  end
  if #began_now ~= 1 then
    return reply
  end
  reply[2] = "chain"
  local l = links(run, began_now[1])
  if links(run, l.up).mode == "p" then
    return reply
  end
  while #reply < 2 + 2 * window and l.next ~= "0" do
    local n, sound = l.next, nil
    sound, l = pcall(links, run, n) -- damage further on shows when the run comes to it
    if not sound or l.mode then
      break
    end
    if call("HEXISTS", K.plan(run.id), "r" .. n) == 0 then
      reply[#reply + 1] = n
      reply[#reply + 1] = call("HGET", K.plan(run.id), "c" .. n)
    end
  end
  return reply
end
