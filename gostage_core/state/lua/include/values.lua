--[[
  Writes to a run's store. A value is opaque text but for two forms: plain decimal digits are an
  integer, and L followed by a value (or nothing) is a list that others append to: what was appended
  lies in a list of its own. The header's field `bytes` is the size of all of it.

  Metadata, only where there is any: created|updated|expires|labels, the last of them JSON with a line
  for the tags and one for the properties.
]]
--- @include "call"
local EXACT = 9e15 -- doubles are integers up to here
local KEEP = -1 -- a time to live that goes on as it is
local replaced = {} -- run -> what its keys had before this operation, in the order of the writes
local META = "^(%d+)|%d+|(%d+)|(.*)$"
local LABELS = '^{"tags":(.-),\n"properties":(.*)}$'

local function grow(run, bytes)
  call("HINCRBY", K.run(run), "bytes", bytes)
end

--- Notes what `key` has, before it is written: value, metadata, and of a list what was appended, or how
--- much was.
local function note_replaced(run, key, value, meta, items)
  local of = replaced[run] or { bytes = 0, keys = {} }
  replaced[run] = of
  of.bytes = of.bytes + #key + (value and #value or 0)
  of.keys[#of.keys + 1] = { key, value or false, meta or false, items or 0 }
end

--- The value of `key` now; a value whose time has ended is gone.
local function current(run, key)
  local meta = call("HGET", K.meta(run), key)
  if meta then
    local expires = tonumber(string.match(meta, "^%d+|%d+|(%d+)|") or 0)
    if expires > 0 and expires <= now then
      return false, meta
    end
  end
  return call("HGET", K.store(run), key), meta
end

local function size_of(items)
  local size = 0
  for _, item in ipairs(items) do
    size = size + #item
  end
  return size
end

--- Notes the value of `key`, which goes away, and takes away what was appended to it.
local function clear(run, key, old, meta)
  if not old or string.sub(old, 1, 1) ~= "L" then
    return note_replaced(run, key, old, meta)
  end
  local items = call("LRANGE", K.items(run, key), 0, -1)
  local size = size_of(items)
  note_replaced(run, key, old, meta, items)
  replaced[run].bytes = replaced[run].bytes + size
  call("DEL", K.items(run, key))
  grow(run, -size)
end

local function erase(run, key)
  local old, meta = call("HGET", K.store(run), key), call("HGET", K.meta(run), key)
  if old then
    clear(run, key, old, meta)
    grow(run, -#old - #key)
    call("HDEL", K.store(run), key)
  end
  call("HDEL", K.meta(run), key)
end

--- The value of `key` and its metadata, for a write: what is left of an ended one is cleared away.
local function settled(run, key)
  local old, meta = current(run, key)
  if meta and not old then
    erase(run, key)
    return nil, nil
  end
  return old or nil, meta or nil
end

local function save_meta(run, key, meta, ttl, tags, properties)
  local created, expires, labels
  if meta then
    created, expires, labels = string.match(meta, META)
  end
  if ttl ~= KEEP then
    expires = ttl and now + ttl or 0
  end
  local old_tags, old_properties = string.match(labels or "", LABELS)
  call("HSET", K.meta(run), key, string.format('%.0f|%.0f|%.0f|{"tags":%s,\n"properties":%s}',
    created or now, now, expires or 0, tags or old_tags or "[]", properties or old_properties or "{}"))
end

--- Puts a value and keeps what metadata the key has, but for tags and properties that are given; its
--- time to live ends.
local function replace(run, key, value, ttl, tags, properties)
  local old, meta = settled(run, key)
  clear(run, key, old, meta)
  call("HSET", K.store(run), key, value)
  grow(run, #value - (old and #old or -#key))
  if meta or tags or properties or (ttl and ttl ~= KEEP) then
    save_meta(run, key, meta, ttl, tags, properties)
  end
end

local function append(run, key, item)
  local old, meta = settled(run, key)
  if not old or string.sub(old, 1, 1) ~= "L" then
    call("HSET", K.store(run), key, "L" .. (old or ""))
    call("HSET", K.run(run), "appended", 1)
    grow(run, old and 1 or 1 + #key)
  end
  local length = call("RPUSH", K.items(run, key), item)
  note_replaced(run, key, old, meta, length - 1)
  grow(run, #item)
  if meta then
    save_meta(run, key, meta, KEEP)
  end
end

local function increment(run, key, by)
  local old, meta = settled(run, key)
  note_replaced(run, key, old, meta)
  call("HINCRBY", K.store(run), key, by)
  grow(run, #call("HGET", K.store(run), key) - (old and #old or -#key))
  if meta then
    save_meta(run, key, meta, KEEP)
  end
end

--- Reads the changes of an attempt from the arguments: count, then kind, key and what the kind needs.
local function read_changes()
  local changes = {}
  for i = 1, number() do
    local c = { kind = arg(), key = arg() }
    if c.kind == "p" then
      c.value, c.ttl, c.tags, c.properties = arg(), number(), arg(), arg()
      c.tags = c.tags ~= "" and c.tags or nil
      c.properties = c.properties ~= "" and c.properties or nil
    elseif c.kind ~= "d" then
      c.value = arg()
    end
    changes[i] = c
  end
  return changes
end

--- Whether HINCRBY would take it. Beyond what a double holds exactly the server is asked, and its answer
--- undone.
local function counts(run, key, old, by)
  if not string.match(old, "^%-?%d+$") then
    return false
  end
  if math.abs(tonumber(old)) + math.abs(tonumber(by)) < EXACT then
    return true
  end
  local tried = redis.pcall("HINCRBY", K.store(run), key, by)
  if type(tried) == "table" then
    return false
  end
  call("HSET", K.store(run), key, old)
  return true
end

--- Whether the store would be larger than it may be. Looks closer only where it may be.
local function overflows(run, changes)
  local size = run.bytes
  for _, c in ipairs(changes) do
    size = size + (c.value and #c.key + #c.value or 0)
  end
  if size <= run.most_bytes then
    return false
  end
  for _, c in ipairs(changes) do
    local old = (c.kind == "p" or c.kind == "d") and call("HGET", K.store(run.id), c.key)
    size = size - (old and #c.key + #old or 0)
    if old and string.sub(old, 1, 1) == "L" then
      size = size - size_of(call("LRANGE", K.items(run.id, c.key), 0, -1))
    end
  end
  return size > run.most_bytes and size > run.bytes
end

--- The answer that refuses the changes, or nil. Nothing has been written yet.
local function refused(run, changes)
  for _, c in ipairs(changes) do
    local old = (c.kind == "i" or c.kind == "a") and current(run.id, c.key)
    if old and c.kind == "i" then
      if not counts(run.id, c.key, old, c.value) then
        return { "refused", c.key, c.kind }
      end
    elseif old and c.kind == "a" then
      local head = string.sub(old, 1, 1)
      if head ~= "L" and head ~= "[" then
        return { "refused", c.key, c.kind }
      end
    end
  end
  if #changes > 0 and overflows(run, changes) then
    return { "full", tostring(run.most_bytes) }
  end
end

local function apply_changes(run, changes)
  for _, c in ipairs(changes) do
    if c.kind == "p" then
      replace(run.id, c.key, c.value, c.ttl, c.tags, c.properties)
    elseif c.kind == "d" then
      erase(run.id, c.key)
    elseif c.kind == "i" then
      increment(run.id, c.key, c.value)
    else
      append(run.id, c.key, c.value)
    end
  end
end

--- Forgets what was replaced before `at`: who forks the run from there is told so.
local function lose_past(run, at)
  call("DEL", K.past(run))
  call("HSET", K.run(run), "past_lost", at, "past", 0)
end

--- Adds to what was replaced: how many bytes all of it has, or nil where what is there is damaged.
local function add_past(run, text)
  local length = redis.pcall("RPUSH", K.past(run), text)
  return tonumber(length) and tonumber(redis.pcall("HINCRBY", K.run(run), "past", #text))
end

--- Keeps what was replaced for who forks the run from a time before, the youngest up to so many bytes.
local function keep_replaced()
  for run, of in pairs(replaced) do
    local v = call("HMGET", K.run(run), "most_past", "forgotten")
    local most = tonumber(v[1] or 0) or 0
    local at = call("LLEN", K.journal(run)) + tonumber(v[2] or 0)
    local size = of.bytes <= most and add_past(run, cjson.encode({ at, of.keys }))
    if not size then
      lose_past(run, at)
    end
    while size and size > most do
      local oldest = call("LPOP", K.past(run))
      local cut = oldest and string.match(oldest, "^%[(%d+)")
      if not cut then
        lose_past(run, at)
        break
      end
      size = call("HINCRBY", K.run(run), "past", -#oldest)
      call("HSET", K.run(run), "past_lost", cut)
    end
  end
  replaced = {}
end
