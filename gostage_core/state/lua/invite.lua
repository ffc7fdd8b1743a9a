--[[
  Look at a throttle: those in line go on, as far as there is room, and who should have left it does. An operator
  may set other numbers for it. Safe to repeat.

  KEYS[1]  refill  zset  throttle -> when it may have room

  ARGV[1]  prefix  of every key
  ARGV[2]  throttle   its key
  ARGV[3]  window  links in one chain
  ARGV[4…] change  "" | "set" and then most, rate, per_ms, empty for what the actions say
                   | "clear": all of it as the actions say

  Returns  "invited", ready… (of runs)
]]
--- @include "outcome"
local key, window, change = arg(), number(), arg()
if change ~= "" then
  call("HDEL", K.throttle(key), "most", "rate", "per", "set")
end
if change == "set" then
  for _, name in ipairs({ "most", "rate", "per" }) do
    local said = arg()
    if said ~= "" then
      call("HSET", K.throttle(key), name, said)
    end
  end
  call("HSET", K.throttle(key), "set", 1)
  call("SADD", K.throttles(), key)
end

local function look()
--- @inline "inviting"
  audit(key, change ~= "")
  invite(key)
end

look()
local run = { id = "" } -- of none: each entry is named with its run
return ready_reply(run, "invited", window, "")
