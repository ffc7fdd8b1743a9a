--[[ The header of a run. ]]
--- @include "record"
--- @include "journal"
local SCHEMA = 1

--- The header fields that decisions need, or nil when there is no such run.
local function load_run(id)
  local v = call("HMGET", K.run(id), "status", "schema", "revision", "stop", "retention", "submitted")
  if not v[1] then
    return nil
  end
  if not (v[2] and v[3] and v[5] and v[6]) then
    error("CORRUPT header of the run")
  end
  if tonumber(v[2]) > SCHEMA then
    error("NEWER schema " .. v[2])
  end
  return { id = id, status = v[1], revision = tonumber(v[3]), stop = v[4] or nil,
           retention = tonumber(v[5]), submitted = tonumber(v[6]) }
end

local function set_status(run, status)
  call("ZREM", K.status(run.status), run.id)
  call("ZADD", K.status(status), run.submitted, run.id)
  call("HSET", K.run(run.id), "status", status)
  run.status = status
end
