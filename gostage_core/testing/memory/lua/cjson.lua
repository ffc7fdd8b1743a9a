--[[
  The library cjson, as scripts have it.

  Given    write, read, null  from encode.lua and decode.lua

  Returns  the library
]]
local write, read, null = ...
local error, type, pcall, select, tostring = error, type, pcall, select, tostring

local function check_count(name, count)
  if count ~= 1 then
    error("bad argument #1 to '" .. name .. "' (expected 1 argument)", 3)
  end
end

--- What a problem found on the way is to whoever has called the library.
local function raised(ok, result)
  if ok then
    return result
  end
  error(type(result) == "table" and result[1] or result, 3)
end

return {
  _NAME = "cjson",
  _VERSION = "2.1.0",
  null = null,
  encode = function(...)
    check_count("encode", select("#", ...))
    return (raised(pcall(write, ..., 0)))
  end,
  decode = function(...)
    check_count("decode", select("#", ...))
    local text = ...
    if type(text) ~= "string" and type(text) ~= "number" then
      error("bad argument #1 to 'decode' (string expected, got " .. (text == nil and "nil" or type(text)) .. ")", 2)
    end
    return (raised(pcall(read, tostring(text))))
  end,
}
