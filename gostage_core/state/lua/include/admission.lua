--[[
  Throttles: how many entries or runs with one key go on at a time, and how many begin within a time. The
  throttle of an entry is in the field t<n> of its plan, that of a run in its header; here a run is the
  entry 0. Who is not let in stands in line, holding nothing. Who is invited has a place kept until it
  comes.
]]
--- @include "record"
local AUDIT_MS = 60000 -- who stands in line is looked after so often, whatever goes wrong

--- most|rate|per_ms|key, where an operator may have set other numbers for the key.
local function throttle_of(run_id, n)
  local text = n == "0" and call("HGET", K.run(run_id), "throttle") or call("HGET", K.plan(run_id), "t" .. n)
  local most, rate, per, key = string.match(text or "", "^(%d+)|(%d+)|(%d+)|(.+)$")
  if not key then
    error("CORRUPT throttle t" .. n)
  end
  local set = call("HMGET", K.throttle(key), "most", "rate", "per")
  return { key = key, member = run_id .. " " .. n, most = tonumber(set[1] or most), rate = tonumber(set[2] or rate),
           per = tonumber(set[3] or per) }
end

local function is_full(throttle)
  return throttle.most > 0 and call("SCARD", K.inside(throttle.key)) + call("SCARD", K.invited(throttle.key)) >= throttle.most
end

--- How long until one more may begin, in ms; `taken` have been invited and have not begun yet.
local function until_next(throttle, taken)
  if throttle.rate == 0 then
    return 0
  elseif taken >= throttle.rate then
    return throttle.per
  end
  local began = call("LINDEX", K.starts(throttle.key), throttle.rate - 1 - taken)
  return began and math.max(0, began + throttle.per - now) or 0
end

local function enter(throttle)
  if throttle.rate > 0 then
    call("LPUSH", K.starts(throttle.key), now)
    call("LTRIM", K.starts(throttle.key), 0, throttle.rate - 1)
    call("PEXPIRE", K.starts(throttle.key), throttle.per)
  end
  call("SREM", K.invited(throttle.key), throttle.member)
  call("SADD", K.inside(throttle.key), throttle.member)
  call("SADD", K.throttles(), throttle.key)
end

--- Stands in line: behind those of its own group, so that groups take turns; or at the front again.
local function stand_in_line(throttle, at)
  local run_id = string.match(throttle.member, "^%S+")
  local group = "g" .. (call("HGET", K.run(run_id), "group") or run_id)
  local v = call("HMGET", K.throttle(throttle.key), "turn", group)
  local turn = tonumber(v[1] or 0)
  if at == "back" then
    turn = math.max(turn, tonumber(v[2] or 0)) + 1
    call("HSET", K.throttle(throttle.key), group, turn)
  end
  call("SREM", K.invited(throttle.key), throttle.member)
  call("SREM", K.inside(throttle.key), throttle.member)
  call("ZADD", K.line(throttle.key), turn, throttle.member)
  call("SADD", K.throttles(), throttle.key)
  local wait = until_next(throttle, 0)
  if wait > 0 then
    call("ZADD", K.refill(), now + wait, throttle.key)
  end
end

--- Lets an entry or a run begin, or puts it in line: true when it may. `place`: 1 when it is within
--- it already, 2 when it was invited.
local function admit(throttle, place)
  local queued = place == "0" and (call("ZCARD", K.line(throttle.key)) > 0 or is_full(throttle))
  if queued or until_next(throttle, 0) > 0 then
    stand_in_line(throttle, place == "0" and "back" or "front")
    return false
  end
  enter(throttle)
  return true
end
