--[[
  Writes to a run's store. A value is opaque text but for two forms: plain decimal digits are an
  integer, and L followed by a value (or nothing) is a list that others append to: what was appended
  lies in a list of its own. The header's field `bytes` is the size of all of it.
]]
--- @include "call"
local LARGEST = 9.2e18
local KEEP = -1 -- a time to live that goes on as it is

local function grow(run, bytes)
  call("HINCRBY", K.run(run), "bytes", bytes)
end

--- The value of `key` now; a value whose time has ended is gone.
local function current(run, key)
  local meta = call("HGET", K.meta(run), key)
  if meta then
    local expires = tonumber(string.match(meta, "^%d+|%d+|(%d+)|"))
    if expires and expires > 0 and expires <= now then
      return false, meta
    end
  end
  return call("HGET", K.store(run), key), meta
end

local function drop_items(run, key)
  local items = K.items(run, key)
  for _, item in ipairs(call("LRANGE", items, 0, -1)) do
    grow(run, -#item)
  end
  call("DEL", items)
end

local function erase(run, key)
  local old = call("HGET", K.store(run), key)
  if old then
    if string.sub(old, 1, 1) == "L" then
      drop_items(run, key)
    end
    grow(run, -#old - #key)
    call("HDEL", K.store(run), key)
  end
  call("HDEL", K.meta(run), key)
end

--- Puts a value and keeps what metadata the key has; its time to live ends.
local function replace(run, key, value, ttl, json)
  local old, meta = current(run, key)
  if meta and not old then
    erase(run, key)
    meta = nil
  end
  old = old or nil
  if old and string.sub(old, 1, 1) == "L" then
    drop_items(run, key)
  end
  call("HSET", K.store(run), key, value)
  grow(run, #value - (old and #old or -#key))
  if meta or ttl or json then
    local created, expires, kept = now, 0, "{}"
    if meta then
      created, expires, kept = string.match(meta, "^(%d+)|%d+|(%d+)|(.*)$")
    end
    if ttl ~= KEEP then
      expires = ttl and now + ttl or 0
    end
    call("HSET", K.meta(run), key, string.format("%.0f|%.0f|%.0f|%s", created, now, expires, json or kept))
  end
end

local function append(run, key, item)
  local old, meta = current(run, key)
  if meta and not old then
    erase(run, key)
  end
  if not old then
    call("HSET", K.store(run), key, "L")
    call("HSET", K.run(run), "appended", 1)
    grow(run, 1 + #key)
  elseif string.sub(old, 1, 1) ~= "L" then
    call("HSET", K.store(run), key, "L" .. old)
    call("HSET", K.run(run), "appended", 1)
    grow(run, 1)
  end
  call("RPUSH", K.items(run, key), item)
  grow(run, #item)
end

local function increment(run, key, by)
  local old, meta = current(run, key)
  if meta and not old then
    erase(run, key)
  end
  call("HINCRBY", K.store(run), key, by)
  grow(run, #call("HGET", K.store(run), key) - (old and #old or -#key))
end

--- Reads the changes of an attempt from the arguments: count, then kind, key and what the kind needs.
local function read_changes()
  local changes = {}
  for i = 1, number() do
    local c = { kind = arg(), key = arg() }
    if c.kind == "p" then
      c.value, c.ttl, c.json = arg(), number(), arg()
      if c.json == "" then
        c.json = nil
      end
    elseif c.kind ~= "d" then
      c.value = arg()
    end
    changes[i] = c
  end
  return changes
end

--- The first change that cannot be applied, as key and kind, or nil. Nothing has been written yet.
local function refused(run, changes)
  for _, c in ipairs(changes) do
    local old = (c.kind == "i" or c.kind == "a") and current(run, c.key)
    if old and c.kind == "i" then
      if not string.match(old, "^%-?%d+$") or #old > 20
        or math.abs(tonumber(old) + tonumber(c.value)) > LARGEST then
        return c
      end
    elseif old and c.kind == "a" then
      local head = string.sub(old, 1, 1)
      if head ~= "L" and head ~= "[" then
        return c
      end
    end
  end
end

local function apply_changes(run, changes)
  for _, c in ipairs(changes) do
    if c.kind == "p" then
      replace(run, c.key, c.value, c.ttl, c.json)
    elseif c.kind == "d" then
      erase(run, c.key)
    elseif c.kind == "i" then
      increment(run, c.key, c.value)
    else
      append(run, c.key, c.value)
    end
  end
end
