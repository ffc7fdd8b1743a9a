--[[ How an entry ends. ]]
--- @include "run"
--- The record of a live entry; none where it is damaged, so that its run can be ended all the same.
local function sound_record(run, n)
  local sound, r = pcall(load_record, run.id, n)
  return sound and r or nil
end

--- Ends an entry: out of the timers, out of the live set, with its final state on record.
local function settle(run, r, state)
  r.state, r.ended = state, now
  save_record(run.id, r)
  call("SREM", K.live(run.id), r.n)
  call("ZREM", K.wake(), run.id .. " " .. r.n, run.id .. " " .. r.n .. " t")
end

--- Frees the slot that ran this attempt.
local function free_slot(run_id, r)
  local process, slot = string.match(r.where, "^(.*)/([^/]*)$")
  if process and call("HGET", K.claims(process), slot) == run_id .. " " .. r.n then
    call("HDEL", K.claims(process), slot)
  end
end
