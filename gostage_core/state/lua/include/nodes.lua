--[[ Writes new nodes of a plan from the arguments. ]]
--- @include "advance"

--- count, then spec, carrier, limits (as they stand in its links), throttle (as include/admission.lua reads it, or
--- empty) and state of each: d where it is disabled from the start, else empty
local function read_actions()
  local actions = {}
  for i = 1, number() do
    actions[i] = { spec = arg(), carrier = arg(), limits = arg(), throttle = arg(), state = arg() }
  end
  return actions
end

--- spec and carrier of a hook, both empty where there is none
local function read_hook()
  local spec, carrier = arg(), arg()
  return spec ~= "" and { spec = spec, carrier = carrier, limits = "0", throttle = "", state = "" } or nil
end

--- id, spec, mode, limit, quorum, policy, hook before, hook after, initial, state and the actions
local function read_stage()
  local stage = { id = arg(), spec = arg(), mode = arg(), limit = arg(), quorum = arg(), policy = arg(),
                  before = read_hook(), after = read_hook(), initial = arg(), state = arg() }
  stage.actions = read_actions()
  return stage
end

--- count, then each
local function read_stages()
  local stages = {}
  for i = 1, number() do
    stages[i] = read_stage()
  end
  return stages
end

local function new_ids(run, count)
  local last = call("HINCRBY", K.run(run), "nodes", count)
  steps = steps + STEPS_A_NODE * count
  return last - count
end

local function write_action(run, n, a, up, next_)
  local throttled = a.throttle ~= "" and "T" or ""
  call("HSET", K.plan(run), "s" .. n, a.spec, "c" .. n, a.carrier, "l" .. n, up .. "," .. next_ .. "," .. a.limits .. throttled)
  count(run, a.carrier, "n", 1)
  if a.throttle ~= "" then
    call("HSET", K.plan(run), "t" .. n, a.throttle)
  end
  if a.state == "d" then
    local r = new_record(n)
    r.state = "d"
    save_record(run, r)
  end
end

--- Writes actions one after another under `up`, the last one linked to `after`: first id, last id.
local function write_actions(run, up, actions, after)
  local base = new_ids(run, #actions)
  for i, a in ipairs(actions) do
    write_action(run, tostring(base + i), a, up, i < #actions and tostring(base + i + 1) or after)
  end
  return tostring(base + 1), tostring(base + #actions)
end

local function write_hook(run, hook, up)
  if not hook then
    return "0"
  end
  local n = tostring(new_ids(run, 1) + 1)
  write_action(run, n, hook, up, "0")
  return n
end

--- Writes a scope and its actions, linked to `next_`: its id, and its first and last action.
local function write_scope(run, up, scope, next_, by, order)
  local n = tostring(new_ids(run, 1) + 1)
  local before, after = write_hook(run, scope.before, n), write_hook(run, scope.after, n)
  local first, last = "0", "0"
  if #scope.actions > 0 then
    first, last = write_actions(run, n, scope.actions, "0")
  end
  call("HSET", K.plan(run), "s" .. n, scope.spec, "l" .. n, table.concat({ up, next_, first, last, scope.mode,
    scope.limit, scope.quorum, scope.policy, before, after, by, order }, ","))
  return n, first, last
end

--- Writes a stage under scope 0, linked to `next_`: its id, and its first and last action.
local function write_stage(run, stage, next_, by, order)
  local n, first, last = write_scope(run, "0", stage, next_, by, order)
  call("HSET", K.plan(run), "g" .. stage.id, n)
  if stage.initial ~= "" then
    call("HSET", K.plan(run), "i" .. n, stage.initial)
  end
  if stage.state == "d" then
--- @inline "leaving"
    count_members({ id = run }, n, -1)
    call("HSET", K.plan(run), "r" .. n, "d|0|0|0||0|0|0|0|0")
  end
  return n, first, last
end
