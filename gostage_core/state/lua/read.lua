--[[
  Read values of a run's store.

  KEYS[1]  store  hash  key -> encoded value

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id
  ARGV[3…] keys    to read

  Returns  for each key: value or false, metadata or false, {appended items} or false
]]
--- @include "values"
local id = arg()
local reply = {}
for i = 3, #ARGV do
  local value, meta = current(id, ARGV[i])
  reply[#reply + 1] = value
  reply[#reply + 1] = value and meta
  reply[#reply + 1] = value and string.sub(value, 1, 1) == "L" and call("LRANGE", K.items(id, ARGV[i]), 0, -1)
end
return reply
