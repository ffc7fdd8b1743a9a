--[[
  Take the lease of an action, so that one worker at a time works on it. Safe to repeat with the
  same nonce.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]   prefix    of every key
  ARGV[2]   run       its id
  ARGV[3]   entry     the label of the message
  ARGV[4]   nonce     of this execution of the message
  ARGV[5]   process   the worker process; its heartbeat is the lease
  ARGV[6]   slot      the thread in it
  ARGV[7]   lease_ms  for a process that has not been seen yet
  ARGV[8]   mark      the queue that the message came through, empty when it says nothing about order
  ARGV[9]   small     a store of at most so many bytes comes along
  ARGV[10]  grace_ms  beyond its timeout, before an attempt is ended from outside

  Returns  "claimed", token, attempt, fails, spec, store: key, value … or false,
           1 when others may write to the store meanwhile, else 0
           the phase: how often the entry has waited for something; when the entry is to be done, or 0; ms until then
        |  "held" | "early" | "done" | "paused" | "throttled" (it stands in line for its throttle) | "gone"
]]
--- @include "run"
--- @include "links"
local id, n, nonce, process, slot, lease = arg(), arg(), arg(), arg(), arg(), number()
local mark, small, grace = arg(), number(), number()

local run = load_run(id)
local r = run and load_record(id, n)

--- Whether siblings' writes are to be seen: something around the action runs side by side.
local function is_shared(up)
  while up ~= "0" do
    local outer = links(run, up)
    if outer.mode == "p" then
      return true
    end
    up = outer.up
  end
  return false
end

local l = r and (r.state == "x" or r.state == "r") and links(run, n)
local shared -- read before the first write, so that damage around the action shows there

local function answer()
  local values = false
  if not shared and run.bytes <= small and call("EXISTS", K.meta(id)) == 0 and not call("HGET", K.run(id), "appended") then
    values = call("HGETALL", K.store(id))
  end
  local due = l.deadline and tonumber(call("HGET", K.plan(id), "x" .. n) or nil)
  return { "claimed", r.token, r.attempt, r.fails, call("HGET", K.plan(id), "s" .. n), values, shared and 1 or 0,
           r.phase, due or 0, due and due - r.at or 0 }
end

if l then
  shared = is_shared(l.up)
end
local before = call("HGET", K.claims(process), slot)
local goes_on = l and (r.state == "r" or r.where == process .. "/" .. slot)
if before == id .. " " .. n and not goes_on then
  call("HDEL", K.claims(process), slot) -- it was taken away before its slot had the answer to an earlier request
end
if not run then
  return { "gone" }
elseif not r then
  return { "early" }
end
local is_own = string.match(r.token, ":(.*)$") == nonce
if r.state == "x" then
  if is_own then
    return answer()
  end
  return { "held" }
elseif is_own then
  return { "done" } -- a request that comes late: whoever sent it has ended this attempt, or lost it
elseif r.state == "z" or r.state == "w" or r.state == "o" or r.state == "p" then
  return { "early" }
elseif r.state == "h" then
  return { "throttled" }
elseif r.state ~= "r" then
  return { "done" }
elseif run.status == "paused" then
  return { "paused" }
end
if l.mode then
  error("CORRUPT links l" .. n)
end

--- Whether the throttle of the entry lets it begin; else it stands in line.
local function let_in()
--- @inline "admission"
  if admit(throttle_of(id, n), r.place) then
    r.place = "1"
    return true
  end
  r.state, r.place = "h", "0"
  save_record(id, r)
  call("ZREM", K.sent(), id .. " " .. n)
  jot(id, "action.throttled", n, run.revision)
  settle_statuses()
  return false
end

if l.throttled ~= "" and not let_in() then
  return { "throttled" }
end

if mark ~= "" and r.began == 0 and r.at > (tonumber(call("HGET", K.marks(), mark) or 0) or 0) then
  call("HSET", K.marks(), mark, r.at)
end
if run.status == "pending" then
  set_status(run, "running")
  call("HSET", K.run(id), "began", now)
  jot(id, "run.started", 0, run.revision)
end
r.state, r.attempt, r.at, r.where = "x", r.attempt + 1, now, process .. "/" .. slot
r.token = r.attempt .. ":" .. nonce
if r.began == 0 then
  r.began = now
end
save_record(id, r)
call("ZADD", K.alive(), "NX", now + lease, process)
if before and before ~= id .. " " .. n then
  call("ZADD", K.wake(), now, before) -- this slot left it without ending it: the rescuer looks
end
call("HSET", K.claims(process), slot, id .. " " .. n)
call("ZREM", K.sent(), id .. " " .. n)
if l.timeout > 0 then
  call("ZADD", K.wake(), now + l.timeout + grace, id .. " " .. n .. " t")
end
if run.stop and run.grace then
  call("ZADD", K.wake(), now + run.grace, id .. " " .. n .. " c")
end
jot(id, "action.started", n, run.revision, string.format('{"attempt":%d,"worker":"%s"}', r.attempt, r.where))
return answer()
