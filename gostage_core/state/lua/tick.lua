--[[
  What the rescuer of every worker asks twice a second: renew the leases of these processes, and say
  what is due. What is handed out here is not handed out again before hold_ms has passed, so that the
  rescuers of many workers share the work and one that dies with it costs no more than that.

  KEYS[1]  wake  zset  "run entry" -> when somebody must look at it (ms)

  ARGV[1]  prefix     of every key
  ARGV[2]  lease_ms   how long a heartbeat is good
  ARGV[3]  stall_ms   without a tick by anybody, after which nobody's lease is over
  ARGV[4]  hold_ms    how long what is handed out is left alone
  ARGV[5]  limit      of what is handed out of each kind
  ARGV[6]  judge      1 when this rescuer may call others dead, else 0
  ARGV[7…] processes  count, then each living process of this worker

  Returns  now (ms), {due timers: "run entry"…}, {messages to look for: "run entry"…}, {dead: process, {slot,
           "run entry"…} …}, {ended runs past retention}, {throttles with room}, {due schedules}, {doomed: process,
           "slot run entry" …}
]]
--- @include "call"
local lease, stall, hold, limit, judge = number(), number(), number(), number(), number()
local doomed = {}
for _ = 1, number() do
  local process = arg()
  call("ZADD", K.alive(), now + lease, process)
  local held = call("HGET", K.doomed(), process)
  local slot, member = string.match(held or "", "^(%S*) (.+)$")
  if slot and call("HGET", K.claims(process), slot) == member then
    doomed[#doomed + 1] = process -- told again until it is done: an answer may be lost
    doomed[#doomed + 1] = held
  elseif held then
    call("HDEL", K.doomed(), process)
  end
end
-- When nobody has ticked for long, the server stood still or was away, and nobody could renew: who
-- lives does so within the three ticks that are given here.
local last = tonumber(call("GET", K.beat()) or now)
call("SET", K.beat(), now)
if now - last > stall then
  for _, process in ipairs(call("ZRANGE", K.alive(), 0, -1)) do
    call("ZADD", K.alive(), "XX", "GT", now + 2 * (lease - stall), process)
  end
end

--- What of an index is due, held back for who else asks; what none of ours wrote is taken out.
local function hand_out(index, pattern)
  local due = {}
  for _, member in ipairs(call("ZRANGEBYSCORE", index, "-inf", now, "LIMIT", 0, limit)) do
    if string.match(member, pattern) then
      call("ZADD", index, now + hold, member)
      due[#due + 1] = member
    else
      call("ZREM", index, member)
    end
  end
  return due
end

local dead = {}
if judge == 1 then
  for _, process in ipairs(call("ZRANGEBYSCORE", K.alive(), "-inf", now, "LIMIT", 0, limit)) do
    local claims = redis.pcall("HGETALL", K.claims(process))
    if #claims == 0 then -- nothing, or an error: a key of another type
      call("ZREM", K.alive(), process)
      call("HDEL", K.doomed(), process)
    else
      call("ZADD", K.alive(), now + hold, process)
      dead[#dead + 1] = process
      dead[#dead + 1] = claims
    end
  end
end
local TIMER, ENTRY, RUN, ANY = "^[%w_.:%-]+ [!-~ ]+$", "^[%w_.:%-]+ %d+$", "^[%w_.:%-]+$", "."
return { now, hand_out(KEYS[1], TIMER), hand_out(K.sent(), ENTRY), dead, hand_out(K.expiry(), RUN),
         hand_out(K.refill(), ANY), hand_out(K.schedules(), ANY), doomed }
