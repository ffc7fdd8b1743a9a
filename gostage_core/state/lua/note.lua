--[[
  Write an entry of a run's journal that changes nothing else. Safe to repeat with the same nonce.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  nonce    of this note
  ARGV[4]  kind     of the entry
  ARGV[5]  entry    of the plan that it is about, or 0
  ARGV[6]  details  JSON

  Returns  "noted"  |  "gone"
]]
--- @include "run"
local id, nonce, kind, n, details = arg(), arg(), arg(), arg(), arg()
local run = load_run(id)
if not run then
  return { "gone" }
end
if call("HGET", K.run(id), "noted") ~= nonce then
  call("HSET", K.run(id), "noted", nonce)
  jot(id, kind, n, run.revision, details)
end
return { "noted" }
