--[[ Calls those in line for a throttle, as far as there is room. ]]
--- @include "admission"
--- Lets a run begin that was held.
local function begin_held(run, throttle)
  enter(throttle)
  call("HDEL", K.run(run.id), "held")
  local _, _, _, set_off = reopening()
  soundly(run, "0", set_off, run)
end

--- Invites one that stood in line, unless it has gone elsewhere. What becomes ready has waited already, and
--- keeps a place that others want: its message comes before those that wait for a worker.
local function invite_one(throttle, run_id, n)
  local first = #began_now + 1
  local known, run = pcall(load_run, run_id)
  if not known or not run or TERMINAL[run.status] or run.paused then
    return -- whoever resumes it stands in line again
  end
  local r = n ~= "0" and sound_record(run, n)
  if n == "0" then
    begin_held(run, throttle)
  elseif r and r.state == "h" then
    call("SADD", K.invited(throttle.key), throttle.member)
    r.place = "2"
    make_ready(run, n, r)
  end
  for i = first, #began_now do
    began_now[i].head = true
  end
end

--- Takes those off the books of a throttle who are not within it any more, as they should have been already.
--- Once in a while, for it looks at each; at once where it is `asked` for.
local function audit(key, asked)
  local last = tonumber(call("HGET", K.throttle(key), "audited") or 0)
  if not asked and now - last < AUDIT_MS then
    return
  end
  call("HSET", K.throttle(key), "audited", now)
  for _, set in ipairs({ K.inside(key), K.invited(key) }) do
    for _, member in ipairs(call("SMEMBERS", set)) do
      local run_id, n = string.match(member, "^(%S+) (%d+)$")
      local known, run = pcall(load_run, run_id or "")
      local r = known and run and n ~= "0" and sound_record(run, n)
      local is_within = r and r.place ~= "0" or (n == "0" and known and run and not TERMINAL[run.status])
      if not is_within then
        call("SREM", set, member)
      end
    end
  end
end

local function invite(key)
  for _, member in ipairs(call("ZRANGE", K.line(key), 0, 99)) do
    local run_id, n = string.match(member, "^(%S+) (%d+)$")
    local sound, throttle = pcall(throttle_of, run_id or "", n or "")
    if sound then
      local wait = until_next(throttle, call("SCARD", K.invited(key)))
      if is_full(throttle, "0") or wait > 0 then
        call("ZADD", K.refill(), now + (wait > 0 and wait or AUDIT_MS), key)
        return
      end
      call("HSET", K.throttle(key), "turn", math.floor(call("ZSCORE", K.line(key), member)))
    end
    if sound then
      leave_line(key, run_id, n)
      invite_one(throttle, run_id, n)
    else
      call("ZREM", K.line(key), member)
    end
  end
  if call("ZCARD", K.line(key)) > 0 then
    call("ZADD", K.refill(), now, key)
    return
  end
  call("ZREM", K.refill(), key)
  local empty = call("SCARD", K.inside(key)) + call("SCARD", K.invited(key)) == 0
  if empty and call("HEXISTS", K.throttle(key), "set") == 0 then
    call("DEL", K.throttle(key))
    call("SREM", K.throttles(), key)
  end
end
