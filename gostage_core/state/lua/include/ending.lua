--[[ How an entry ends, and how a run does. ]]
--- @include "run"
--- The record of a live entry; none where it is damaged, so that its run can be ended all the same.
local function sound_record(run, n)
  local sound, r = pcall(load_record, run.id, n)
  return sound and r or nil
end

local function finish(run, status)
  set_status(run, status)
  call("HSET", K.run(run.id), "ended", now)
  call("ZREM", K.wake(), run.id .. " d")
  call("DEL", K.live(run.id))
  call("ZADD", K.expiry(), now + run.retention, run.id)
  jot(run.id, "run." .. status, 0, run.revision)
end

--- A run that is to stop ends with its last running attempt.
local function finish_if_still(run)
  for _, n in ipairs(call("SMEMBERS", K.live(run.id))) do
    local r = sound_record(run, n)
    if r and r.state == "x" then
      return false
    end
  end
  finish(run, run.stop)
  return true
end

--- Ends an entry: out of the timers, out of the live set, with its final state on record.
local function settle(run, r, state)
  r.state, r.ended = state, now
  save_record(run.id, r)
  call("SREM", K.live(run.id), r.n)
  call("ZREM", K.wake(), run.id .. " " .. r.n, run.id .. " " .. r.n .. " t")
end

--- Lets nothing more begin. What waits is cancelled; what runs may end, and then the run ends as `status`.
local function halt(run, status, why)
  run.stop = status
  call("HSET", K.run(run.id), "stop", status, "why", why)
  for _, n in ipairs(call("SMEMBERS", K.live(run.id))) do
    local r = sound_record(run, n)
    if r and r.state ~= "x" and LIVE[r.state] then
      settle(run, r, "k")
      jot(run.id, "action.cancelled", n, run.revision)
    end
  end
  finish_if_still(run)
end
