--[[
  Say whether a run can be gone on with. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id

  Returns  "sound"  |  "gone"
]]
--- @include "run"
local run = load_run(arg())
if not run then
  return { "gone" }
end
return { "sound" }
