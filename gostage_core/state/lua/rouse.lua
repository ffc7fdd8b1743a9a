--[[
  Look at one due timer of a run: a retry or a sleep whose time has come, an entry that has waited long
  enough, an attempt past its timeout, what runs on in a run that was to end, a run past its deadline.
  Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix    of every key
  ARGV[2]  run       its id
  ARGV[3]  what      the entry; "d" for the deadline, "r" for the reply of a run that has ended, "u" for what
                     it is to undo
  ARGV[4]  timer     "t" for the timeout of an attempt, "c" for the end of its grace, "d" for the deadline of the
                     entry, else empty
  ARGV[5]  deadline  JSON of the failure of a run past its deadline
  ARGV[6]  most      losses after which an action fails as poison
  ARGV[7]  window    links in one chain
  ARGV[8]  grace_ms  of what runs at the deadline

  Returns  "taken", ready…                        what it goes on with
        |  "overtime", token, spec, attempt, fails   the attempt is to be ended
        |  "overdue", token, spec, attempt, last failure or empty   the entry is to be ended
        |  "reply"                                its result is to be put onto a list
        |  "compensate"                           what it has done is to be undone
        |  "later" | "gone"
]]
--- @include "losing"
--- @include "memo"
local id, what, timer, deadline, most, window, grace = arg(), arg(), arg(), arg(), number(), number(), number()
local member = id .. " " .. what .. (timer ~= "" and " " .. timer or "")
local run = load_run(id)

local function drop()
  call("ZREM", K.wake(), member)
  return { "gone" }
end

if what == "r" and run and TERMINAL[run.status] then
  return { "reply" }
elseif not run or TERMINAL[run.status] then
  return drop()
elseif what == "u" then
  return { "compensate" }
elseif what == "d" then
  call("ZREM", K.wake(), member)
  ask_to_end(run, "failed", deadline, grace)
  return ready_reply(run, "taken", window, "")
end

local r = load_record(id, what)
if timer == "d" then
  local due = tonumber(call("HGET", K.plan(id), "x" .. what) or nil)
  if not due or not r or not LIVE[r.state] then
    return drop()
  elseif r.state == "x" then
    due = due + OVERDUE_MS -- its worker ends it, where it can
  end
  if now < due then
    call("ZADD", K.wake(), due, member)
    return { "later" }
  end
  return { "overdue", r.token, call("HGET", K.plan(id), "s" .. what), r.attempt, call("HGET", K.plan(id), "e" .. what) or "" }
elseif timer ~= "" and (not r or r.state ~= "x") then
  return drop()
elseif timer == "t" then
  local ends = r.at + links(run, what).timeout
  if now < ends then
    call("ZADD", K.wake(), ends + OVERDUE_MS, member) -- another attempt than the one this timer was for
    return { "later" }
  end
  return { "overtime", r.token, call("HGET", K.plan(id), "s" .. what), r.attempt, r.fails }
elseif timer == "c" then
  if not run.stop then
    return drop() -- the run was opened again
  end
  doom(run, r)
  settle(run, r, "k")
  jot(id, "action.cancelled", what, run.revision, '{"forced":true}')
  go_on(run, what, "s")
  return ready_reply(run, "taken", window, "")
elseif r and not run.paused and (r.state == "z" or (r.state == "w" and r.at > 0)) then
  if r.at > now then
    call("ZADD", K.wake(), r.at, member)
    return { "later" }
  end
  call("ZREM", K.wake(), member)
  if r.state == "w" then
    r.phase = r.phase + 1
    local signal = stop_listening(id, what)
    if signal then
      remember(id, what, call("HGET", K.plan(id), "q" .. what), "t")
      jot(id, "signal.missed", what, run.revision, cjson.encode({ signal = signal }))
    end
  end
  make_ready(run, what, r)
  return ready_reply(run, "taken", window, "")
end
if r and r.state == "x" then
  local process, slot = string.match(r.where, "^(.*)/([^/]*)$")
  if call("HGET", K.claims(process), slot) ~= member then -- its slot has gone on to other work without ending it
    local answer = take_back(run, r, true, most, window)
    drop()
    return answer
  end
end
return drop()
