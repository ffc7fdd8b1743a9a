--[[
  Forget a run that has ended, with everything that was its. When asked to, one that has not is ended first: what
  runs of it is fenced. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id
  ARGV[3]  window  links in one chain
  ARGV[4]  why     JSON: who deletes it and why, with its child runs; or empty for one past its retention

  Returns  "purged", ready… (of other runs)  |  "live" (it has not ended, or the run above it)  |  "gone"
]]
--- @include "outcome"
local id, window, why = arg(), number(), arg()
local run = load_run(id)
if not run then
  call("ZREM", K.expiry(), id)
  return { "gone" }
end

--- Whether the run above it goes on, which may still ask how this one went.
local function is_awaited()
  local parent = string.match(call("HGET", K.run(id), "parent") or "", "^%S+")
  local known, above = pcall(load_run, parent or "")
  return known and above and not TERMINAL[above.status]
end

if why == "" and (not TERMINAL[run.status] or is_awaited()) then
  call("ZADD", K.expiry(), "XX", now + math.max(run.retention, OVERDUE_MS), id)
  return { "live" }
end

--- Ends a run at once, whatever it does: what runs is fenced, and its worker told to stop it.
local function end_now(run)
  if run.stop == nil then
    halt(run, "cancelled", why)
  end
  for _, r in ipairs(living(run, "0")) do
    if r.state == "x" then
      local process, slot = string.match(r.where, "^(.*)/([^/]*)$")
      call("HSET", K.doomed(), process or "", (slot or "") .. " " .. run.id .. " " .. r.n)
    end
    settle(run, r, "k")
  end
  if not TERMINAL[run.status] then
    finish(run, "cancelled")
  end
end

local forgotten = {}

--- Forgets a run.
local function forget(run)
  local id = run.id
  local v = call("HMGET", K.run(id), "workflow", "tags", "key", "appended")
  if v[4] then
    local values = call("HGETALL", K.store(id))
    for i = 1, #values, 2 do
      if string.sub(values[i + 1], 1, 1) == "L" then
        call("UNLINK", K.items(id, values[i]))
      end
    end
  end
  local sound, tags = pcall(cjson.decode, v[2] or "")
  for _, tag in ipairs(sound and tags or {}) do
    call("ZREM", K.tag(tag), id)
  end
  call("ZREM", K.workflow(v[1] or ""), id)
  call("ZREM", K.status(run.status), id)
  call("ZREM", K.runs(), id)
  call("ZREM", K.expiry(), id)
  call("ZREM", K.wake(), id .. " r", id .. " u")
  if v[3] ~= "" and call("HGET", K.keys(), v[3]) == id then
    call("HDEL", K.keys(), v[3])
  end
  call("UNLINK", K.run(id), K.plan(id), K.live(id), K.store(id), K.meta(id), K.journal(id), K.messages(id), K.inbox(id),
    K.undo(id), K.past(id))
  forgotten[id], tallies[id], replaced[id] = true, nil, nil
end

--- The child runs of a plan.
local function children(run)
  local found, fields = {}, call("HKEYS", K.plan(run.id))
  for _, field in ipairs(fields) do
    if string.match(field, "^u%d+$") then
      found[#found + 1] = call("HGET", K.plan(run.id), field)
    end
  end
  return found
end

--- Ends a run and forgets it, and after it its child runs, which then make nobody go on.
local function delete(run)
  if not TERMINAL[run.status] then
    end_now(run)
  end
  local below = children(run)
  forget(run)
  for _, child in ipairs(below) do
    local sound, its = pcall(load_run, child)
    if sound and its then
      delete(its)
    end
  end
end

--- Takes back what became ready in runs that are forgotten: hooks, in a run that was ended.
local function keep_others()
  local others = {}
  for _, one in ipairs(began_now) do
    if not forgotten[one[1]] then
      others[#others + 1] = one
    end
  end
  began_now = others
end

if why == "" then
  forget(run)
else
  delete(run)
  keep_others()
end
return ready_reply(run, "purged", window, "")
