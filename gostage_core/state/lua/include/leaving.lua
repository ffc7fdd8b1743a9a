--[[ Scopes whose turn passes: a stage that is disabled, removed or skipped. What it holds is not planned any more. ]]
--- Takes what a scope holds that is not done out of what is planned (-1), or puts it back (1). `l`: its links, where
--- its hooks have their turn all the same.
local function count_members(run, n, by, l)
  local its = l or links(run, n)
  local m, entries = its.first, l and {} or { its.before, its.after }
  while m ~= "0" do
    local member = links(run, m)
    entries[#entries + 1] = member.mode and "0" or m
    m = member.next
  end
  for _, one in ipairs(entries) do
    if one ~= "0" and string.find(AHEAD, string.sub(call("HGET", K.plan(run.id), "r" .. one) or "", 1, 1), 1, true) then
      count(run.id, call("HGET", K.plan(run.id), "c" .. one), "n", by)
    end
  end
end

local function is_left_out(run, n)
  local state = string.sub(call("HGET", K.plan(run.id), "r" .. n) or "", 1, 1)
  return state == "d" or state == "m" or state == "s"
end
