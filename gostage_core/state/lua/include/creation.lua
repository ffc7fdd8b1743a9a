--[[ Creates a run: its header, its plan, its first values, its indexes; its first actions are ready. ]]
--- @include "nodes"

--- nonce, key, workflow, definition, deadline, retention, parent, most actions, most stages, most
--- children in one another, details, reply list, tags, values, hooks before and after, stages
local function read_run(id)
  local new = { id = id, nonce = arg(), key = arg(), workflow = arg(), definition = arg(), deadline = number(),
                retention = number(), parent = arg(), depth = 0, most_actions = arg(), most_stages = arg(),
                most_children = arg(), details = arg(), reply = arg(), tags = {}, values = {} }
  for i = 1, number() do
    new.tags[i] = arg()
  end
  for i = 1, 2 * number() do
    new.values[i] = arg()
  end
  new.before, new.after = read_hook(), read_hook()
  new.stages = read_stages()
  return new
end

--- "created", the run | "known" | "taken" | "exists", id of the run that has the key
local function create(new)
  local id = new.id
  local known = call("HMGET", K.run(id), "nonce", "status")
  if known[1] == new.nonce then
    return "known"
  elseif known[2] then
    return "taken"
  end
  local same = new.key ~= "" and call("HGET", K.keys(), new.key)
  if same and call("EXISTS", K.run(same)) == 1 then
    return "exists", same
  end
  call("HSET", K.run(id), "status", "pending", "schema", SCHEMA, "nonce", new.nonce, "key", new.key,
    "workflow", new.workflow, "definition", new.definition, "revision", 1, "nodes", 0, "bytes", 0,
    "submitted", now, "retention", new.retention, "parent", new.parent, "depth", new.depth,
    "most_actions", new.most_actions, "most_stages", new.most_stages, "most_children", new.most_children, "added_actions", 0, "added_stages", 0)
  if new.reply ~= "" then
    call("HSET", K.run(id), "reply", new.reply)
  end
  for _, tag in ipairs(new.tags) do
    call("ZADD", K.tag(tag), now, id)
  end
  call("HSET", K.run(id), "tags", cjson.encode(#new.tags > 0 and new.tags or { "" }))
  if new.key ~= "" then
    call("HSET", K.keys(), new.key, id)
  end
  call("ZADD", K.runs(), now, id)
  call("ZADD", K.status("pending"), now, id)
  call("ZADD", K.workflow(new.workflow), now, id)
  if new.deadline > 0 then
    call("HSET", K.run(id), "deadline", new.deadline)
    call("ZADD", K.wake(), new.deadline, id .. " d")
  end
  for i = 1, #new.values, 2 do
    replace(id, new.values[i], new.values[i + 1])
  end

  local run = { id = id, status = "pending", revision = 1, retention = new.retention, submitted = now }
  local first, last, before = "0", "0", nil
  for _, stage in ipairs(new.stages) do
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
  save_links(run, "0", { up = "0", next = "0", first = first, last = last, mode = "s", limit = 0, quorum = 0,
    policy = "f", before = write_hook(id, new.before, "0"), after = write_hook(id, new.after, "0"), by = "0", order = "" })
  call("HSET", K.run(id), "planned", call("HGET", K.run(id), "nodes"))
  jot(id, "run.submitted", 0, 1, new.details)
  if not begin(run, "0") then
    finish(run, "completed")
  end
  return "created", run
end
