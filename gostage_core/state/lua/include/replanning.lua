--[[
  What an attempt changes in the plan, from the arguments: order (its place among its siblings, for stages that
  it adds), details (JSON for the journal), actions added right after it, stages added right after its stage,
  and edits.
]]
--- @include "edits"
--- Where stages go that an entry adds: its own stage, and the stage that they come behind, which may be one that an
--- earlier action of it has added.
local function place_of_stages(run, l, outer, order)
  local stage_of, at = l.up, outer
  while stage_of ~= "0" and at.up ~= "0" do
    stage_of = at.up
    at = links(run, stage_of)
  end
  links(run, "0")
  local before, following = stage_of, stage_of ~= "0" and at.next or "0"
  while following ~= "0" do
    local f = links(run, following)
    if f.by ~= stage_of or f.order > order then
      break
    end
    before, following = following, f.next
  end
  return stage_of, before
end

--- The answer that refuses the changes; else nil, what applies them and returns the entries whose turn has
--- passed by it, and what begins what they added.
local function replanning(run, n, l, outer)
  local order, details = arg(), arg()
  local actions, stages, edits = read_actions(), read_stages(), read_edits()
  local all = {}
  for i, stage in ipairs(stages) do
    all[i] = stage
  end
  local no = refuse(run, edits, false, n, #actions, all)
  if no then
    return no
  end
  local stage_of, before
  if #stages > 0 then
    stage_of, before = place_of_stages(run, l, outer, order)
  end
  local function apply()
    if #actions > 0 then
      add_actions(run, l.up, n, actions)
    end
    for _, stage in ipairs(stages) do
      before = add_stage(run, before, stage, stage_of, order)
    end
    local over = apply_edits(run, edits)
    note_revision(run, n, details)
    return over
  end
  return nil, apply, function() begin_added(run) end
end
