--[[
  Create a run out of what another one was: its plan is given as it is to be written, and goes on where it
  stands. Safe to repeat: the same nonce finds its own run.

  KEYS[1]  run  hash  the header of the new run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  window   links in one chain
  ARGV[4…] head     what it is, as include/creation.lua reads it, without stages
           nodes    how many nodes its plan has
           fields   of its plan: count, then names and texts
           values   of its store: count, then key, value, metadata or empty, count of what was appended, that
           details  JSON for the journal: who edits it
           edits    of the plan before it begins, as include/edits.lua reads them

  Returns  "created", ready…  |  "taken" (the run id)
        |  "duplicate", stage id  |  "finished", stage  |  "conflict", detail  |  "limit", name, allowed
]]
--- @include "creation"
--- @include "edits"
--- @include "outcome"
local id, window = arg(), number()
local new = read_run(id)
local known = call("HMGET", K.run(id), "nonce", "status")
if known[2] and known[1] ~= new.nonce then
  return { "taken" }
elseif known[2] then
  return { "created" }
end
local nodes = number()
local carriers, records = {}, {} -- node -> text
for _ = 1, number() do
  local name, text = arg(), arg()
  local kept = ({ c = carriers, r = records })[string.sub(name, 1, 1)]
  if kept then
    kept[string.sub(name, 2)] = text
  end
  call("HSET", K.plan(id), name, text)
end

--- Writes a value of the store with what belongs to it: its size.
local function write_value()
  local key, value, meta = arg(), arg(), arg()
  local size = #key + #value
  call("HSET", K.store(id), key, value)
  if meta ~= "" then
    call("HSET", K.meta(id), key, meta)
  end
  for _ = 1, number() do
    local item = arg()
    call("RPUSH", K.items(id, key), item)
    size = size + #item
  end
  if string.sub(value, 1, 1) == "L" then
    call("HSET", K.run(id), "appended", 1)
  end
  return size
end

local bytes = 0
for _ = 1, number() do
  bytes = bytes + write_value()
end

--- Takes back what was written, for the plan refuses the edits.
local function withdraw()
  local values = call("HGETALL", K.store(id))
  for i = 1, #values, 2 do
    call("UNLINK", K.items(id, values[i]))
  end
  call("UNLINK", K.plan(id), K.store(id), K.meta(id), K.run(id))
end

local details, edits = arg(), read_edits()
local run = { id = id, status = "pending", revision = 1, retention = new.retention, submitted = now }
steps = steps + STEPS_A_NODE * nodes
call("HSET", K.run(id), "added_actions", 0, "added_stages", 0, "most_actions", new.most_actions,
  "most_stages", new.most_stages)
local no = refuse(run, edits, true, "", 0, {})
if no then
  withdraw()
  return no
end

--- Counts what of the plan is to be done.
local function count_planned()
  for n, carrier in pairs(carriers) do
    if string.find(AHEAD, string.sub(records[n] or "", 1, 1), 1, true) then
      count(id, carrier, "n", 1)
    end
  end
  for n in pairs(records) do
    if is_left_out(run, n) and links(run, n).mode then
      local s = load_scope(run, n)
      count_members(run, n, -1, s.began > 0 and links(run, n) or nil)
    end
  end
end

write_header(new)
longest[id], noted.workflows[id] = tonumber(new.longest), new.workflow
count_planned()
call("HSET", K.run(id), "nodes", nodes, "planned", nodes, "bytes", bytes)
jot(id, "run.submitted", 0, 1, new.details)
apply_edits(run, edits)
note_revision(run, 0, details)
local _, _, begin_run = reopening()
begin_run(run)
return ready_reply(run, "created", window, "")
