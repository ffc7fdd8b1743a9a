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

--- Forgets `what`, which may then be remembered anew.
local function unlearn(run_id, n, what)
  if call("HDEL", K.plan(run_id), "d" .. n .. " " .. what) == 1 then
    local left = {}
    for one in string.gmatch(call("HGET", K.plan(run_id), "d" .. n) or "", "[^\n]+") do
      left[#left + 1] = one ~= what and one or nil
    end
    if #left > 0 then
      call("HSET", K.plan(run_id), "d" .. n, table.concat(left, "\n"))
    else
      call("HDEL", K.plan(run_id), "d" .. n)
    end
  end
end

--- Forgets that a wait of an entry has ended without an answer, and when it would have.
local function wait_anew(run_id, n, which)
  unlearn(run_id, n, "s" .. which)
  unlearn(run_id, n, "u" .. which)
end
