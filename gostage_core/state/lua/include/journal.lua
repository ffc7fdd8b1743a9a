--[[ Writes the run's history: [at, kind, entry, revision, details], and tells who watches. ]]
--- @include "call"
local function jot(run, kind, n, revision, details)
  local length = call("RPUSH", K.journal(run), string.format('[%.0f,"%s",%s,%s,%s]',
    now, kind, n, revision, details or "null"))
  call("PUBLISH", K.events(run), length)
end
