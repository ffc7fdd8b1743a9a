--[[ Reads the arguments one after another, and the server's clock. ]]
local call = redis.call
local P = ARGV[1]
local cursor = 1
local function arg()
  cursor = cursor + 1
  return ARGV[cursor]
end
local function number()
  return tonumber(arg())
end
--- A message that was not taken this long after it was due may be lost.
local OVERDUE_MS = 1000
local clock = call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
