--[[ One attempt: the checks before it may change anything, and what its end means for its slot. ]]
--- @include "ending"

local DONE = { c = true, f = true, z = true, w = true, o = true }

--- The run and the record of a live attempt; else the word that says why it is none.
local function attempt_of(run_id, n, token)
  local run = load_run(run_id)
  if not run then
    return nil, nil, "gone"
  end
  local r = load_record(run_id, n)
  if not r then
    return run, nil, "fenced"
  end
  if r.token == token and DONE[r.state] then
    return run, r, "repeated"
  end
  if r.state ~= "x" or r.token ~= token then
    return run, r, "fenced"
  end
  return run, r, nil
end
