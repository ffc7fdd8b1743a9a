--[[ Ends an operation: what it set free goes to others, statuses follow, and the answer says what is ready. ]]
--- @include "advance"
--- Lets those that stand in line for what was set free in, as far as there is room.
local function invite_all()
--- @inline "inviting"
  local key = next(freed)
  while key do
    freed[key] = nil -- a run that was let in may end at once, and set others free
    invite(key)
    key = next(freed)
  end
end

--- Adds what stands behind `n` in its sequence, up to a window. Where the plan is damaged this raises, and it
--- shows again when the run comes to that.
local function add_following(run, n, window, reply)
  local l = links(run, n)
  if links(run, l.up).mode == "p" then
    return
  end
  while #reply < 2 + 2 * window and l.next ~= "0" do
    n = l.next
    l = links(run, n)
    if l.mode then
      break
    end
    if call("HEXISTS", K.plan(run.id), "r" .. n) == 0 then
      reply[#reply + 1] = n
      reply[#reply + 1] = call("HGET", K.plan(run.id), "c" .. n)
    end
  end
end

--- What became ready, each with its carrier. `keep`: the chain at hand goes on with it. `group`: side
--- by side. `chain`: one, and behind it in a sequence the next ones. An entry of another run (the one
--- above, or below) is written with its run's id in front, and one that goes to the head of its queue behind
--- a "!".
local function ready_reply(run, word, window, have)
  if next(freed) then
    invite_all()
  end
  if next(replaced) then
    keep_replaced()
  end
  settle_statuses()
  local reply = { word, "group" }
  local single = #began_now == 1 and began_now[1][1] == run.id and began_now[1][2]
  if single and single == have then
    reply[2] = "keep"
    return reply
  end
  for _, one in ipairs(began_now) do
    reply[#reply + 1] = (one.head and "!" or "") .. (one[1] == run.id and one[2] or one[1] .. " " .. one[2])
    reply[#reply + 1] = call("HGET", K.plan(one[1]), "c" .. one[2])
  end
  if single then
    reply[2] = "chain"
    pcall(add_following, run, single, window, reply)
  end
  return reply
end
