--[[ One attempt: the checks before it may change anything, and what its end means for its slot. ]]
--- @include "ending"

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
  if r.token == token and (r.state == "c" or r.state == "f" or r.state == "z" or r.state == "w") then
    return run, r, "repeated"
  end
  if r.state ~= "x" or r.token ~= token then
    return run, r, "fenced"
  end
  return run, r, nil
end
