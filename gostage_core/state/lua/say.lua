--[[
  Keep a message of an attempt, behind those that its run has, and in every run above it that has not
  ended, each by its own sequence. It stays, whatever becomes of the attempt. The nonce makes it safe
  to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  entry    the action
  ARGV[4]  token    of the attempt
  ARGV[5]  nonce    of this message
  ARGV[6]  most     messages that one run keeps
  ARGV[7]  type     a name
  ARGV[8]  payload  JSON, opaque
  ARGV[9]  stage    id
  ARGV[10] action   name

  Returns  "said"  |  "full", run (that keeps as many as it may)  |  "lost" (the lease has gone)
]]
--- @include "attempt"
local HIGHEST = 100 -- runs above one another: more than may be nested, and an end of any circle
local id, n, token, nonce, most = arg(), arg(), arg(), arg(), number()
local kind, payload, stage, action = arg(), arg(), arg(), arg()
local _, r, word = attempt_of(id, n, token)
if word then
  return { "lost" }
end
if call("HGET", K.plan(id), "m" .. n) == nonce then
  return { "said" }
end

local own = call("HMGET", K.run(id), "workflow", "parent")
local hearers, above = { id }, string.match(own[2] or "", "^(%S+) ")
for _ = 1, HIGHEST do
  local over = above and call("HMGET", K.run(above), "status", "parent")
  if not over or not over[1] then
    break
  end
  if not TERMINAL[over[1]] then -- the messages of a run that has ended are all there
    hearers[#hearers + 1] = above
  end
  above = string.match(over[2] or "", "^(%S+) ")
end
for _, hearer in ipairs(hearers) do
  if call("LLEN", K.messages(hearer)) >= most then
    return { "full", hearer }
  end
  call("LLEN", K.journal(hearer)) -- what is no list shows here, before the first write
end

local text = cjson.encode
local item = table.concat({ string.format("[%.0f", now), text(kind), payload, text(own[1] or ""),
  text(stage), text(action), r.attempt, text(id) .. "]" }, ",")
call("HSET", K.plan(id), "m" .. n, nonce)
for _, hearer in ipairs(hearers) do
  call("RPUSH", K.messages(hearer), item)
  call("PUBLISH", K.events(hearer), call("LLEN", K.journal(hearer)))
end
return { "said" }
