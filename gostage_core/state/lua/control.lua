--[[
  Ask whether an attempt may go on, and note how far it is. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix    of every key
  ARGV[2]  run       its id
  ARGV[3]  entry     the action
  ARGV[4]  token     of the attempt
  ARGV[5]  progress  JSON, or empty

  Returns  "go"  |  "stop" (the run is to end, or what is around the action)  |  "lost" (the lease has gone)
]]
--- @include "attempt"
--- @include "advance"
local id, n, token, progress = arg(), arg(), arg(), arg()
local run, _, word = attempt_of(id, n, token)
if word then
  return { "lost" }
end
if progress ~= "" then
  call("HSET", K.plan(id), "p" .. n, progress)
  jot(id, "action.progress", n, run.revision, progress)
end
-- The hook after a scope that fails has its work to do; only the end of the run concerns it.
local stops = run.stop or stopping(run, n)
return { stops and "stop" or "go" }
