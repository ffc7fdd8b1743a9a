--[[
  What scripts may use. It is what the server lets them use but for what knows real time or chance (os,
  math.random), loads code, packs bytes (bit, struct, cmsgpack), and for coroutines.

  Given    call, refuse, seen  from calls.lua
           sha1hex(text)
           cjson               the library

  Returns  the environment of scripts, and the table behind it, for KEYS and ARGV
]]
local call, refuse, seen, sha1hex, cjson = ...
local error, type, select, tostring, setmetatable = error, type, select, tostring, setmetatable
local real_pcall, real_xpcall = pcall, xpcall

local frozen = {}

local function readonly()
  error("Attempt to modify a readonly table", 2)
end

local function refused_where_frozen(change)
  return function(t, ...)
    if frozen[t] then
      error("Attempt to modify a readonly table", 0)
    end
    return change(t, ...)
  end
end

local function freeze(library)
  local proxy = setmetatable({}, { __index = library, __newindex = readonly, __metatable = false })
  frozen[proxy] = true
  return proxy
end

local function text_or_result(ok, ...)
  if ok then
    return true, ...
  end
  return false, seen((...))
end

local function error_or_reply(ok, ...)
  if ok then
    return ...
  end
  return { err = seen((...)) }
end

local function handled(f, handle)
  local foreign
  local function own(problem)
    if type(problem) ~= "userdata" then
      return handle(problem)
    end
    local is_refusal, text = real_pcall(seen, problem)
    if is_refusal then
      return handle({ err = text })
    end
    foreign = problem -- a handler cannot raise it
  end
  local function passed_on(...)
    if foreign then
      error(foreign, 0)
    end
    return ...
  end
  return passed_on(real_xpcall(f, own))
end

--- A table that is an answer by its one field.
local function marked(field, text, ...)
  if type(text) ~= "string" or select("#", ...) > 0 then
    return { err = "ERR wrong number or type of arguments" }
  end
  return { [field] = text }
end

math.random, math.randomseed = nil, nil
local redis = freeze({
  call = call,
  pcall = function(...)
    return error_or_reply(real_pcall(call, ...))
  end,
  error_reply = function(text, ...)
    local reply = marked("err", text, ...)
    local words = string.match(reply.err, "^%-?(.*)$")
    reply.err = string.find(words, " ", 1, true) and words or "ERR " .. words
    return reply
  end,
  status_reply = function(text, ...)
    return marked("ok", text, ...)
  end,
  sha1hex = function(...)
    return select("#", ...) == 1 and sha1hex(tostring((...))) or refuse("wrong number of arguments")
  end,
  log = function() end,
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
})
local globals = setmetatable({
  _VERSION = _VERSION, assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs,
  next = next, pairs = pairs, rawequal = rawequal, rawget = rawget, select = select, tonumber = tonumber,
  tostring = tostring, type = type, unpack = unpack,
  rawset = refused_where_frozen(rawset), setmetatable = refused_where_frozen(setmetatable),
  pcall = function(...)
    return text_or_result(real_pcall(...))
  end,
  xpcall = handled,
  math = freeze(math), string = freeze(string), table = freeze(table),
  cjson = freeze(cjson), redis = redis, server = redis,
}, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})
local environment = freeze(globals)
globals._G = environment

return environment, globals
