--[[
  Counts that an entry is completed, if one is: what is done most often, so it comes first and takes no more than it has
  to. Where the run does not know the work to be planned, it is noted for include/counting.lua.
]]
local LONGEST_SPAN = 25

for i, move in ipairs(noted) do
  if move[4] == "c" and move[2] then
    local series, took = move[2] .. (noted.workflows[move[1]] or ""), now - move[5]
    local _, span = math.frexp(took - 0.5)
    span = "c" .. math.min(span, LONGEST_SPAN)
    local left = redis.pcall("HINCRBY", K.left(move[1]), series, -1)
    if move[3] == "x" and type(left) == "number" and left >= 0 then
      redis.pcall("HINCRBY", K.numbers(), span .. series, 1)
      redis.pcall("HINCRBY", K.numbers(), "u" .. series, took)
    else
      redis.pcall("HINCRBY", K.left(move[1]), series, 1)
      count(move[1], move[2], "n", -1)
      count(move[1], move[2], span, 1)
      count(move[1], move[2], "u", took)
    end
    if move[6] > 0 then
      count(move[1], move[2], "v", 1)
    end
    table.remove(noted, i)
    break
  end
end
