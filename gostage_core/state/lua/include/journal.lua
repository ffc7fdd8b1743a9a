--[[
  Writes the run's history: [at, kind, entry, revision, details], and tells who watches. A history that
  grows beyond what its run may keep loses its oldest tenth.
]]
--- @include "call"
local longest = {} -- run -> entries that its history keeps, as its header says

local function jot(run, kind, n, revision, details)
  local length = call("RPUSH", K.journal(run), string.format('[%.0f,"%s",%s,%s,%s]',
    now, kind, n, revision, details or "null"))
  if longest[run] and length > longest[run] then
    local cut = math.ceil(length / 10)
    call("LTRIM", K.journal(run), cut, -1)
    call("HINCRBY", K.run(run), "forgotten", cut)
  end
  call("PUBLISH", K.events(run), length)
end
