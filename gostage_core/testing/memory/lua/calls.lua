--[[
  How the calls of scripts reach the commands, and what scripts see of those that are refused.

  Given    what_is_wrong(problem)  the text of a command's refusal, false for any other problem

  Returns  add(name, run, least, most, shape, allowed), call(name, …), refuse(text), seen(problem)
]]
local what_is_wrong = ...
local error, type, select, upper = error, type, select, string.upper

local commands = {}

local function refuse(text)
  error({ err = "ERR " .. text }, 0)
end

--- A list as a table. A long one, and one of lists, is a table already.
local function gather(first, ...)
  if type(first) == "table" then
    return first
  end
  return { first, ... }
end

local function wrong_number()
  refuse("Wrong number of args calling command from script")
end

--- The command with its arguments counted. HGET is most of what scripts call: two have a way of their own.
local function counted(run, least, most)
  if least == 2 and most == 2 then
    return function(first, second, more)
      if second == nil or more ~= nil then
        wrong_number()
      end
      return run(first, second)
    end
  end
  return function(...)
    local count = select("#", ...)
    if count < least or count > most then
      wrong_number()
    end
    return run(...)
  end
end

local function add(name, run, least, most, shape, allowed)
  local checked = counted(run, least, most)
  if not allowed then
    commands[name] = function()
      refuse("This Valkey command is not allowed from script")
    end
  elseif shape == "list" then
    commands[name] = function(...)
      return gather(checked(...))
    end
  else
    commands[name] = checked
  end
end

--- The command whose name is not spelt in capitals, or is none.
local function find(name)
  if name == nil then
    refuse("Please specify at least one argument for this call")
  elseif type(name) ~= "string" and type(name) ~= "number" then
    refuse("Command arguments must be strings or integers")
  end
  return commands[upper(name)] or refuse("Unknown command called from script")
end

local function call(name, ...)
  return (commands[name] or find(name))(...)
end

--- What a script sees of a problem: the text of a refusal, else what was raised. What is none of the
--- script's business, such as a fault of the server or an interrupt, goes on to whoever runs it.
local function seen(problem)
  if type(problem) == "userdata" then
    return what_is_wrong(problem) or error(problem, 0)
  elseif type(problem) == "table" and type(problem.err) == "string" then
    return problem.err
  end
  return problem
end

return add, call, refuse, seen
