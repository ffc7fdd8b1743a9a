--[[
  Create a run: its header, its plan, its first store values, its indexes, and make its first
  actions ready. Safe to repeat: the same nonce finds its own run.

  KEYS[1]  run  hash  the header of the new run

  ARGV[1]   prefix     of every key
  ARGV[2]   run        its id
  ARGV[3]   nonce      of this call
  ARGV[4]   key        idempotency key, or empty
  ARGV[5]   workflow   id
  ARGV[6]   definition JSON of the workflow without its stages, opaque
  ARGV[7]   deadline   ms from now, 0 for none
  ARGV[8]   retention  ms from the end
  ARGV[9]   window     links in one chain
  ARGV[10]  details    JSON for the journal
  ARGV[11…] tags       count, then each
            values     count, then key and value of each
            stages     count, then each as include/nodes.lua reads it

  Returns  "created", ready…   |  "exists", run id (of the key)  |  "taken" (the run id)
]]
--- @include "nodes"
local id, nonce, key, workflow, definition = arg(), arg(), arg(), arg(), arg()
local deadline, retention, window, details = number(), number(), number(), arg()

local known = call("HMGET", K.run(id), "nonce", "status")
if known[1] == nonce then
  return { "created" }
end
if known[2] then
  return { "taken" }
end
local same = key ~= "" and call("HGET", K.keys(), key)
if same and call("EXISTS", K.run(same)) == 1 then
  return { "exists", same }
end

call("HSET", K.run(id), "status", "pending", "schema", SCHEMA, "nonce", nonce, "key", key,
  "workflow", workflow, "definition", definition, "revision", 1, "nodes", 0, "bytes", 0,
  "submitted", now, "retention", retention)
local tags = {}
for i = 1, number() do
  tags[i] = arg()
  call("ZADD", K.tag(tags[i]), now, id)
end
call("HSET", K.run(id), "tags", cjson.encode(#tags > 0 and tags or { "" }))
if key ~= "" then
  call("HSET", K.keys(), key, id)
end
call("ZADD", K.runs(), now, id)
call("ZADD", K.status("pending"), now, id)
call("ZADD", K.workflow(workflow), now, id)
if deadline > 0 then
  call("HSET", K.run(id), "deadline", now + deadline)
  call("ZADD", K.wake(), now + deadline, id .. " d")
end
for _ = 1, number() do
  local name = arg()
  replace(id, name, arg())
end

local stages = read_stages()
local first, last, before = "0", "0", nil
local run = { id = id, status = "pending", revision = 1, retention = retention, submitted = now }
for _, stage in ipairs(stages) do
  last = write_stage(id, stage, "0", "0", "")
  if before then
    local l = links(run, before)
    l.next = last
    save_links(run, before, l)
  else
    first = last
  end
  before = last
end
save_links(run, "0", { up = "0", next = "0", first = first, last = last, mode = "s", limit = 0, by = "0", order = "" })
jot(id, "run.submitted", 0, 1, details)
if not begin(run, "0") then
  finish(run, "completed")
end
return ready_reply(run, "created", window, "")
