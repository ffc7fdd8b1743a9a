--[[ Writes new nodes of a plan from the arguments. ]]
--- @include "advance"

--- count, then spec, carrier, timeout_ms of each
local function read_actions()
  local actions = {}
  for i = 1, number() do
    actions[i] = { spec = arg(), carrier = arg(), timeout = arg() }
  end
  return actions
end

--- count, then id, spec, mode, limit, initial and the actions of each
local function read_stages()
  local stages = {}
  for i = 1, number() do
    stages[i] = { id = arg(), spec = arg(), mode = arg(), limit = arg(), initial = arg() }
    stages[i].actions = read_actions()
  end
  return stages
end

local function new_ids(run, count)
  local last = call("HINCRBY", K.run(run), "nodes", count)
  return last - count
end

--- Writes actions one after another under `up`, the last one linked to `after`: first id, last id.
local function write_actions(run, up, actions, after)
  local base = new_ids(run, #actions)
  for i, a in ipairs(actions) do
    local n = tostring(base + i)
    local next_ = i < #actions and tostring(base + i + 1) or after
    call("HSET", K.plan(run), "s" .. n, a.spec, "c" .. n, a.carrier, "l" .. n, up .. "," .. next_ .. "," .. a.timeout)
  end
  return tostring(base + 1), tostring(base + #actions)
end

--- Writes a stage under scope 0, linked to `after`: its id.
local function write_stage(run, stage, after, by, order)
  local n = tostring(new_ids(run, 1) + 1)
  local first, last = "0", "0"
  if #stage.actions > 0 then
    first, last = write_actions(run, n, stage.actions, "0")
  end
  call("HSET", K.plan(run), "s" .. n, stage.spec, "g" .. stage.id, n, "l" .. n,
    table.concat({ "0", after, first, last, stage.mode, stage.limit, by, order }, ","))
  if stage.initial ~= "" then
    call("HSET", K.plan(run), "i" .. n, stage.initial)
  end
  return n
end
