--[[ Takes a running attempt from whoever held it, for another one to do it. ]]
--- @include "outcome"

--- The answer of the operation: "taken", ready… | "later" (a timer ends it). A damaged plan shows before its
--- first write.
local function take_back(run, r, counted, most, window)
  local timeout, stops = links(run, r.n).timeout, stopping(run, r.n)
  if timeout > 0 and now >= r.at + timeout then
    call("ZADD", K.wake(), now, run.id .. " " .. r.n .. " t") -- it died of its timeout: that is its failure
    return { "later" }
  end
  call("ZREM", K.wake(), run.id .. " " .. r.n .. " t", run.id .. " " .. r.n .. " c")
  local details = string.format('{"attempt":%d,"worker":"%s"}', r.attempt, r.where)
  if counted then
    r.lost = r.lost + 1
    count(run.id, call("HGET", K.plan(run.id), "c" .. r.n), "l", 1)
    jot(run.id, "action.lost", r.n, run.revision, details)
  else
    r.attempt = r.attempt - 1
    jot(run.id, "action.released", r.n, run.revision, details)
  end
  if r.lost >= most then
    local failure = string.format('{"poison":true,"entry":%s,"attempt":%d,"lost":%d}', r.n, r.attempt, r.lost)
    call("HSET", K.plan(run.id), "e" .. r.n, failure)
    settle(run, r, "f")
    jot(run.id, "action.failed", r.n, run.revision, failure)
    go_on(run, r.n, "f")
  elseif stops then
    settle(run, r, "k")
    jot(run.id, "action.cancelled", r.n, run.revision)
    go_on(run, r.n, "s")
  else
    make_ready(run, r.n, r)
  end
  return ready_reply(run, "taken", window, "")
end
