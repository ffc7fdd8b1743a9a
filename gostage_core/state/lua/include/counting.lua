--[[
  The numbers of the namespace, in one hash. A series is what a workflow has of one kind of message: the carrier
  of an entry, and behind it the workflow. For each:
  p  work that is planned and not done, and beside it all that has ended: what is planned is p without these
  c0 … c25  completed, by how long the last attempt took: up to 2^0, 2^1 … ms;  u  ms of all of these
  f k s m  failed, cancelled, skipped, removed;  t tried again later;  l  lost with its worker;  v  completed after that
  Of all runs together, =z =w =o =h entries that sleep, wait, wait for entries of their own, stand in line.
  series is how many series there are. Those beyond the most are counted together, for each queue.
  What of it is planned by one run stands in left:<run> too, and is given back when the run ends.
  Nothing here stops an operation: a number that is none stays as it is.
]]
local MOST, MOST_QUEUES = 1000, 100
local HAS_ENDED = "^[cfksm]%d*$"

local function add(key, field, by)
  return tonumber(redis.pcall("HINCRBY", key, field, by))
end

local function is_series(series)
  return redis.pcall("HEXISTS", K.numbers(), "p" .. series) == 1
end

--- Begins a series, unless there are `most` already; whether it is one now.
local function begin_series(series, most)
  if not is_series(series) and (tonumber(redis.pcall("HGET", K.numbers(), "series")) or 0) < most then
    add(K.numbers(), "series", 1)
    add(K.numbers(), "p" .. series, 0)
    return true
  end
  return is_series(series)
end

--- The series that a carrier is counted in, where there may be too many.
local function series_of(own, carrier)
  if begin_series(own, MOST) then
    return own
  end
  local sound, parts = pcall(cjson.decode, carrier)
  local queue = sound and type(parts) == "table" and type(parts[2]) == "string" and parts[2]
  local others = queue and cjson.encode({ "other", queue }) or '["other"]'
  return begin_series(others, MOST + MOST_QUEUES) and others or '["other"]'
end

--- Counts what a run has planned: the series, and how much of it counts. What a run has not counted as planned is
--- not taken from it: one that an earlier version wrote.
local function count_planned(id, own, carrier, by)
  local left = by < 0 and add(K.left(id), own, by)
  if left and left >= 0 then
    return own, by
  elseif left then
    add(K.left(id), own, -by)
  end
  local series = series_of(own, carrier)
  if by > 0 or (by < 0 and series ~= own) then
    left = add(K.left(id), series, by)
    if left and left >= 0 then
      return series, by
    end
    add(K.left(id), series, -by)
  end
  return series, 0
end

--- Adds so much more to a series, of which so much is planned.
local function add_more(id, carrier, more)
  local series, planned = count_planned(id, carrier .. (noted.workflows[id] or ""), carrier, more.n or 0)
  for kind, by in pairs(more) do
    if kind ~= "n" then
      add(K.numbers(), kind .. series, by)
      planned = planned + (string.match(kind, HAS_ENDED) and by or 0)
    end
  end
  if planned ~= 0 then
    add(K.numbers(), "p" .. series, planned)
  end
end

--- Adds what a change of an entry's state means, or notes it with what is noted already.
local function add_move(id, carrier, was, state)
  for one, by in pairs({ [was] = -1, [state] = 1 }) do
    if one == "z" or one == "w" or one == "o" or one == "h" then
      add(K.numbers(), "=" .. one, by)
    end
  end
  local before = string.find(AHEAD, was, 1, true) and 1 or 0
  count(id, carrier, "n", (string.find(AHEAD, state, 1, true) and 1 or 0) - before)
  if string.match(state, HAS_ENDED) then
    count(id, carrier, state, 1)
  end
end

local function add_noted()
  for i = 1, #noted do
    add_move(unpack(noted[i], 1, 4))
    noted[i] = nil
  end
  for id, of in pairs(noted.more) do
    for carrier, more in pairs(of) do
      add_more(id, carrier, more)
    end
  end
  noted.more = {}
end

--- Adds what a run has left undone to what is planned, so often. Where it has left nothing, nothing is kept of it.
local function add_left(id, by)
  local left, is_done = redis.pcall("HGETALL", K.left(id)), true
  for i = 1, #left, 2 do
    local many = tonumber(left[i + 1])
    if many and many ~= 0 then
      is_done = false
      add(K.numbers(), "p" .. left[i], by * many)
    end
  end
  if is_done then
    call("DEL", K.left(id))
  end
end
