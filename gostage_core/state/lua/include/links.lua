--[[
  The shape of a plan. It is a tree: scope 0 holds the stages one after another, a stage holds its
  actions one after another (s) or side by side (p), and an action that waits for others owns the
  scopes that hold them. Links of a node, packed in the field l<n>:
  an action  up,next,timeout_ms; behind it D and how long it may take in all, and T where it has a throttle
  a scope    up,next,first,last,mode,limit,quorum,policy,before,after,by,order
  before and after are the entries of the scope's hooks, which are no members of it. by and order say who added a
  stage, and the place of that; order of a scope that an action owns is the phase of the action that waits for it.
]]
--- @include "call"
local function links(run, n)
  local text = call("HGET", K.plan(run.id), "l" .. n)
  steps = steps - 1
  if not text or steps < 0 then
    steps = math.max(steps, 1000) -- for the end of the run, which is next
    error("CORRUPT links l" .. n)
  end
  local up, next_, first, last, mode, limit, quorum, policy, before, after, by, order = string.match(text,
    "^(%d+),(%d+),(%d+),(%d+),([sp]),(%d+),(%d+),([fw]),(%d+),(%d+),(%d+),(%d*)$")
  if up then
    return { up = up, next = next_, first = first, last = last, mode = mode, limit = tonumber(limit),
             quorum = tonumber(quorum), policy = policy, before = before, after = after, by = by, order = order }
  end
  local a_up, a_next, timeout, deadline, throttled = string.match(text, "^(%d+),(%d+),(%d+)D?(%d*)(T?)$")
  if not a_up then
    error("CORRUPT links l" .. n)
  end
  return { up = a_up, next = a_next, timeout = tonumber(timeout), deadline = tonumber(deadline), throttled = throttled }
end

local function save_links(run, n, l)
  local text
  if l.mode then
    text = table.concat({ l.up, l.next, l.first, l.last, l.mode, l.limit, l.quorum, l.policy, l.before, l.after,
                          l.by, l.order }, ",")
  else
    text = l.up .. "," .. l.next .. "," .. l.timeout .. (l.deadline and "D" .. l.deadline or "") .. l.throttled
  end
  call("HSET", K.plan(run.id), "l" .. n, text)
end
