--[[
  Have the result of a run put onto a list when it has ended, or now that it has. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id
  ARGV[3]  list    that gets it

  Returns  "asked"  |  "gone"
]]
--- @include "run"
local id, list = arg(), arg()
local run = load_run(id)
if not run then
  return { "gone" }
end
local lists = call("HGET", K.run(id), "reply")
if not string.find("\n" .. (lists or "") .. "\n", "\n" .. list .. "\n", 1, true) then
  call("HSET", K.run(id), "reply", lists and lists .. "\n" .. list or list)
end
if TERMINAL[run.status] then
  call("ZADD", K.wake(), now, id .. " r")
end
return { "asked" }
