--[[
  The progress of one entry, packed in the field r<n> of its run's plan:
  state|attempt|fails|lost|token|at|began|ended|where|resends|phase
  States: r ready, x running, z sleeping, w waiting, c completed, f failed, s skipped, m removed,
  k cancelled, d disabled: to be skipped when its turn comes. An entry without a record is pending.
  One that was removed before its turn has no end until its turn has passed.
]]
--- @include "call"
local RECORD = "^(%l)|(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)|(%d+)$"
local SCOPE = "^(%l)|(%d+)|(%d+)|(%d+)|([%d%- ]*)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$"
local LIVE = { r = true, x = true, z = true, w = true }

local function parse_record(n, text)
  local state, attempt, fails, lost, token, at, began, ended, where, resends, phase = string.match(text, RECORD)
  if not state then
    if string.match(text, SCOPE) then
      return nil -- a stage: a message that names one means nothing
    end
    error("CORRUPT record r" .. n)
  end
  return {
    n = n, state = state, attempt = tonumber(attempt), fails = tonumber(fails), lost = tonumber(lost),
    token = token, at = tonumber(at), began = tonumber(began), ended = tonumber(ended),
    where = where, resends = tonumber(resends), phase = tonumber(phase),
  }
end

local function new_record(n)
  return { n = n, state = "r", attempt = 0, fails = 0, lost = 0, token = "", at = 0, began = 0,
           ended = 0, where = "", resends = 0, phase = 0 }
end

local function load_record(run, n)
  local text = call("HGET", K.plan(run), "r" .. n)
  return text and parse_record(n, text) or nil
end

local function save_record(run, r)
  call("HSET", K.plan(run), "r" .. r.n, string.format("%s|%d|%d|%d|%s|%.0f|%.0f|%.0f|%s|%d|%d",
    r.state, r.attempt, r.fails, r.lost, r.token, r.at, r.began, r.ended, r.where, r.resends, r.phase))
end
