--[[ Creates a run: its header, its plan, its first values, its indexes; its first actions are ready. ]]
--- @include "nodes"

--- nonce, key, what becomes of the run that has the key already ("join", "reject", "replace"), workflow, definition,
--- deadline, retention, parent, throttle and group (or empty), most actions, most stages, most children in one
--- another, entries that the journal keeps, bytes of the store, bytes of what is replaced in it, grace in ms of
--- a run that makes place for it, details, reply list, the span that it was submitted in (or empty), tags, values, hooks before and after, stages
local function read_run(id)
  local new = { id = id, nonce = arg(), key = arg(), on_conflict = arg(), workflow = arg(), definition = arg(),
                deadline = number(), retention = number(), parent = arg(), throttle = arg(), group = arg(), depth = 0,
                most_actions = arg(), most_stages = arg(), most_children = arg(), longest = arg(),
                most_bytes = arg(), most_past = arg(), grace = number(), details = arg(), reply = arg(), trace = arg(), tags = {}, values = {} }
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

--- Writes the plan of a new run.
local function write_plan(run, new)
  local first, last, before = "0", "0", nil
  for _, stage in ipairs(new.stages) do
    last = write_stage(run.id, stage, "0", "0", "")
    if before then
      local l = links(run, before)
      l.next = last
      save_links(run, before, l)
    else
      first = last
    end
    before = last
  end
  save_links(run, "0", { up = "0", next = "0", first = first, last = last, mode = "s", limit = 0, quorum = 0, policy = "f",
    before = write_hook(run.id, new.before, "0"), after = write_hook(run.id, new.after, "0"), by = "0", order = "" })
  call("HSET", K.run(run.id), "planned", call("HGET", K.run(run.id), "nodes"))
end

--- Whether the run that has the key of a new one stands in its way: "exists" and its id, unless it is to make
--- place.
local function in_the_way(new)
  local same = new.key ~= "" and call("HGET", K.keys(), new.key)
  if not same or call("EXISTS", K.run(same)) == 0 then
    return nil
  elseif new.on_conflict ~= "replace" then
    return "exists", same
  end
  local its = run_beside(same)
  if its and not TERMINAL[its.status] then
    ask_to_end(its, "cancelled", cjson.encode({ actor = "run " .. new.id, reason = "it takes the place" }), new.grace)
  end
end

--- Writes the header of a new run, and puts it into the indexes.
local function write_header(new)
  local id = new.id
  call("HSET", K.run(id), "status", "pending", "schema", SCHEMA, "nonce", new.nonce, "key", new.key,
    "workflow", new.workflow, "definition", new.definition, "revision", 1, "nodes", 0, "bytes", 0, "busy", 0,
    "outside", 0, "submitted", now, "retention", new.retention, "parent", new.parent, "depth", new.depth,
    "most_actions", new.most_actions, "most_stages", new.most_stages, "most_children", new.most_children,
    "added_actions", 0, "added_stages", 0, "longest", new.longest, "most_bytes", new.most_bytes,
    "most_past", new.most_past)
  for _, name in ipairs({ "reply", "throttle", "group", "trace" }) do
    if new[name] ~= "" then
      call("HSET", K.run(id), name, new[name])
    end
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
end

--- Holds a run from its beginning, for the run above it is held.
local function hold_new(run, details)
  call("HSET", K.run(run.id), "paused", details)
  run.paused = details
  set_status(run, "paused")
  jot(run.id, "run.paused", 0, 1, details)
end

--- Begins a run that was created.
local function begin_created(run, new)
  if new.throttle ~= "" then
    local _, _, begin_run = reopening()
    begin_run(run)
  elseif not begin(run, "0") then
    finish(run, "completed")
  end
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
  local word, same = in_the_way(new)
  if word then
    return word, same
  end
  write_header(new)
  longest[id], noted.workflows[id] = tonumber(new.longest), new.workflow
  for i = 1, #new.values, 2 do
    replace(id, new.values[i], new.values[i + 1])
  end
  replaced[id] = nil -- there was nothing before
  local run = { id = id, status = "pending", revision = 1, retention = new.retention, submitted = now }
  write_plan(run, new)
  jot(id, "run.submitted", 0, 1, new.details)
  if new.paused then
    hold_new(run, new.paused)
  end
  begin_created(run, new)
  return "created", run
end
