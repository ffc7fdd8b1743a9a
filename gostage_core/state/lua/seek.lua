--[[
  Look for the message of an action that nobody has taken: it may be lost. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id
  ARGV[3]  entry   the action

  Returns  "waiting", carrier, sent at, how often it was looked for  |  "gone"
]]
--- @include "run"
local id, n = arg(), arg()
local run = load_run(id)
local r = run and not TERMINAL[run.status] and not run.paused and load_record(id, n)
if not r or r.state ~= "r" then
  call("ZREM", K.sent(), id .. " " .. n)
  return { "gone" }
end
r.resends = r.resends + 1
save_record(id, r)
call("ZADD", K.sent(), now + OVERDUE_MS * 2 ^ math.max(0, math.min(r.resends - 2, 6)), id .. " " .. n)
return { "waiting", call("HGET", K.plan(id), "c" .. n), r.at, r.resends }
