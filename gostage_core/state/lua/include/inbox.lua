--[[
  Signals of a run, in one hash: each is consumed by one entry, the oldest first; one that nobody waits for
  yet is kept. Fields: n the last number, c how many are kept, s<number> a signal that is kept, q<name>
  numbers of those that are kept, w<name> who waits, as entry:which, i<id> that it is known already,
  k<place> the ids that are remembered.
]]
--- @include "memo"
local REMEMBERED = 1000

--- How many signals are kept. Damage of the numbers shows here, before the first write.
local function count_kept(run_id)
  local v = call("HMGET", K.inbox(run_id), "n", "c")
  check_count(v[1], "inbox")
  check_count(v[2], "inbox")
  return tonumber(v[2] or 0)
end

--- Whether a signal of this id came before; it is remembered from now on.
local function is_known(run_id, signal)
  if call("HEXISTS", K.inbox(run_id), "i" .. signal) == 1 then
    return true
  end
  local n = call("HINCRBY", K.inbox(run_id), "n", 1)
  local place = "k" .. n % REMEMBERED
  local oldest = call("HGET", K.inbox(run_id), place)
  if oldest then
    call("HDEL", K.inbox(run_id), "i" .. oldest)
  end
  call("HSET", K.inbox(run_id), place, signal, "i" .. signal, 1)
  return false
end

--- Takes the first of a list in a field: its head, or nil.
local function take_first(run_id, field)
  local head, rest = string.match(call("HGET", K.inbox(run_id), field) or "", "^([^,]+),?(.*)$")
  if not head then
    return nil
  end
  if rest == "" then
    call("HDEL", K.inbox(run_id), field)
  else
    call("HSET", K.inbox(run_id), field, rest)
  end
  return head
end

local function add_last(run_id, field, one)
  local before = call("HGET", K.inbox(run_id), field)
  call("HSET", K.inbox(run_id), field, before and before .. "," .. one or one)
end

--- Keeps a signal until somebody waits for it.
local function keep_signal(run_id, name, text)
  local number = call("HGET", K.inbox(run_id), "n")
  call("HSET", K.inbox(run_id), "s" .. number, text)
  call("HINCRBY", K.inbox(run_id), "c", 1)
  add_last(run_id, "q" .. name, number)
end

--- The oldest signal of a name that is kept, which is taken out; or nil.
local function take_signal(run_id, name)
  local number = take_first(run_id, "q" .. name)
  if not number then
    return nil
  end
  local text = call("HGET", K.inbox(run_id), "s" .. number)
  call("HDEL", K.inbox(run_id), "s" .. number)
  call("HINCRBY", K.inbox(run_id), "c", -1)
  return text or nil
end

--- Hands an entry the signal that it waits for, as the answer to the wait that was its `which`.
local function hand_over(run, n, which, text)
  remember(run.id, n, "s" .. which, "v" .. text)
  jot(run.id, "action.signalled", n, run.revision)
end
