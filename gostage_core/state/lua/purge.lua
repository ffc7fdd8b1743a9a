--[[
  Forget a run that has ended, with everything that was its. When asked to, one that has not is ended first: what
  runs of it is fenced. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id
  ARGV[3]  window  links in one chain
  ARGV[4]  why     JSON: who deletes it and why, with its child runs; or empty for one past its retention

  Returns  "purged", ready… (of other runs)  |  "damaged", ids, ready… (the same; there may be more of these than
           their records tell of)  |  "live" (it has not ended, or the run above it)  |  "gone"
]]
--- @include "outcome"
local id, window, why = arg(), number(), arg()
local STATUSES = { "pending", "running", "sleeping", "waiting", "paused", "completed", "failed", "cancelled", "bailed" }
local unreadable = {} -- runs whose records may not tell of all that is theirs

--- The run, or nil where there is none, or none that can be read. Such a one is not known to have ended: it
--- is left alone, unless somebody asks for it; and so is always one that a later version wrote.
local function run_of(id)
  local sound, run = pcall(load_run, id)
  if sound then
    return run
  end
  local text = type(run) == "table" and run.err or run
  if why == "" or string.find(text, "NEWER", 1, true) then
    error(text, 0)
  end
  unreadable[id] = true
  return nil
end

--- Whether all that lives in a run can be read: what cannot may have timers.
local function is_readable(run)
  for _, n in ipairs(call("SMEMBERS", K.live(run.id))) do
    if not sound_record(run, n) then
      return false
    end
  end
  local v = call("HMGET", K.run(run.id), "held", "verdict")
  return v[1] or v[2] or call("EXISTS", K.live(run.id)) == 1
end

--- Ends a run at once, whatever it does: what runs is fenced, and its worker told to stop it.
local function end_now(run)
  if run.stop == nil then
    halt(run, "cancelled", why)
  end
  for _, r in ipairs(living(run, "0")) do
    if r.state == "x" then
      doom(run, r)
    end
    settle(run, r, "k")
  end
  if not TERMINAL[run.status] then
    finish(run, "cancelled")
  end
end

--- Forgets what was appended to the values of a run.
local function forget_items(id, bytes)
  local keys = redis.pcall("HKEYS", K.store(id))
  if keys.err or (#keys == 0 and bytes ~= "0") then
    unreadable[id] = true
  end
  for _, key in ipairs(keys) do
    call("UNLINK", K.items(id, key))
  end
end

--- Takes a run out of the index of a tag or a workflow, as its header names it.
local function forget_name(index, id)
  if call("ZREM", index, id) == 0 then
    unreadable[id] = true
  end
end

--- Takes a run out of the indexes.
local function forget_names(id, workflow, tags, key)
  local sound, words = pcall(cjson.decode, tags or "")
  words = sound and type(words) == "table" and words or {}
  if not workflow or not key or #words == 0 then
    unreadable[id] = true
  end
  for _, tag in ipairs(words) do
    if tag ~= "" then
      tag = tostring(tag)
      forget_name(K.tag(tag), id)
    end
  end
  if workflow then
    forget_name(K.workflow(workflow), id)
  end
  for _, status in ipairs(STATUSES) do
    call("ZREM", K.status(status), id)
  end
  call("ZREM", K.runs(), id)
  call("ZREM", K.expiry(), id)
  call("ZREM", K.wake(), id .. " d", id .. " r", id .. " u")
  if key and key ~= "" and call("HGET", K.keys(), key) == id then
    call("HDEL", K.keys(), key)
  end
end

--- Forgets a run, whatever of it is there and can be read: how many keys it had.
local function forget(id)
  local v = redis.pcall("HMGET", K.run(id), "workflow", "tags", "key", "bytes", "appended")
  if v[5] then
    forget_items(id, v[4])
  end
  forget_names(id, v[1], v[2], v[3])
  return call("UNLINK", K.run(id), K.plan(id), K.live(id), K.store(id), K.meta(id), K.journal(id), K.messages(id),
    K.inbox(id), K.undo(id), K.past(id), K.left(id))
end

--- Whether a run is the child of an entry, by what it knows of itself, or by its name where that is damaged.
local function is_child(child, id, n)
  local above = redis.pcall("HGET", K.run(child), "parent")
  if type(above) == "string" then
    return above == id .. " " .. n
  end
  local name = id .. "." .. n
  return string.sub(child, 1, #name) == name and call("EXISTS", K.run(child)) == 1
end

--- The child runs of a plan, those of earlier tries too, that know it as the one above: a damaged plan may name
--- any run.
local function children(id)
  local found = {}
  for _, field in ipairs(redis.pcall("HKEYS", K.plan(id))) do
    local n = string.match(field, "^a(%d+)$")
    for child in string.gmatch(n and call("HGET", K.plan(id), field) or "", "[^\n]+") do
      if is_child(child, id, n) then
        found[#found + 1] = child
      end
    end
  end
  return found
end

local forgotten = {}

--- Ends a run and forgets it, and after it its child runs, which then make nobody go on: how many keys it had.
local function delete(id)
  local run = run_of(id)
  if run and not TERMINAL[run.status] then
    local whole, sound = is_readable(run), pcall(end_now, run) -- what is damaged goes away all the same
    unreadable[id] = unreadable[id] or not (whole and sound) or nil
  end
  local has_ended = TERMINAL[redis.pcall("HGET", K.run(id), "status")]
  count_up(id, has_ended and 0 or -1)
  local below = children(id)
  forgotten[id], tallies[id], replaced[id] = true, nil, nil
  local keys = forget(id)
  for _, child in ipairs(below) do
    if not forgotten[child] then
      delete(child)
    end
  end
  return keys
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

--- Whether the run above it goes on, which may still ask how this one went.
local function is_awaited()
  local above = run_beside(string.match(call("HGET", K.run(id), "parent") or "", "^%S+"))
  return above and not TERMINAL[above.status]
end

local run = run_of(id)
if run and why == "" and (not TERMINAL[run.status] or is_awaited()) then
  call("ZADD", K.expiry(), "XX", now + math.max(run.retention, OVERDUE_MS), id)
  return { "live" }
end
local keys = why == "" and forget(id) or delete(id)
if not run and keys == 0 then
  return { "gone" }
end
keep_others()
run = run or { id = id }
if not next(unreadable) then
  return ready_reply(run, "purged", window, "")
end
local ids = {}
for one in pairs(unreadable) do
  ids[#ids + 1] = one
end
local reply = ready_reply(run, "damaged", window, "")
table.insert(reply, 2, table.concat(ids, " "))
return reply
