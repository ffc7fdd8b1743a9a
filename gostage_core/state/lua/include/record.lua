--[[
  The progress of one entry, packed in the field r<n> of its run's plan:
  state|attempt|fails|lost|token|at|began|ended|where|resends|phase|place
  States: r ready, x running, z sleeping, w waiting for something outside of the plan, o waiting for
  entries of its own, h held by a throttle, c completed, f failed, s skipped, m removed, k cancelled,
  d disabled: to be skipped when its turn comes, p pending again in a run that was reopened. An entry
  without a record is pending. One that was removed before its turn has no end until its turn has passed.
  place is 1 while it is within its throttle, 2 when it is invited to be.
]]
--- @include "call"
local RECORD = "^(%l)|(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)|(%d+)|([012])$"
local SCOPE = "^(%l)|(%d+)|(%d+)|(%d+)|([%d%- ]*)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$"
local LIVE = { r = true, x = true, z = true, w = true, o = true, h = true }
local BUSY = { r = 1, x = 1 }
local OUTSIDE = { w = 1, h = 1 }
local AHEAD = "prxh" -- what is planned and not done: an entry in one of these, or in no state yet
local tallies = {} -- run -> how many more entries are busy, and wait for what is outside, than before
local noted = { workflows = {}, more = {} } -- for the numbers of the namespace, as include/counting.lua reads it

local function parse_record(n, text)
  local state, attempt, fails, lost, token, at, began, ended, where, resends, phase, place = string.match(text, RECORD)
  if not state then
    if string.match(text, SCOPE) then
      return nil -- a stage: a message that names one means nothing
    end
    error("CORRUPT record r" .. n)
  end
  return {
    n = n, was = state, state = state, attempt = tonumber(attempt), fails = tonumber(fails), lost = tonumber(lost),
    token = token, at = tonumber(at), began = tonumber(began), ended = tonumber(ended),
    where = where, resends = tonumber(resends), phase = tonumber(phase), place = place,
  }
end

local function new_record(n)
  return { n = n, was = "", state = "r", attempt = 0, fails = 0, lost = 0, token = "", at = 0, began = 0,
           ended = 0, where = "", resends = 0, phase = 0, place = "0" }
end

local function load_record(run, n)
  local text = call("HGET", K.plan(run), "r" .. n)
  return text and parse_record(n, text) or nil
end

--- Notes for the numbers that there is so much more of `what` (n: work that is planned) of a carrier, if it is one.
local function count(run, carrier, what, by)
  if carrier then
    local of = noted.more[run] or {}
    local its = of[carrier] or {}
    noted.more[run], of[carrier], its[what] = of, its, (its[what] or 0) + by
  end
end

--- Notes for the status of the run that an entry has gone from one state to another.
local function tally(run, was, state)
  local busy = (BUSY[state] or 0) - (BUSY[was] or 0)
  local outside = (OUTSIDE[state] or 0) - (OUTSIDE[was] or 0)
  if busy ~= 0 or outside ~= 0 then
    local t = tallies[run] or { busy = 0, outside = 0 }
    tallies[run] = { busy = t.busy + busy, outside = t.outside + outside }
  end
end

local function save_record(run, r)
  call("HSET", K.plan(run), "r" .. r.n, string.format("%s|%d|%d|%d|%s|%.0f|%.0f|%.0f|%s|%d|%d|%s",
    r.state, r.attempt, r.fails, r.lost, r.token, r.at, r.began, r.ended, r.where, r.resends, r.phase, r.place))
  if r.was ~= r.state then
    tally(run, r.was, r.state)
    if not (string.find("prx", r.was, 1, true) and string.find("prx", r.state, 1, true)) then
      noted[#noted + 1] = { run, call("HGET", K.plan(run), "c" .. r.n), r.was, r.state, r.at, r.lost }
    end
    r.was = r.state
  end
end
