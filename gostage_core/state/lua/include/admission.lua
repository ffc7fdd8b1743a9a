--[[
  Throttles: how many entries or runs with one key go on at a time, and how many begin within a time. The
  throttle of an entry is in the field t<n> of its plan, that of a run in its header; here a run is the
  entry 0. Who is not let in stands in line, holding nothing. Who is invited has a place kept until it
  comes.
]]
--- @include "record"
local SEATS = 2 ^ 20 -- of one turn, taken in the order in which they came
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

--- Whether no one more fits in. Who is within already, or was invited, counts itself; it may have been when
--- more were allowed.
local function is_full(throttle, place)
  if throttle.most == 0 then
    return false
  end
  local inside = call("SCARD", K.inside(throttle.key))
  if place == "0" then
    return inside + call("SCARD", K.invited(throttle.key)) >= throttle.most
  end
  return inside - (place == "1" and 1 or 0) >= throttle.most
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

--- Stands in line: who comes new behind those of its own group, so that groups take turns, who was invited at
--- the front. The line is looked at again, whatever becomes of those within.
local function stand_in_line(throttle, comes_new, taken)
  local run_id = string.match(throttle.member, "^%S+")
  local group = "g" .. (call("HGET", K.run(run_id), "group") or run_id)
  local v = call("HMGET", K.throttle(throttle.key), "turn", group)
  local turn, seat = tonumber(v[1] or 0), 0
  if comes_new then
    turn = math.max(turn, tonumber(v[2] or 0)) + 1
    call("HSET", K.throttle(throttle.key), group, turn)
    seat = call("HINCRBY", K.throttle(throttle.key), "seat", 1) % SEATS
  end
  call("SREM", K.invited(throttle.key), throttle.member)
  call("SREM", K.inside(throttle.key), throttle.member)
  call("ZADD", K.line(throttle.key), turn + seat / SEATS, throttle.member)
  call("SADD", K.throttles(), throttle.key)
  local wait = until_next(throttle, taken)
  call("ZADD", K.refill(), "LT", now + (wait > 0 and wait or AUDIT_MS), throttle.key)
end

--- Lets an entry or a run begin, or puts it in line: true when it may. `place`: 1 when it is within
--- it already, 2 when it was invited.
local function admit(throttle, place)
  local comes_new = place == "0"
  local taken = comes_new and call("SCARD", K.invited(throttle.key)) or 0 -- who was invited comes first
  local waits = comes_new and call("ZCARD", K.line(throttle.key)) > 0
  if waits or is_full(throttle, place) or until_next(throttle, taken) > 0 then
    stand_in_line(throttle, comes_new, taken)
    return false
  end
  enter(throttle)
  return true
end
