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
local AHEAD = { [""] = 1, p = 1, r = 1, h = 1, x = 1 } -- work that is planned and not done
local tallies = {} -- run -> how many more entries are busy, and wait for what is outside, than before
local noted = { -- for the numbers of the namespace, as include/counting.lua has them
  workflows = {}, -- run -> its workflow
  of = {}, -- run -> carrier -> what of it is to be added
  aside = {}, -- state -> how many more entries are in it
}

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

--- Notes for the numbers that there is so much more of `what`, for an entry or a carrier.
local function count(run, n, what, by, carrier)
  carrier = carrier or call("HGET", K.plan(run), "c" .. n)
  if carrier then
    local of = noted.of[run] or {}
    local its = of[carrier] or {}
    noted.of[run], of[carrier], its[what] = of, its, (its[what] or 0) + by
  end
end

--- Counts for the numbers that work which the run knows to be planned is completed: at once, for that is what is
--- done most often. Else it is noted.
local function count_done(run, r, carrier, open)
  local took, series = now - r.at, carrier .. (noted.workflows[run] or "")
  local _, span = math.frexp(took - 0.5)
  span = "c" .. math.min(span, 25)
  local left = redis.pcall("HINCRBY", K.left(run), series, open)
  if type(left) == "number" and left >= 0 then
    redis.pcall("HINCRBY", K.numbers(), span .. series, 1)
    redis.pcall("HINCRBY", K.numbers(), "u" .. series, took)
  else
    redis.pcall("HINCRBY", K.left(run), series, -open)
    count(run, r.n, "n", open, carrier)
    count(run, r.n, span, 1, carrier)
    count(run, r.n, "u", took, carrier)
  end
end

--- Counts for the numbers that an entry has ended, or is work that is planned, or is not any more.
local function count_move(run, r)
  local carrier = call("HGET", K.plan(run), "c" .. r.n)
  local open = (AHEAD[r.state] or 0) - (AHEAD[r.was] or 0)
  if not carrier then
    return
  elseif r.state == "c" then
    count_done(run, r, carrier, open)
  elseif string.find("fksm", r.state, 1, true) then
    count(run, r.n, r.state, 1, carrier)
  end
  if r.state == "c" and r.lost > 0 then
    count(run, r.n, "v", 1, carrier)
  elseif r.state ~= "c" and open ~= 0 then
    count(run, r.n, "n", open, carrier)
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
  if was ~= "" and string.find("zwoh", was, 1, true) then
    noted.aside[was] = (noted.aside[was] or 0) - 1
  end
  if string.find("zwoh", state, 1, true) then
    noted.aside[state] = (noted.aside[state] or 0) + 1
  end
end

local function save_record(run, r)
  call("HSET", K.plan(run), "r" .. r.n, string.format("%s|%d|%d|%d|%s|%.0f|%.0f|%.0f|%s|%d|%d|%s",
    r.state, r.attempt, r.fails, r.lost, r.token, r.at, r.began, r.ended, r.where, r.resends, r.phase, r.place))
  if r.was ~= r.state then
    tally(run, r.was, r.state)
    if AHEAD[r.was] ~= AHEAD[r.state] or string.find("cfksm", r.state, 1, true) then
      count_move(run, r)
    end
    r.was = r.state
  end
end
