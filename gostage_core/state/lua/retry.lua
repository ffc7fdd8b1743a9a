--[[
  Open a run again that has failed or was cancelled, at what has failed or was cut off. Safe to repeat with the
  same nonce.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix    of every key
  ARGV[2]  run       its id
  ARGV[3]  nonce     of this call
  ARGV[4]  details   JSON: who and why
  ARGV[5]  deadline  ms from now; 0 for none, empty for the one that it has, unless that has passed
  ARGV[6]  window    links in one chain
  ARGV[7…] changes   of the store, as include/values.lua reads them: puts alone
           skip      count, then entries that are not to be done

  Returns  "retried", ready…  |  "state", status (it can not be retried)  |  "child", the run above it
        |  "compensated"  |  "full", bytes allowed  |  "gone"
]]
--- @include "values"
--- @include "outcome"
--- @include "leaving"
local id, nonce, details, deadline, window = arg(), arg(), arg(), number(), number()
local changes, skip = read_changes(), {}
for i = 1, number() do
  skip[i] = arg()
end
local run = load_run(id)
if not run then
  return { "gone" }
end
local v = call("HMGET", K.run(id), "retried", "parent", "compensated", "deadline")
if v[1] == nonce then
  return { "retried" }
elseif run.status ~= "failed" and run.status ~= "cancelled" then
  return { "state", run.status }
elseif v[2] ~= "" then
  return { "child", string.match(v[2], "^%S+") }
elseif v[3] == "1" then
  return { "compensated" }
end
if overflows(run, changes) then -- puts are all that there are, and nothing else refuses these
  return { "full", tostring(run.most_bytes) }
end
for _, n in ipairs(skip) do -- damage shows here, before the first write
  links(run, n)
  load_record(id, n)
end

--- Settles that an entry is not to be done.
local function pass_over(n)
  local r = load_record(id, n)
  if not r or r.state == "d" or r.state == "p" then
    r = r or new_record(n)
    r.state = "d"
    r.was = is_left_out(run, links(run, n).up) and "d" or r.was
    save_record(id, r)
  elseif r.state == "f" or r.state == "k" then
    r.state, r.ended = "s", now
    save_record(id, r)
    jot(id, "action.skipped", n, run.revision)
  end
end

--- Sets the deadline anew: one that has passed would end the run at once.
local function set_deadline()
  local at = deadline and deadline > 0 and now + deadline or (not deadline and tonumber(v[4] or 0)) or 0
  if at > now then
    call("HSET", K.run(id), "deadline", at)
    call("ZADD", K.wake(), at, id .. " d")
  else
    call("HDEL", K.run(id), "deadline")
  end
end

call("HSET", K.run(id), "retried", nonce)
apply_changes(run, changes)
for _, n in ipairs(skip) do
  pass_over(n)
end
set_deadline()
local _, reopen_run = reopening()
soundly(run, "0", reopen_run, run, details)
return ready_reply(run, "retried", window, "")
