--[[
  Write a schedule: a new one, or in place of one of the same name, which stays paused if it is. Safe to repeat.

  KEYS[1]  schedules  zset  schedule -> when it is due next (ms)

  ARGV[1]  prefix      of every key
  ARGV[2]  name        of the schedule
  ARGV[3]  replace     1 to take the place of one that is there, else 0
  ARGV[4]  nonce       of this call
  ARGV[5]  due         ms, empty where it is paused from the start
  ARGV[6]  timing      JSON, opaque
  ARGV[7]  policy      JSON, opaque: what happens when times overlap or were missed
  ARGV[8]  definition  of the workflow, as it is submitted
  ARGV[9]  options     JSON, opaque: first values, tags and the like
  ARGV[10] paused      JSON: who and why, or empty

  Returns  "written"  |  "exists"
]]
--- @include "call"
local name, replace, nonce, due = arg(), number(), arg(), arg()
local timing, policy, definition, options, paused = arg(), arg(), arg(), arg(), arg()
local v = call("HMGET", K.schedule(name), "nonce", "paused")
if v[1] == nonce then
  return { "written" }
elseif v[1] and replace == 0 then
  return { "exists" }
end
call("HSET", K.schedule(name), "nonce", nonce, "timing", timing, "policy", policy, "definition", definition,
  "options", options, "due", due, "written", now)
if paused ~= "" then
  call("HSET", K.schedule(name), "paused", paused)
end
call("ZADD", K.schedules(), (paused ~= "" or v[2]) and "+inf" or due, name)
return { "written" }
