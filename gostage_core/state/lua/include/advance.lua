--[[
  Moves a plan on when an entry has ended: to what follows it, or, when it failed, out of the scopes
  that fail with it. A scope that fails lets nothing more of it begin; when the last of it has
  ended, its hook runs, and then the scope around it decides.
]]
--- @include "scopes"
local climb, halt, ask_to_end, damaged, resume, finish, conclude, reopening
local cancelling = false

--- Does what moves a run on behind the first write. Where the plan is damaged the run ends, and says why.
local function soundly(run, n, move, ...)
  local inner = cancelling
  local sound, problem = pcall(move, ...)
  if not sound then
    cancelling = inner
    damaged(run, n, problem)
  end
end

--- What goes on again in runs that were reopened. Made where it is needed: the server makes every function
--- of a script anew at each call.
reopening = function()
--- @inline "again"
  return again, reopen_run, begin_run, set_off
end

begin_again = function(run, n, before)
  local again = reopening()
  return again(run, n, before)
end

--- Whether `n` lies in scope `a`, at any depth.
local function below(run, n, a)
  while a ~= "0" and n ~= "0" do
    n = links(run, n).up
    if n == a then
      return true
    end
  end
  return a == "0"
end

--- The live entries of a scope that can be read, in order.
local function living(run, a)
  local found = {}
  for _, n in ipairs(call("SMEMBERS", K.live(run.id))) do
    local r = sound_record(run, n)
    if r and LIVE[r.state] and (a == "0" or below(run, n, a)) then
      found[#found + 1] = r
    end
  end
  table.sort(found, function(one, other) return tonumber(one.n) < tonumber(other.n) end)
  return found
end

--- Whether a scope around `n` fails, or the run is to end.
local function draining(run, n)
  if run.stop then
    return true
  end
  if not run.drain then
    return false
  end
  repeat
    n = links(run, n).up
    if string.sub(call("HGET", K.plan(run.id), "r" .. n) or "", 1, 1) == "f" then
      local l = links(run, n)
      if l.mode then
        return true
      end
    end
  until n == "0"
  return false
end

--- Whether `n` is the hook that runs when its scope is over, whatever became of it.
local function is_last_hook(run, n)
  return links(run, links(run, n).up).after == n
end

--- Whether nothing more is to be done at `n`, for what is around it fails.
local function stopping(run, n)
  return draining(run, n) and not is_last_hook(run, n)
end

--- Tells the entry above that its child run has ended. The child has: damage above is not its own.
local function tell_parent(run)
  local parent, n = string.match(call("HGET", K.run(run.id), "parent") or "", "^(%S+) (%d+)$")
  local known, above = pcall(load_run, parent or "")
  if not known or not above or TERMINAL[above.status] then
    return
  end
  local inner = cancelling
  local sound, problem = pcall(function()
    local r = load_record(parent, n)
    if not r or r.state ~= "w" or call("HGET", K.plan(parent), "u" .. n) ~= run.id then
      return
    elseif not draining(above, n) then
      r.phase = r.phase + 1
      make_ready(above, n, r)
      return
    end
    settle(above, r, "k")
    jot(parent, "action.cancelled", n, above.revision)
    if not cancelling then -- else whoever cancels goes on from there
      climb(above, links(above, n).up)
    end
  end)
  if not sound then
    cancelling = inner
    damaged(above, n, problem)
  end
end

finish = function(run, status)
  set_status(run, status)
  call("HSET", K.run(run.id), "ended", now)
  call("HDEL", K.run(run.id), "paused", "held")
  call("ZREM", K.wake(), run.id .. " d")
  local owed = call("HMGET", K.run(run.id), "throttle", "schedule")
  if owed[1] then
    leave_throttle(run, "0")
  end
  if owed[2] and call("HEXISTS", K.schedule(owed[2]), "queued") == 1 then
    call("ZADD", K.schedules(), now, owed[2]) -- the next one was put off until now
  end
  call("DEL", K.live(run.id))
  count_up(run.id, -1)
  call("ZADD", K.expiry(), now + run.retention, run.id)
  if call("HEXISTS", K.run(run.id), "reply") == 1 then
    call("ZADD", K.wake(), now, run.id .. " r") -- written out of the store by whoever looks at it
  end
  jot(run.id, "run." .. status, 0, run.revision)
  tell_parent(run)
end

--- An entry that waited for what is below it goes on.
resume = function(run, n)
  local r = load_record(run.id, n)
  if r and (r.state == "w" or r.state == "o") then
    r.phase = r.phase + 1
    make_ready(run, n, r)
  end
end

--- The child run that an entry waits for, while it goes on.
local function child_of(run, n)
  local child = call("HGET", K.plan(run.id), "u" .. n)
  local its = child and run_beside(child)
  return its and not TERMINAL[its.status] and its or nil
end

--- Asks the child run of a waiting entry to end; true when it has.
local function halt_child(run, n)
  local its = child_of(run, n)
  if its then
    ask_to_end(its, "cancelled", '{"actor":"run ' .. run.id .. '","reason":"the run above it ends"}')
  end
  return not its or TERMINAL[its.status]
end

--- Cancels what lives in a scope and has not begun, and with `running` also what has.
local function cancel(run, a, running)
  local inner = cancelling
  cancelling = true
  for _, r in ipairs(living(run, a)) do
    local sound, last_hook = pcall(is_last_hook, run, r.n)
    if (running or r.state ~= "x") and not (sound and last_hook) then
      local over = r.state ~= "w" or halt_child(run, r.n) or running
      local still = sound_record(run, r.n) -- the end of a child settles what waited for it
      if over and still and LIVE[still.state] then
        if still.state == "x" then
          free_slot(run.id, still) -- its worker goes on, and finds at its end that nobody waits
        end
        settle(run, still, "k")
        jot(run.id, "action.cancelled", r.n, run.revision)
      end
    end
  end
  cancelling = inner
end

--- Whether each action that was to be undone has been.
local function is_undone(run)
  local m = links(run, call("HGET", K.run(run.id), "undoing")).first
  while m ~= "0" do
    local spec = call("HGET", K.plan(run.id), "s" .. m) or ""
    local state = string.sub(call("HGET", K.plan(run.id), "r" .. m) or "", 1, 1)
    if state ~= "c" and string.find(spec, '"undoes":', 1, true) then
      return false
    end
    m = links(run, m).next
  end
  return true
end

--- The run is over: as it was asked to end, or as its outermost scope did. One that has failed or was
--- cancelled goes on as long as something of it is to be undone, and then ends as it would have.
conclude = function(run, s)
  local status = run.stop or (s.state == "f" and "failed") or "completed"
  if run.verdict then
    call("HSET", K.run(run.id), "compensated", status == "completed" and is_undone(run) and 1 or 0)
    return finish(run, run.verdict)
  end
  if status == "failed" and not run.stop then
    local why = call("HGET", K.plan(run.id), "e" .. s.failed)
    call("HSET", K.run(run.id), "failed", s.failed, "why", why or "{}")
  end
  if (status == "failed" or status == "cancelled") and call("EXISTS", K.undo(run.id)) == 1 then
    run.verdict = status
    call("HSET", K.run(run.id), "verdict", status)
    call("ZREM", K.wake(), run.id .. " d")
    call("ZADD", K.wake(), now, run.id .. " u") -- whoever looks at it begins the compensation
    set_status(run, standing_of(run.id))
    return jot(run.id, "run.compensating", 0, run.revision, cjson.encode({ verdict = status }))
  end
  finish(run, status)
end

--- A scope fails: nothing more of it begins.
local function drain(run, s)
  s.state = "f"
  save_scope(run, s)
  run.drain = "1"
  call("HSET", K.run(run.id), "drain", 1)
  cancel(run, s.n, false)
  climb(run, s.n)
end

--- What the end of a member means for a parallel scope: "go" on, it has "enough", or it has "failed".
local function verdict(s, l)
  if l.quorum > 0 then
    if s.good >= l.quorum then
      return "enough"
    end
    local lost = s.bad > 0 and s.good + s.open < l.quorum
    return lost and (l.policy == "f" or s.open == 0) and "failed" or "go"
  end
  return s.bad > 0 and (l.policy == "f" or s.open == 0) and "failed" or "go"
end

--- A member of a parallel scope has ended: true when the scope goes on, or has been dealt with.
local function end_member(run, s, l, how, failed)
  s.open, s.active = s.open - 1, s.active - 1
  if how == "c" then
    s.good = s.good + 1
  elseif how == "f" then
    s.bad = s.bad + 1
    s.failed = s.failed == "0" and failed or s.failed
  end
  local word = verdict(s, l)
  if word == "go" and fill(run, s, l.limit) then
    save_scope(run, s)
    return true
  end
  if word == "go" then
    word = verdict(s, l)
  end
  if word == "failed" then
    drain(run, s)
    return true
  end
  if word == "enough" then
    cancel(run, s.n, true)
  end
  return close(run, s, l)
end

--- A node has ended, completed (c), skipped or removed (s), or failed (f) because of entry `failed`:
--- goes on with what follows it, up to the end of the run.
local function move_on(run, n, how, failed)
  if draining(run, n) then
    return climb(run, links(run, n).up)
  end
  while true do
    local l = links(run, n)
    local up = l.up
    local outer = links(run, up)
    if not outer.mode then
      return resume(run, up)
    end
    local s
    if n == outer.after then
      s = load_scope(run, up)
      end_scope(run, s, outer, s.state == "x" and "c" or s.state)
    elseif n == outer.before then
      s = load_scope(run, up)
      local lives
      if s.state == "s" then
        lives = close(run, s, outer)
      else
        lives = begin_members(run, s, outer)
      end
      if lives then
        return
      end
    elseif outer.mode == "s" then
      if how ~= "f" and walk(run, l.next) then
        return
      end
      s = load_scope(run, up)
      if how == "f" then
        s.failed = failed
        return drain(run, s)
      end
      if close(run, s, outer) then
        return
      end
    else
      s = load_scope(run, up)
      if end_member(run, s, outer, how, failed) then
        return
      end
    end
    if up == "0" then
      return conclude(run, s)
    end
    n, how = up, s.state == "s" and "s" or "c"
  end
end

--- Goes outwards from a scope of which nothing more is to begin, for it fails or one around it does.
climb = function(run, a)
  while #living(run, a) == 0 do
    local l, s = links(run, a), load_scope(run, a)
    if not s then
      error("CORRUPT record r" .. a)
    elseif s.ended > 0 then
      return
    end
    local begun = l.before == "0" or string.sub(call("HGET", K.plan(run.id), "r" .. l.before) or "", 1, 1) == "c"
    if begun and l.after ~= "0" and call("HEXISTS", K.plan(run.id), "r" .. l.after) == 0 then
      return make_ready(run, l.after)
    end
    local cut_off = s.state == "x" or (s.state == "f" and s.failed == "0")
    end_scope(run, s, l, cut_off and "k" or s.state)
    if a == "0" then
      return conclude(run, s)
    end
    local up = l.up
    local outer = links(run, up)
    if not outer.mode then
      local r = load_record(run.id, up)
      if r and r.state == "o" then
        return resume(run, up)
      end
      a = outer.up
    elseif draining(run, a) then
      a = up
    else
      return move_on(run, a, "f", s.failed)
    end
  end
end

--- An entry has failed for good.
local function fail_up(run, n)
  local up = links(run, n).up
  local outer = links(run, up)
  local hook = n == outer.before or n == outer.after
  if hook then
    local s = load_scope(run, up)
    s.failed = n
    if draining(run, n) then
      s.state = "f"
      save_scope(run, s)
      return climb(run, up)
    end
    return drain(run, s)
  end
  move_on(run, n, "f", n)
end

--- Ends a run whose plan cannot be followed any more, when the last that runs has ended.
local function abort(run, status, why)
  run.stop = status
  call("HSET", K.run(run.id), "stop", status, "why", why)
  local runs, inner = false, cancelling
  cancelling = true
  for _, r in ipairs(living(run, "0")) do
    if r.state == "x" then
      runs = true
    else
      settle(run, r, "k")
      pcall(halt_child, run, r.n)
    end
  end
  cancelling = inner
  if not runs then
    if call("EXISTS", K.undo(run.id)) == 1 then
      call("HSET", K.run(run.id), "compensated", 0) -- nothing can be added to a damaged plan
    end
    finish(run, status)
  end
end

--- Takes back what became ready in a run.
local function unready(run)
  local others = {}
  for _, one in ipairs(began_now) do
    if one[1] ~= run.id then
      others[#others + 1] = one
    end
  end
  began_now = others
end

damaged = function(run, n, problem)
  unready(run)
  local text = type(problem) == "table" and problem.err or tostring(problem)
  abort(run, run.stop or "failed", cjson.encode({ type = "CorruptRunError", message =
    "the plan is damaged behind entry " .. n .. ": " .. string.gsub(text, "^user_script:%d+: ", "") }))
end

--- Sets when what runs is to be ended at the latest, in child runs too; what begins later, as hooks do, has
--- as long.
local function set_grace(run, grace)
  run.grace = math.min(grace, run.grace or grace)
  call("HSET", K.run(run.id), "grace", run.grace)
  for _, r in ipairs(living(run, "0")) do
    local its = r.state == "w" and child_of(run, r.n)
    if r.state == "x" then
      call("ZADD", K.wake(), "LT", now + run.grace, run.id .. " " .. r.n .. " c")
    elseif its and its.stop then
      set_grace(its, grace)
    end
  end
end

--- Lets what is left of a run that was paused go on to its end: the hooks behind what is cut off.
local function lift_pause(run)
  call("HDEL", K.run(run.id), "paused")
  run.paused = nil
  set_status(run, standing_of(run.id))
  for _, r in ipairs(living(run, "0")) do
    set_going(run, r)
  end
end

--- Lets nothing more begin. What waits is cancelled; what runs may end, and then the run ends as `status`.
halt = function(run, status, why)
  run.stop = status
  call("HSET", K.run(run.id), "stop", status)
  if not run.verdict then
    call("HSET", K.run(run.id), "why", why)
  end
  if call("HEXISTS", K.run(run.id), "held") == 1 then
    return finish(run, status) -- it has not begun
  end
  local inner = cancelling
  local sound, problem = pcall(function()
    local s = load_scope(run, "0")
    s.state = "f"
    save_scope(run, s)
    cancel(run, "0", false)
    if run.paused then
      lift_pause(run)
    end
    local stage = call("HGET", K.run(run.id), "stage")
    local its = stage and load_scope(run, stage)
    climb(run, its and its.ended == 0 and stage or "0")
  end)
  if not sound then
    cancelling = inner
    damaged(run, "0", problem)
  end
end

--- Asks a run to end, unless it is about to: what it had done is undone in any case.
--- `grace`: after so many ms what runs is ended from outside; nil for never.
ask_to_end = function(run, status, why, grace)
  if not run.stop and not run.verdict then
    jot(run.id, "run.halting", 0, run.revision, why)
    halt(run, status, why)
  elseif run.stop and run.paused then
    lift_pause(run) -- it was paused on its way to its end
  end
  if grace and run.stop and not TERMINAL[run.status] then
    pcall(set_grace, run, grace) -- where the plan is damaged, what can be reached
  end
end

--- Goes on behind an entry that has ended (c, s), or failed for good (f).
local function go_on(run, n, how)
  soundly(run, n, how == "f" and fail_up or move_on, run, n, how)
end

--- Whether something around `n` is over, so that nothing more is to begin behind it.
local function is_left_behind(run, n)
  local is_over = false
  repeat
    n = links(run, n).up
    if links(run, n).mode then
      local s = load_scope(run, n)
      is_over = s and s.ended > 0
    else
      is_over = not LIVE[string.sub(call("HGET", K.plan(run.id), "r" .. n) or "", 1, 1)]
    end
  until is_over or n == "0"
  return is_over
end

--- Goes on behind entries whose turn has passed by changes of the plan. The end of one may be the end of what is
--- around the others.
local function go_past(run, over)
  for _, n in ipairs(over) do
    if not is_left_behind(run, n) then
      go_on(run, n, "s")
    end
  end
end
