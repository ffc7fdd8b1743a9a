--[[
  Put the result of a run that has ended onto the lists that are to get it, once each. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id
  ARGV[3]  text    the result, opaque

  Returns  "sent"  |  "gone"
]]
--- @include "call"
local id, text = arg(), arg()
local lists = call("HGET", K.run(id), "reply")
call("ZREM", K.wake(), id .. " r")
if not lists then
  return { "gone" }
end
call("HDEL", K.run(id), "reply")
for list in string.gmatch(lists, "[^\n]+") do
  -- A key of another type, or of another slot, is a mistake of who has named it.
  redis.pcall("RPUSH", list, text)
end
return { "sent" }
