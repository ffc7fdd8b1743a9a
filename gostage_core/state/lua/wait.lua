--[[
  End one phase of an attempt: its store changes, and what it now waits for, holding no worker. When
  that has ended the entry becomes ready again. Refused when the lease has gone to somebody else.
  Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix   of every key
  ARGV[2]  run      its id
  ARGV[3]  entry    the action
  ARGV[4]  token    of the attempt
  ARGV[5]  window   links in one chain
  ARGV[6…] changes  of the store, as include/values.lua reads them
           kind     "group": details, mode, limit, quorum, policy, spec, collect (1 or 0), how many groups
                    of it are kept or 0 for all, count, then each member: a label's spec and its actions as
                    include/nodes.lua reads them
                    "run": the id of its first child run, which others of it have with a number behind; and
                    what the child is, as include/creation.lua reads it
                    "delivery": its id, timeout_ms or 0
                    "timer": ms
                    "signal": which wait of the entry it is, name, type, timeout_ms or 0, why the signal that
                    came was refused or empty

  Returns  "waiting", ready…  |  "repeated"  |  "fenced"  |  "gone"  |  "refused", key, kind
        |  "taken" (the child's id)  |  "limit", name, allowed  |  "full", bytes allowed
]]
--- @include "attempt"
--- @include "creation"
--- @include "edits"
--- @include "outcome"
local id, n, token, window = arg(), arg(), arg(), number()
local changes = read_changes()
local kind = arg()
local run, r, word = attempt_of(id, n, token)
if word then
  return { word }
end
local no = refused(run, changes)
if no then
  return no
end
links(run, n) -- a damaged plan shows here, before the first write
local stops = stopping(run, n)

--- An entry waits for what is outside of the plan, for `ms` at most, or 0 for as long as it takes.
local function wait_outside(ms)
  r.state = "w"
  if ms > 0 then
    r.at = now + ms
    if not run.paused then
      call("ZADD", K.wake(), r.at, id .. " " .. n)
    end
  end
  save_record(id, r)
end

local waits = {}

--- @include "group"
waits.group = function()
  local group = read_group()
  return nil, function()
    r.state = "o"
    save_record(id, r)
    local g = write_group(run, n, group, r.phase)
    call("HDEL", K.plan(id), "u" .. n, "q" .. n)
    jot(id, "action.waiting", n, run.revision, '{"for":"entries"}')
    if not begin(run, g) then
      resume(run, n)
    end
  end
end

waits.run = function()
  local first, known = arg(), call("HGET", K.plan(id), "a" .. n)
  local _, before = string.gsub(known or "", "[^\n]+", "")
  local child = read_run(before > 0 and first .. "-" .. before or first)
  local above = call("HMGET", K.run(id), "deadline", "depth", "most_children", "group")
  child.deadline, child.depth, child.most_children = tonumber(above[1] or 0), tonumber(above[2]) + 1, above[3]
  child.group = above[4] or child.group
  child.paused = run.paused and cjson.encode({ actor = "run " .. id })
  if child.depth > tonumber(child.most_children) then
    return { "limit", "max_child_depth", child.most_children }
  end
  if call("EXISTS", K.run(child.id)) == 1 then
    return { "taken", child.id }
  end
  return nil, function()
    call("HSET", K.plan(id), "u" .. n, child.id, "a" .. n, known and known .. "\n" .. child.id or child.id)
    call("HDEL", K.plan(id), "q" .. n)
    wait_outside(0)
    jot(id, "action.waiting", n, run.revision, cjson.encode({ ["for"] = "run", run = child.id }))
    create(child)
  end
end

waits.delivery = function()
  local awaited, timeout = arg(), number()
  return nil, function()
    call("HSET", K.plan(id), "q" .. n, awaited)
    call("HDEL", K.plan(id), "u" .. n)
    jot(id, "action.waiting", n, run.revision, '{"for":"delivery"}')
    local has_come = call("HEXISTS", K.plan(id), "d" .. n .. " " .. awaited) == 1
    wait_outside(has_come and 0 or timeout)
    if has_come then
      resume(run, n)
    end
  end
end

waits.timer = function()
  local ms = number()
  return nil, function()
    jot(id, "action.waiting", n, run.revision, string.format('{"for":"timer","until":%.0f}', now + ms))
    sleep(run, r, now + ms, r.phase + 1)
  end
end

--- @include "inbox"
waits.signal = function()
  local which, name, type_, timeout, refusal = arg(), arg(), arg(), number(), arg()
  count_kept(id)
  return nil, function()
    local known = call("HGET", K.plan(id), "d" .. n .. " s" .. which)
    if refusal ~= "" then
      unlearn(id, n, "s" .. which)
      jot(id, "signal.refused", n, run.revision, cjson.encode({ signal = name, reason = refusal }))
      known = false
    elseif known == "t" then
      wait_anew(id, n, which) -- an earlier try has waited in vain
      known = false
    end
    call("HSET", K.plan(id), "q" .. n, "s" .. which, "j" .. n, name .. "\n" .. type_)
    call("HDEL", K.plan(id), "u" .. n)
    local ends = call("HGET", K.plan(id), "d" .. n .. " u" .. which)
    local until_ = timeout > 0 and tonumber(ends or now + timeout)
    if until_ then
      remember(id, n, "u" .. which, string.format("%.0f", until_)) -- refusing one signal wins no time for the next
    end
    local told = cjson.encode({ ["for"] = "signal", signal = name })
    if until_ then
      told = string.format('%s,"until":%.0f}', string.sub(told, 1, -2), until_)
    end
    jot(id, "action.waiting", n, run.revision, told)
    local text = not known and take_signal(id, name)
    wait_outside(until_ and not text and not known and math.max(1, until_ - now) or 0)
    if text then
      hand_over(run, n, which, text)
      resume(run, n)
    elseif known then
      resume(run, n) -- what came for an earlier try
    else
      add_last(id, "w" .. name, n .. ":" .. which)
    end
  end
end

local start
no, start = waits[kind]()
if no then
  return no
end
apply_changes(run, changes)
free_slot(id, r)
let_go(run, r)
if string.find(call("HGET", K.plan(id), "e" .. n) or "", '^{"released"') then
  call("HDEL", K.plan(id), "e" .. n) -- a worker that agrees was found
end
r.attempt, r.at = r.attempt - 1, 0
call("ZREM", K.wake(), id .. " " .. n .. " t", id .. " " .. n .. " c")
if stops then
  settle(run, r, "k")
  jot(id, "action.cancelled", n, run.revision)
  go_on(run, n, "s")
else
  soundly(run, n, start)
end
return ready_reply(run, "waiting", window, "")
