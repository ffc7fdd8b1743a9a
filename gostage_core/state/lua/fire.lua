--[[
  Submit the run of a schedule that is due, unless another worker has: of each time there is one. Safe to
  repeat.

  KEYS[1]  run  hash  the header of the new run

  ARGV[1]  prefix    of every key
  ARGV[2]  run       id of the new run
  ARGV[3]  window    links in one chain
  ARGV[4]  name      of the schedule
  ARGV[5]  due       as the schedule was read; empty for a run that is asked for now
  ARGV[6]  at        the time that the run is for
  ARGV[7]  following when it is due next
  ARGV[8]  passed    how many times before this one are left out
  ARGV[9]  overlap   "skip", "queue", "allow" or "cancel": what happens while its last run goes on; "none" to
                     leave this time out too
  ARGV[10] why       JSON for the journal of a run that is cancelled
  ARGV[11] queued    1 for a run that was put off until its last one had ended, else 0
  ARGV[12…] what     the run is, as include/creation.lua reads it; the deadline in ms from now, 0 for none

  Returns  "created", ready…  |  "skipped"  |  "queued"  |  "taken"  |  "gone" (another worker has, or it was
           removed or paused)
]]
--- @include "creation"
--- @include "outcome"
local id, window, name, due, at, following, passed, overlap, why, queued
  = arg(), number(), arg(), arg(), arg(), arg(), number(), arg(), arg(), number()
local new = read_run(id)
local v = call("HMGET", K.schedule(name), "due", "paused", "last", "queued", "nonce")
if not v[5] or (due ~= "" and (v[2] or v[1] ~= due)) or (queued == 1 and not v[4]) then
  return { "gone" }
end

--- The last run of the schedule, while it goes on.
local function last_run()
  local known, its = pcall(load_run, v[3] or "")
  return known and its and not TERMINAL[its.status] and its or nil
end

--- Notes that this time is dealt with.
local function go_past(what)
  if queued == 1 then
    call("ZADD", K.schedules(), v[1], name)
  elseif due ~= "" then
    call("HSET", K.schedule(name), "due", following)
    call("ZADD", K.schedules(), following, name)
    call("HINCRBY", K.schedule(name), "missed", passed)
  end
  if what then
    call("HINCRBY", K.schedule(name), what, 1)
  end
end

local last = last_run()
if overlap == "none" then
  go_past()
  return { "skipped" }
elseif last and queued == 1 then
  go_past()
  return { "queued" }
elseif last and due ~= "" and overlap == "skip" then
  go_past("skipped")
  return { "skipped" }
elseif last and due ~= "" and overlap == "queue" then
  go_past(v[4] and "skipped" or nil)
  call("HSET", K.schedule(name), "queued", at)
  return { "queued" }
elseif last and due ~= "" and overlap == "cancel" then
  ask_to_end(last, "cancelled", why, new.grace)
end
if new.deadline > 0 then
  new.deadline = now + new.deadline
end
local made, run = create(new)
if made ~= "created" then
  go_past(made == "taken" and "missed" or nil)
  return { "taken" }
end
go_past("fired")
call("HSET", K.schedule(name), "last", id, "fired_at", now)
if due ~= "" then -- what is asked for by hand takes no other's place
  call("HDEL", K.schedule(name), "queued")
end
call("HSET", K.run(id), "schedule", name)
return ready_reply(run, "created", window, "")
