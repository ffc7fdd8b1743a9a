--[[ Holds a run, with its child runs, and lets it go on. What runs meanwhile may end; nothing begins. ]]
--- @include "outcome"
local pause, unpause

--- Takes an entry out of every timer, and out of the line of its throttle.
local function hold(run, r, details)
  if r.state == "r" or r.state == "h" then
    let_go(run, r)
    r.state = "r"
    save_record(run.id, r)
    call("ZREM", K.sent(), run.id .. " " .. r.n)
  elseif r.state == "z" or (r.state == "w" and r.at > 0) then
    call("ZREM", K.wake(), run.id .. " " .. r.n)
  end
  local its = r.state == "w" and child_of(run, r.n)
  if its then
    pause(its, cjson.encode({ actor = "run " .. run.id }))
  end
end

pause = function(run, details)
  if run.paused then
    return
  end
  call("HSET", K.run(run.id), "paused", details)
  run.paused = details
  for _, r in ipairs(living(run, "0")) do
    hold(run, r, details)
  end
  if call("HEXISTS", K.run(run.id), "held") == 1 then
    leave_throttle(run, "0")
  end
  set_status(run, "paused")
  jot(run.id, "run.paused", 0, run.revision, details)
end

--- Lets an entry go on: what fell due meanwhile is found by the next look at the timers.
local function release(run, r)
  set_going(run, r)
  local its = r.state == "w" and child_of(run, r.n)
  if its and its.paused == cjson.encode({ actor = "run " .. run.id }) then
    unpause(its, its.paused)
  end
end

unpause = function(run, details)
  call("HDEL", K.run(run.id), "paused")
  run.paused = nil
  jot(run.id, "run.resumed", 0, run.revision, details)
  for _, r in ipairs(living(run, "0")) do
    release(run, r)
  end
  if call("HEXISTS", K.run(run.id), "held") == 1 then
    call("HDEL", K.run(run.id), "held")
    local _, _, begin_run = reopening()
    soundly(run, "0", begin_run, run)
  end
  restate(run.id)
end
