--[[
  What an entry of a plan remembers, whatever becomes of its attempts: deliveries from outside, answers to its
  waits, results of what it does once. Each in a field d<n> <what>; d<n> lists them.
]]
--- @include "call"
--- Remembers `what`; false when it is known already.
local function remember(run_id, n, what, text)
  if call("HSETNX", K.plan(run_id), "d" .. n .. " " .. what, text) == 0 then
    return false
  end
  local known = call("HGET", K.plan(run_id), "d" .. n)
  call("HSET", K.plan(run_id), "d" .. n, known and known .. "\n" .. what or what)
  return true
end
