--[[
  Have the rescuer look at an attempt that has ended without being ended. It leaves its slot; what else stands
  there stays. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  entry    the action
  ARGV[4]  process  that held it
  ARGV[5]  slot     in it

  Returns  "abandoned"
]]
--- @include "call"
local id, n, process, slot = arg(), arg(), arg(), arg()
call("ZADD", K.wake(), 0, id .. " " .. n)
if call("HGET", K.claims(process), slot) == id .. " " .. n then
  call("HDEL", K.claims(process), slot)
end
return { "abandoned" }
