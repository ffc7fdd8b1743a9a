--[[
  Take an attempt from a process that has died or is leaving. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  entry    the action
  ARGV[4]  process  that held it
  ARGV[5]  slot     in it
  ARGV[6]  counted  1 when it was lost, 0 when it is given back in good order
  ARGV[7]  most     losses after which the action fails as poison
  ARGV[8]  window   links in one chain

  Returns  "taken", ready…  |  "later" (a timer ends it)  |  "gone"
]]
--- @include "losing"
local id, n, process, slot, counted, most, window
  = arg(), arg(), arg(), arg(), number(), number(), number()
local run = load_run(id)
local r = run and load_record(id, n)

--- Takes it off the books of the process.
local function drop()
  if call("HGET", K.claims(process), slot) == id .. " " .. n then
    call("HDEL", K.claims(process), slot)
  end
  return { "gone" }
end

if not r or r.state ~= "x" or r.where ~= process .. "/" .. slot then
  return drop()
end
local answer = take_back(run, r, counted == 1, most, window)
drop()
return answer
