--[[
  Keep what an entry of a plan has done once, for its later attempts. Stays, whatever becomes of the attempt.
  Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id
  ARGV[3]  entry   the action
  ARGV[4]  token   of the attempt
  ARGV[5]  what    it is
  ARGV[6]  text    opaque

  Returns  "kept"  |  "known" (it was kept before)  |  "lost" (the lease has gone)
]]
--- @include "attempt"
--- @include "memo"
local id, n, token, what, text = arg(), arg(), arg(), arg(), arg()
local _, _, word = attempt_of(id, n, token)
if word then
  return { "lost" }
end
if remember(id, n, what, text) then
  return { "kept" }
end
return { "known" }
