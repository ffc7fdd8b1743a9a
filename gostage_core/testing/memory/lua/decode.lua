--[[
  Reads JSON as the server's own cjson does, which also takes what is no JSON: hexadecimal, infinite and
  no numbers.

  Returns  read(text)  the value; a problem is raised as a table with what it is
           null        that stands for JSON's own
]]
local error, type, tonumber, getmetatable, ipairs = error, type, tonumber, getmetatable, ipairs
local char, find, gmatch, lower = string.char, string.find, string.gmatch, string.lower
local match, sub = string.match, string.sub
local concat, floor = table.concat, math.floor
local DEEPEST = 1000

local null = newproxy(true)
getmetatable(null).__tostring = function()
  return "userdata: (nil)"
end

local PLAIN = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local NAMES = { ["{"] = "T_OBJ_BEGIN", ["}"] = "T_OBJ_END", ["["] = "T_ARR_BEGIN", ["]"] = "T_ARR_END",
                [":"] = "T_COLON", [","] = "T_COMMA" }
local WORDS = { { "true", true, "T_BOOLEAN" }, { "false", false, "T_BOOLEAN" }, { "null", null, "T_NULL" } }

local function refused(wanted, found, at)
  error({ "Expected " .. wanted .. " but found " .. found .. " at character " .. at }, 0)
end

local function utf8(code)
  if code < 0x80 then
    return char(code)
  elseif code < 0x800 then
    return char(0xC0 + floor(code / 0x40), 0x80 + code % 0x40)
  elseif code < 0x10000 then
    return char(0xE0 + floor(code / 0x1000), 0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  end
  return char(0xF0 + floor(code / 0x40000), 0x80 + floor(code / 0x1000) % 0x40, 0x80 + floor(code / 0x40) % 0x40,
    0x80 + code % 0x40)
end

--- The letter that is written as \uXXXX, or as two of these, and the place behind it; nil for none.
local function unicode(text, at)
  local code = tonumber(match(text, "^\\u(%x%x%x%x)", at) or "", 16)
  if not code or (code >= 0xDC00 and code < 0xE000) then
    return nil
  elseif code < 0xD800 or code >= 0xE000 then
    return utf8(code), at + 6
  end
  local second = tonumber(match(text, "^\\u(%x%x%x%x)", at + 6) or "", 16)
  if not second or second < 0xDC00 or second >= 0xE000 then
    return nil
  end
  return utf8(0x10000 + (code - 0xD800) * 0x400 + second - 0xDC00), at + 12
end

--- A string from behind its quote on, and the place behind it; or nil, what is wrong and where.
local function read_string(text, at)
  local parts = {}
  while true do
    local stop = find(text, '["\\%z]', at)
    if not stop then
      return nil, "unexpected end of string", #text + 1
    end
    parts[#parts + 1] = sub(text, at, stop - 1)
    local letter = sub(text, stop, stop)
    if letter == '"' then
      return concat(parts), stop + 1
    elseif letter == "\0" then
      return nil, "unexpected end of string", stop
    end
    local kind = sub(text, stop + 1, stop + 1)
    if kind == "u" then
      parts[#parts + 1], at = unicode(text, stop)
      if not at then
        return nil, "invalid unicode escape code", stop
      end
    elseif PLAIN[kind] then
      parts[#parts + 1], at = PLAIN[kind], stop + 2
    else
      return nil, "invalid escape code", stop
    end
  end
end

--- A hexadecimal number and the place behind it, or nil. Lua's own reading ends at 32 bits or 64.
local function read_hex(text, at)
  local whole, part, stop = match(text, "^0[xX](%x*)%.?(%x*)()", at)
  if not whole or whole .. part == "" then
    return nil
  end
  local number = 0
  for digit in gmatch(whole .. part, "%x") do
    number = number * 16 + tonumber(digit, 16)
  end
  local power, behind = match(text, "^[pP]([+-]?%d+)()", stop)
  return number / 16 ^ #part * 2 ^ (power or 0), behind or stop
end

--- What C's strtod takes: the number and the place behind it, or nil.
local function read_number(text, at)
  local sign, from = match(text, "^([+-]?)()", at)
  local word = lower(sub(text, from, from + 7))
  local number, stop = read_hex(text, from)
  if number then
    return sign == "-" and -number or number, stop
  elseif sub(word, 1, 3) == "inf" then
    number, stop = math.huge, from + (word == "infinity" and 8 or 3)
  elseif sub(word, 1, 3) == "nan" then
    number, stop = 0 / 0, from + 3
  else
    stop = match(text, "^%d+%.?%d*()", from) or match(text, "^%.%d+()", from)
    if not stop then
      return nil
    end
    stop = match(text, "^[eE][+-]?%d+()", stop) or stop
    number = tonumber(sub(text, from, stop - 1))
  end
  return sign == "-" and -number or number, stop
end

--- What stands at a place: its kind, its value, where it begins, and the place behind it.
local function token(text, at)
  at = match(text, "^[ \t\r\n]*()", at)
  local letter = sub(text, at, at)
  if letter == "" or letter == "\0" then
    return "T_END", nil, at, at
  elseif NAMES[letter] then
    return NAMES[letter], nil, at, at + 1
  elseif letter == '"' then
    local value, stop, place = read_string(text, at + 1)
    if value then
      return "T_STRING", value, at, stop
    end
    return stop, nil, place
  end
  for _, word in ipairs(WORDS) do
    if sub(text, at, at + #word[1] - 1) == word[1] then
      return word[3], word[2], at, at + #word[1]
    end
  end
  local head = lower(sub(text, at, at + 2))
  if find(letter, "[-+%d]") or head == "inf" or head == "nan" then
    local value, stop = read_number(text, at)
    if value then
      return "T_NUMBER", value, at, stop
    end
    return "invalid number", nil, at
  end
  return "invalid token", nil, at
end

local VALUES = { T_STRING = true, T_NUMBER = true, T_BOOLEAN = true, T_NULL = true }
local read_value

local function read_object(text, at, depth)
  local object = {}
  local kind, key, start, stop = token(text, at)
  if kind == "T_OBJ_END" then
    return object, stop
  end
  while true do
    if kind ~= "T_STRING" then
      refused("object key string", kind, start)
    end
    kind, _, start, stop = token(text, stop)
    if kind ~= "T_COLON" then
      refused("colon", kind, start)
    end
    object[key], stop = read_value(text, stop, depth)
    kind, _, start, stop = token(text, stop)
    if kind == "T_OBJ_END" then
      return object, stop
    elseif kind ~= "T_COMMA" then
      refused("comma or object end", kind, start)
    end
    kind, key, start, stop = token(text, stop)
  end
end

local function read_array(text, at, depth)
  local array, count = {}, 0
  local kind, _, start, stop = token(text, at)
  if kind == "T_ARR_END" then
    return array, stop
  end
  stop = at
  while true do
    count = count + 1
    array[count], stop = read_value(text, stop, depth)
    kind, _, start, stop = token(text, stop)
    if kind == "T_ARR_END" then
      return array, stop
    elseif kind ~= "T_COMMA" then
      refused("comma or array end", kind, start)
    end
  end
end

read_value = function(text, at, depth)
  local kind, value, start, stop = token(text, at)
  if VALUES[kind] then
    return value, stop
  elseif kind ~= "T_OBJ_BEGIN" and kind ~= "T_ARR_BEGIN" then
    refused("value", kind, start)
  elseif depth >= DEEPEST then
    error({ "Found too many nested data structures (" .. depth + 1 .. ") at character " .. start }, 0)
  end
  return (kind == "T_OBJ_BEGIN" and read_object or read_array)(text, stop, depth + 1)
end

local function read(text)
  if find(text, "^%z") or find(text, "^.%z") then
    error({ "JSON parser does not support UTF-16 or UTF-32" }, 0)
  end
  local value, stop = read_value(text, 1, 0)
  local kind, _, start = token(text, stop)
  if kind ~= "T_END" then
    refused("the end", kind, start)
  end
  return value
end

return read, null
