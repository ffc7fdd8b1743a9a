--[[ The header of a run. ]]
--- @include "record"
--- @include "journal"
local SCHEMA = 1
local LONGEST = 15 -- digits of a number that a double holds exactly
local TERMINAL = { completed = true, failed = true, cancelled = true, bailed = true }

--- Refuses a counter that is no number: found before the first write, for it would stop the script later.
local function check_count(text, what)
  if text and (not string.match(text, "^%d+$") or #text > LONGEST) then
    error("CORRUPT " .. what .. " of the run")
  end
end

--- The header fields that decisions need, or nil when there is no such run. What would stop a script
--- after its first write shows here: counters that are no numbers, keys of another type.
local function load_run(id)
  local v = call("HMGET", K.run(id), "status", "stop", "schema", "revision", "retention", "submitted",
    "bytes", "nodes", "longest", "most_bytes", "busy", "outside", "forgotten", "drain", "paused", "verdict", "grace", "workflow")
  if not v[1] then
    return nil
  end
  v[13] = v[13] or "0"
  for i = 3, 13 do
    check_count(v[i] or "", "header")
  end
  if tonumber(v[3]) > SCHEMA then
    error("NEWER schema " .. v[3])
  end
  if v[2] and not TERMINAL[v[2]] then
    error("CORRUPT header of the run")
  end
  call("LLEN", K.journal(id))
  call("SCARD", K.live(id))
  steps = steps + STEPS_A_NODE * tonumber(v[8])
  longest[id] = tonumber(v[9])
  noted.workflows[id] = v[18]
  return { id = id, status = v[1], stop = v[2] or nil, revision = tonumber(v[4]),
           retention = tonumber(v[5]), submitted = tonumber(v[6]), bytes = tonumber(v[7]), most_bytes = tonumber(v[10]),
           drain = v[14] or nil, paused = v[15] or nil, verdict = v[16] or nil, grace = tonumber(v[17] or nil) }
end

--- Another run that has to do with the one at hand, or nil: damage there is not its own.
local function run_beside(id)
  local sound, run = pcall(load_run, id or "")
  return sound and run or nil
end

local function set_status(run, status)
  call("ZREM", K.status(run.status), run.id)
  call("ZADD", K.status(status), run.submitted, run.id)
  call("HSET", K.run(run.id), "status", status)
  run.status = status
end

--- What the status of a run that has not ended is: by who holds it, and by what its entries do.
local function standing_of(id)
  local v = call("HMGET", K.run(id), "paused", "began", "busy", "outside", "verdict", "undoing", "held")
  local is_about_to_undo = v[5] and not v[6]
  if v[1] then
    return "paused"
  elseif not v[2] then
    return "pending"
  elseif tonumber(v[3]) > 0 or is_about_to_undo then
    return "running"
  end
  return (v[7] or tonumber(v[4]) > 0) and "waiting" or "sleeping"
end

--- Brings the status of a run in line with what its entries do.
local function restate(id)
  local v = call("HMGET", K.run(id), "status", "submitted")
  if v[1] and not TERMINAL[v[1]] then
    local status = standing_of(id)
    if status ~= v[1] then
      set_status({ id = id, status = v[1], submitted = v[2] }, status)
    end
  end
end

--- Adds what was noted to the numbers of the namespace. A run that begins again has before it what it left undone
--- put back into what is planned (1), one that ends has what it leaves undone taken out behind it (-1).
local function count_up(id, by)
--- @inline "completing"
  if not (by or noted[1] or next(noted.more)) then
    return
  end
--- @inline "counting"
  if by == 1 then
    add_left(id, 1)
  end
  add_noted()
  if by == -1 then
    add_left(id, -1)
  end
end

--- Counts what has become busy or idle, for every run that this operation touched. The last thing that
--- an operation does which moves entries.
local function settle_statuses()
  for id, t in pairs(tallies) do
    if t.busy ~= 0 or t.outside ~= 0 then
      local busy = call("HINCRBY", K.run(id), "busy", t.busy)
      call("HINCRBY", K.run(id), "outside", t.outside)
      if busy == 0 or busy == t.busy then
        restate(id)
      end
    end
  end
  tallies = {}
  if noted[1] or next(noted.more) then
    count_up()
  end
end
