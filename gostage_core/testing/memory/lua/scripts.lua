--[[
  Runs scripts, and hands out what they return or raise, marked with what it is: one value, a list of
  values by themselves, a long list as a table and its length, a status, an error, the end of a script by
  an error and its line, or a problem that is none of the script's.

  Given    what_is_wrong(problem)  the text of a command's refusal, false for any other problem
           listed(mark, …)         a nested table, handed out likewise, as a list of Python
           environment, globals    from sandbox.lua

  Returns  compile(text), which may be what dump(script) returned, dump(script), run_short(script, key, …),
           run_long(script, keys, arguments)
]]
local what_is_wrong, listed, environment, globals = ...
local type, unpack, tostring, rawget, xpcall = type, unpack, tostring, rawget, xpcall
local loadstring, setfenv, getinfo = loadstring, setfenv, debug.getinfo
local AT_ONCE = 4000 -- values on Lua's stack, which holds 8000

collectgarbage("setpause", 1000) -- a script makes much garbage, and little is ever kept

local function compile(text)
  local script, problem = loadstring(text, "@user_script")
  return script and setfenv(script, environment), problem
end

--- The text of what ends a script, and the line of it, which is 0 where Lua does not know it any more: in
--- `return redis.call(…)`.
local function ending(problem)
  local text
  if type(problem) == "userdata" then
    text = what_is_wrong(problem)
    if not text then
      return { problem = problem }
    end
  elseif type(problem) == "table" then
    text = type(problem.err) == "string" and problem.err or "ERR unknown error"
  else
    text = "ERR " .. tostring(problem)
  end
  local level, where = 2, getinfo(2, "Sl")
  while where and where.source ~= "@user_script" do
    level = level + 1
    where = getinfo(level, "Sl")
  end
  return { text = text, line = where and where.currentline or 0 }
end

local deliver

--- The items of a table up to the first that is nil, with nested tables as lists: how many, then each.
local function items(reply)
  local count, plain = 0, true
  local item = rawget(reply, 1)
  while item ~= nil do
    count = count + 1
    plain = plain and type(item) ~= "table"
    item = rawget(reply, count + 1)
  end
  if not plain then
    local outer = reply
    reply = {}
    for i = 1, count do
      reply[i] = type(outer[i]) == "table" and listed(deliver(outer[i])) or outer[i]
    end
  end
  if count > AT_ONCE then
    return "long", reply, count
  end
  return "list", unpack(reply, 1, count)
end

deliver = function(reply)
  if type(reply) ~= "table" then
    return "one", reply
  elseif type(rawget(reply, "err")) == "string" then
    return "error", rawget(reply, "err")
  elseif type(rawget(reply, "ok")) == "string" then
    return "status", rawget(reply, "ok")
  end
  return items(reply)
end

local function answer(ok, reply)
  if ok then
    return deliver(reply)
  elseif type(reply) == "string" then -- the handler of errors had no room left on the stack
    return "ended", "ERR " .. reply, 0
  elseif reply.text then
    return "ended", reply.text, reply.line
  end
  return "foreign", reply.problem
end

local function run_short(script, key, ...)
  globals.KEYS, globals.ARGV = { key }, { ... }
  return answer(xpcall(script, ending))
end

local function run_long(script, keys, arguments)
  globals.KEYS, globals.ARGV = keys, arguments
  return answer(xpcall(script, ending))
end

return compile, string.dump, run_short, run_long
