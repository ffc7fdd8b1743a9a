--[[ The header of a run. ]]
--- @include "record"
--- @include "journal"
local SCHEMA = 1
local LONGEST = 15 -- digits of a number that a double holds exactly
local TERMINAL = { completed = true, failed = true, cancelled = true, bailed = true }

--- The header fields that decisions need, or nil when there is no such run. What would stop a script
--- after its first write shows here: counters that are no numbers, keys of another type.
local function load_run(id)
  local v = call("HMGET", K.run(id), "status", "stop", "schema", "revision", "retention", "submitted",
    "bytes", "nodes", "drain")
  if not v[1] then
    return nil
  end
  for i = 3, 8 do
    if not string.match(v[i] or "", "^%d+$") or #v[i] > LONGEST then
      error("CORRUPT header of the run")
    end
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
  return { id = id, status = v[1], stop = v[2] or nil, revision = tonumber(v[4]),
           retention = tonumber(v[5]), submitted = tonumber(v[6]), bytes = tonumber(v[7]), drain = v[9] or nil }
end

local function set_status(run, status)
  call("ZREM", K.status(run.status), run.id)
  call("ZADD", K.status(status), run.submitted, run.id)
  call("HSET", K.run(run.id), "status", status)
  run.status = status
end
