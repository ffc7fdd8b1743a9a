--[[
  Begin to undo what a run has done that has failed or was cancelled: a stage of its own, with what undoes each
  completed action, the last one first. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  stage    id of the new stage
  ARGV[4]  spec     of the new stage
  ARGV[5]  details  JSON for the journal: who
  ARGV[6]  window   links in one chain

  Returns  "compensating", ready…  |  "gone"
]]
--- @include "edits"
--- @include "outcome"
local id, stage_id, spec, details, window = arg(), arg(), arg(), arg(), number()
local run = load_run(id)
call("ZREM", K.wake(), id .. " u")
if not run or TERMINAL[run.status] or not run.verdict or call("HEXISTS", K.run(id), "undoing") == 1 then
  return { "gone" }
end

--- What undoes each action, the last one first.
local function undoing_actions()
  local actions = {}
  for _, text in ipairs(call("LRANGE", K.undo(id), 0, -1)) do
    local part = cjson.decode(text) -- spec, carrier, limits, throttle
    table.insert(actions, 1, { spec = part[1], carrier = part[2], limits = part[3], throttle = part[4], state = "" })
  end
  return actions
end

local function begin_undoing()
  local root, s = links(run, "0"), load_scope(run, "0")
  local stage = { id = stage_id, spec = spec, mode = "s", limit = "0", quorum = "0", policy = "f", initial = "",
                  state = "", actions = undoing_actions() }
  call("HDEL", K.run(id), "stop", "drain", "grace")
  run.stop, run.drain, run.grace = nil, nil, nil
  local n = add_stage(run, root.last, stage, "0", "")
  note_revision(run, 0, details)
  call("HSET", K.run(id), "undoing", n)
  s.state, s.ended, s.failed = "x", 0, "0"
  save_scope(run, s)
  begin(run, n)
end

if not pcall(begin_undoing) then
  began_now = {}
  call("HSET", K.run(id), "compensated", 0) -- what is damaged cannot be undone; the run ends all the same
  finish(run, run.verdict)
end
return ready_reply(run, "compensating", window, "")
