--[[
  Look at one due timer of a run: an action whose message may be lost, a retry whose time has come,
  an entry that has waited long enough, an attempt past its timeout, a run past its deadline. Safe
  to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix    of every key
  ARGV[2]  run       its id
  ARGV[3]  what      the entry; "d" for the deadline, "r" for the reply of a run that has ended
  ARGV[4]  timer     "t" for the timeout of an attempt, else empty
  ARGV[5]  deadline  JSON of the failure of a run past its deadline
  ARGV[6]  most      losses after which an action fails as poison
  ARGV[7]  window    links in one chain

  Returns  "send", carrier                        it has become ready just now
        |  "waiting", carrier, sent at, resends   it was ready; is its message lost?
        |  "overtime", token, spec, attempt, fails   the attempt is to be ended
        |  "reply"                              its result is to be put onto a list
        |  "ended", ready…  |  "halted", ready…  |  "later" | "gone"
]]
--- @include "losing"
local id, what, timer, deadline, most, window = arg(), arg(), arg(), arg(), number(), number()
local member = id .. " " .. what .. (timer ~= "" and " " .. timer or "")
local run = load_run(id)
if what == "r" and run and TERMINAL[run.status] then
  return { "reply" }
end
if not run or TERMINAL[run.status] then
  call("ZREM", K.wake(), member)
  return { "gone" }
end
if what == "d" then
  call("ZREM", K.wake(), member)
  if not run.stop then
    halt(run, "failed", deadline)
  end
  return ready_reply(run, "halted", window, "")
end
local r = load_record(id, what)
if timer == "t" then
  if not r or r.state ~= "x" then
    call("ZREM", K.wake(), member)
    return { "gone" }
  end
  local ends = r.at + links(run, what).timeout
  if now < ends then
    call("ZADD", K.wake(), ends + OVERDUE_MS, member) -- another attempt than the one this timer was for
    return { "later" }
  end
  return { "overtime", r.token, call("HGET", K.plan(id), "s" .. what), r.attempt, r.fails }
end
if r and (r.state == "z" or (r.state == "w" and r.at > 0)) then
  if r.at > now then
    call("ZADD", K.wake(), r.at, member)
    return { "later" }
  end
  r.phase = r.phase + (r.state == "w" and 1 or 0)
  make_ready(run, what, r)
  return { "send", call("HGET", K.plan(id), "c" .. what) }
elseif r and r.state == "r" then
  r.resends = r.resends + 1
  save_record(id, r)
  call("ZADD", K.wake(), now + OVERDUE_MS * 2 ^ math.max(0, math.min(r.resends - 2, 6)), member)
  return { "waiting", call("HGET", K.plan(id), "c" .. what), r.at, r.resends }
end
call("ZREM", K.wake(), member)
if r and r.state == "x" then
  local process, slot = string.match(r.where, "^(.*)/([^/]*)$")
  if call("HGET", K.claims(process), slot) ~= member then
    return take_back(run, r, true, most, window) -- its slot has gone on to other work without ending it
  end
end
return { "gone" }
