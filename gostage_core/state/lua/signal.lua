--[[
  Send a run a signal: the entry that has waited longest for one of this name goes on with it; without any
  it is kept. Safe to repeat with the same id.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  signal   id of the signal
  ARGV[4]  name     of the signal
  ARGV[5]  text     what it brings, opaque
  ARGV[6]  details  JSON for the journal: who, which
  ARGV[7]  most     signals that a run keeps
  ARGV[8]  window   links in one chain

  Returns  "consumed", ready…  |  "kept"  |  "repeated"  |  "full" (it keeps as many as it may)
        |  "ended", status  |  "gone"
]]
--- @include "outcome"
--- @include "inbox"
local id, signal, name, text, details, most, window = arg(), arg(), arg(), arg(), arg(), number(), number()
local run = load_run(id)
if not run then
  return { "gone" }
elseif call("HEXISTS", K.inbox(id), "i" .. signal) == 1 then
  return { "repeated" }
elseif TERMINAL[run.status] or run.stop then
  return { "ended", run.stop or run.status }
end

--- The entry that waits for the signal and came first, and which of its waits it is.
local function next_waiting()
  while true do
    local n, which = string.match(take_first(id, "w" .. name) or "", "^(%d+):(%d+)$")
    if not n then
      return nil
    end
    local r = sound_record(run, n)
    local v = call("HMGET", K.plan(id), "q" .. n, "j" .. n)
    if r and r.state == "w" and v[1] == "s" .. which and string.match(v[2] or "", "^[^\n]*") == name then
      return n, which
    end
  end
end

local kept = count_kept(id)
local n, which = next_waiting()
if not n and kept >= most then
  return { "full" }
end
is_known(id, signal)
jot(id, "run.signalled", 0, run.revision, details)
if not n then
  keep_signal(id, name, text)
  return { "kept" }
end
hand_over(run, n, which, text)
call("ZREM", K.wake(), id .. " " .. n)
resume(run, n)
return ready_reply(run, "consumed", window, "")
