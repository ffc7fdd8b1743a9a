--[[ Entries that an action waits for, in scopes of their own. ]]
--- @include "edits"
local function read_group()
  local group = { details = arg(), mode = arg(), limit = arg(), quorum = arg(), policy = arg(), spec = arg(),
                  collect = arg() == "1", most = number(), members = {} }
  for i = 1, number() do
    group.members[i] = { spec = arg(), actions = read_actions() }
  end
  return group
end

--- Writes one member: its first and its last node. An action by itself where it has but one, else a sequence
--- of its own; and that too where members are counted, for what an action adds is part of its member.
local function write_member(run, g, group, member)
  if #member.actions == 1 and group.quorum == "0" then
    local m = write_actions(run.id, g, member.actions, "0")
    return m, m
  end
  local inner = { spec = member.spec, mode = "s", limit = "0", quorum = "0", policy = "f", actions = member.actions }
  local m, _, last = write_scope(run.id, g, inner, "0", "0", "")
  return m, last
end

--- Forgets a scope with all that is in it, at any depth.
local function forget(run, n)
  local l = links(run, n)
  local m = l.mode and l.first or "0"
  while m ~= "0" do
    local after = links(run, m).next
    forget(run, m)
    m = after
  end
  for owned in string.gmatch(call("HGET", K.plan(run.id), "n" .. n) or "", "%d+") do
    forget(run, owned)
  end
  if not l.mode and string.find(AHEAD, string.sub(call("HGET", K.plan(run.id), "r" .. n) or "", 1, 1), 1, true) then
    count(run.id, call("HGET", K.plan(run.id), "c" .. n), "n", -1)
  end
  for what in string.gmatch(call("HGET", K.plan(run.id), "d" .. n) or "", "[^\n]+") do
    call("HDEL", K.plan(run.id), "d" .. n .. " " .. what)
  end
  for _, letter in ipairs({ "s", "c", "l", "r", "e", "p", "k", "n", "u", "q", "m", "v", "d", "y", "h", "b", "j", "t", "a", "x" }) do
    call("HDEL", K.plan(run.id), letter .. n)
  end
end

--- Forgets the oldest groups of an entry, of which it keeps so many; where one is damaged, what can be reached.
local function forget_oldest(run, n, most)
  local groups = {}
  for g in string.gmatch(call("HGET", K.plan(run.id), "n" .. n) or "", "%d+") do
    groups[#groups + 1] = g
  end
  while most > 0 and #groups >= most do
    pcall(forget, run, table.remove(groups, 1))
  end
  return groups
end

--- Writes a group that `n` waits for in this phase: its scope.
local function write_group(run, n, group, phase)
  local scope = { spec = group.spec, mode = group.mode, limit = group.limit, quorum = group.quorum,
                  policy = group.policy, actions = {} }
  local groups = forget_oldest(run, n, group.most)
  local g = write_scope(run.id, n, scope, "0", "0", phase)
  local first, before, collecting = "0", nil, {}
  for _, member in ipairs(group.members) do
    local m, last = write_member(run, g, group, member)
    collecting[#collecting + 1] = last
    if before then
      local b = links(run, before)
      b.next = m
      save_links(run, before, b)
    else
      first = m
    end
    before = m
  end
  local own = links(run, g)
  own.first, own.last = first, before or "0"
  save_links(run, g, own)
  groups[#groups + 1] = g
  call("HSET", K.plan(run.id), "n" .. n, table.concat(groups, ","), "y" .. n,
    group.collect and table.concat(collecting, ",") or "")
  add_note("open", n, g, tostring(tonumber(g) + 1), call("HGET", K.run(run.id), "nodes"))
  note_revision(run, n, group.details)
  return g
end
