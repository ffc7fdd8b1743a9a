--[[ How an entry ends. ]]
--- @include "run"
local freed = {} -- throttles of which something was let go, each by its key

--- The record of a live entry; none where it is damaged, so that its run can be ended all the same.
local function sound_record(run, n)
  local sound, r = pcall(load_record, run.id, n)
  return sound and r or nil
end

--- Takes an entry or a run out of the line of a throttle, and forgets its group's turn with the last of it.
local function leave_line(key, run_id, n)
  local turn = call("ZSCORE", K.line(key), run_id .. " " .. n)
  if turn then
    call("ZREM", K.line(key), run_id .. " " .. n)
    local group = "g" .. (call("HGET", K.run(run_id), "group") or run_id)
    if tonumber(call("HGET", K.throttle(key), group) or 0) <= tonumber(turn) then
      call("HDEL", K.throttle(key), group)
    end
  end
end

--- Gives back a place within a throttle, or in its line. A run is the entry 0.
local function leave_throttle(run, n)
  local text = n == "0" and call("HGET", K.run(run.id), "throttle") or call("HGET", K.plan(run.id), "t" .. n)
  local key = string.match(text or "", "^%d+|%d+|%d+|(.+)$")
  if key then
    call("SREM", K.inside(key), run.id .. " " .. n)
    call("SREM", K.invited(key), run.id .. " " .. n)
    leave_line(key, run.id, n)
    freed[key] = true
  end
end

--- Has an entry leave its throttle, if it takes anything of one.
local function let_go(run, r)
  if r.place ~= "0" or r.was == "h" then
    leave_throttle(run, r.n)
    r.place = "0"
  end
end

--- Takes an entry out of those that wait for a signal, if it is one: the name of the signal.
local function stop_listening(run_id, n)
  local v = call("HMGET", K.plan(run_id), "q" .. n, "j" .. n)
  local which, name = string.match(v[1] or "", "^s(%d+)$"), string.match(v[2] or "", "^[^\n]*")
  if not which then
    return nil
  end
  local line = "," .. (call("HGET", K.inbox(run_id), "w" .. name) or "") .. ","
  local first, last = string.find(line, "," .. n .. ":" .. which .. ",", 1, true)
  if first then
    local left = string.sub(line, 2, first - 1) .. string.sub(line, first == 1 and last + 1 or last, -2)
    if left == "" then
      call("HDEL", K.inbox(run_id), "w" .. name)
    else
      call("HSET", K.inbox(run_id), "w" .. name, left)
    end
  end
  return name
end

--- Ends an entry: out of the timers, out of the live set, with its final state on record.
local function settle(run, r, state)
  let_go(run, r)
  if r.was == "r" then
    call("ZREM", K.sent(), run.id .. " " .. r.n)
  elseif r.was == "w" then
    stop_listening(run.id, r.n)
  end
  r.state, r.ended = state, now
  save_record(run.id, r)
  call("SREM", K.live(run.id), r.n)
  local member = run.id .. " " .. r.n
  call("ZREM", K.wake(), member, member .. " t", member .. " c", member .. " d")
end

--- Has the worker that runs an attempt stop its body, for nobody waits for it any more.
local function doom(run, r)
  local process, slot = string.match(r.where, "^(.*)/([^/]*)$")
  call("HSET", K.doomed(), process or "", (slot or "") .. " " .. run.id .. " " .. r.n)
end

--- Frees the slot that ran this attempt.
local function free_slot(run_id, r)
  local process, slot = string.match(r.where, "^(.*)/([^/]*)$")
  if process and call("HGET", K.claims(process), slot) == run_id .. " " .. r.n then
    call("HDEL", K.claims(process), slot)
  end
end
