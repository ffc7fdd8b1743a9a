--[[ Reads the arguments one after another, and the server's clock. ]]
local call = redis.call
local cursor = 1
local function arg()
  cursor = cursor + 1
  return ARGV[cursor]
end
local function number()
  return tonumber(arg())
end
--- How many links may still be followed: by the nodes of the runs at hand, so that a damaged plan that
--- runs in a circle does not hold up the server.
local steps = 1000
local STEPS_A_NODE = 200
--- A message that was not taken this long after it was due may be lost.
local OVERDUE_MS = 1000
local clock = call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
