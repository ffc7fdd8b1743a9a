--[[
  Writes JSON as the server's own cjson does: numbers have 14 digits, an empty table is an object, bytes
  are taken as they are.

  Given    null  that stands for JSON's own

  Returns  write(value, depth)  the text; a problem is raised as a table with what it is
]]
local null = ...
local error, type, pairs = error, type, pairs
local char, format, gsub, concat, floor = string.char, string.format, string.gsub, table.concat, math.floor
local DEEPEST = 1000
local LARGEST = 2 ^ 31 - 1 -- place in an array
local SPARSE_RATIO, SPARSE_SAFE = 2, 10

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["/"] = "\\/", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n",
                  ["\r"] = "\\r", ["\t"] = "\\t", ["\127"] = "\\u007f" }
for code = 0, 31 do
  local letter = char(code)
  escapes[letter] = escapes[letter] or format("\\u%04x", code)
end

local function quoted(text)
  return '"' .. gsub(text, '[%z\1-\31"\\/\127]', escapes) .. '"'
end

local function no_json(value, why)
  error({ "Cannot serialise " .. type(value) .. ": " .. why }, 0)
end

local function number_text(number)
  if number ~= number or number == math.huge or number == -math.huge then
    no_json(number, "must not be NaN or Inf")
  end
  return format("%.14g", number)
end

--- How long an array is, holes included; nil for a table that is none.
local function array_length(t)
  local count, longest = 0, 0
  for key in pairs(t) do
    if type(key) ~= "number" or key < 1 or key > LARGEST or floor(key) ~= key then
      return nil
    end
    count = count + 1
    longest = key > longest and key or longest
  end
  if longest > count * SPARSE_RATIO and longest > SPARSE_SAFE then
    no_json(t, "excessively sparse array")
  end
  return longest > 0 and longest or nil
end

local write

local function key_text(key)
  if type(key) == "string" then
    return quoted(key)
  elseif type(key) == "number" then
    return '"' .. number_text(key) .. '"'
  end
  no_json(key, "table key must be a number or string")
end

local function table_text(t, depth)
  if depth > DEEPEST then
    error({ "Cannot serialise, excessive nesting (" .. depth .. ")" }, 0)
  end
  local parts, length = {}, array_length(t)
  if length then
    for i = 1, length do
      parts[i] = write(t[i], depth)
    end
    return "[" .. concat(parts, ",") .. "]"
  end
  for key, value in pairs(t) do
    parts[#parts + 1] = key_text(key) .. ":" .. write(value, depth)
  end
  return "{" .. concat(parts, ",") .. "}"
end

write = function(value, depth)
  local kind = type(value)
  if kind == "string" then
    return quoted(value)
  elseif kind == "number" then
    return number_text(value)
  elseif kind == "table" then
    return table_text(value, depth + 1)
  elseif kind == "boolean" then
    return value and "true" or "false"
  elseif value == nil or value == null then
    return "null"
  end
  no_json(value, "type not supported")
end

return write
