--[[
  Write the store changes of an attempt that goes on. They stay, whatever becomes of the attempt.
  Not safe to repeat for increments and appends; the nonce makes it so.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  entry    the action
  ARGV[4]  token    of the attempt
  ARGV[5]  nonce    of this checkpoint
  ARGV[6…] changes  of the store, as include/values.lua reads them

  Returns  "written"  |  "refused", key, kind  |  "full", bytes allowed  |  "fenced"  |  "gone"
]]
--- @include "values"
--- @include "attempt"
local id, n, token, nonce = arg(), arg(), arg(), arg()
local changes = read_changes()
local run, _, word = attempt_of(id, n, token)
if word then
  return { word == "repeated" and "fenced" or word }
end
if call("HGET", K.plan(id), "k" .. n) == nonce then
  return { "written" }
end
local no = refused(run, changes)
if no then
  return no
end
call("HSET", K.plan(id), "k" .. n, nonce)
apply_changes(run, changes)
jot(id, "action.checkpoint", n, run.revision)
keep_replaced()
return { "written" }
