--[[
  Hold a schedule, let it go on, or remove it. Safe to repeat.

  KEYS[1]  schedules  zset  schedule -> when it is due next (ms)

  ARGV[1]  prefix   of every key
  ARGV[2]  name     of the schedule
  ARGV[3]  how      "pause", "resume" or "remove"
  ARGV[4]  details  JSON: who and why
  ARGV[5]  due      ms, when it goes on

  Returns  "adjusted"  |  "gone"
]]
--- @include "call"
local name, how, details, due = arg(), arg(), arg(), arg()
if call("EXISTS", K.schedule(name)) == 0 then
  call("ZREM", K.schedules(), name)
  return { "gone" }
end
local is_paused = call("HEXISTS", K.schedule(name), "paused") == 1
if how == "remove" then
  call("ZREM", K.schedules(), name)
  call("DEL", K.schedule(name))
elseif how == "pause" and not is_paused then
  call("HSET", K.schedule(name), "paused", details)
  call("HDEL", K.schedule(name), "queued")
  call("ZADD", K.schedules(), "+inf", name)
elseif how == "resume" and is_paused then
  call("HDEL", K.schedule(name), "paused")
  call("HSET", K.schedule(name), "due", due)
  call("ZADD", K.schedules(), due, name)
end
return { "adjusted" }
