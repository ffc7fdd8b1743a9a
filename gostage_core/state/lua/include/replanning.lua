--[[
  What an attempt changes in the plan, from the arguments: order (its place among its siblings, for stages that
  it adds), details (JSON for the journal), actions added right after it, stages added right after its stage,
  and edits.
]]
--- @include "edits"
--- Adds stages behind the stage of `l`, and behind those that earlier actions of it have added.
local function add_stages(run, l, outer, stages, order)
  local stage_of, at = l.up, outer
  while stage_of ~= "0" and at.up ~= "0" do
    stage_of = at.up
    at = links(run, stage_of)
  end
  local before = stage_of
  for _, stage in ipairs(stages) do
    local following = stage_of ~= "0" and at.next or "0"
    while following ~= "0" do
      local f = links(run, following)
      if f.by ~= stage_of or f.order > order then
        break
      end
      before, following = following, f.next
    end
    before = add_stage(run, before, stage, stage_of, order)
    at = links(run, before)
  end
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
  local function apply()
    if #actions > 0 then
      add_actions(run, l.up, n, actions)
    end
    if #stages > 0 then
      add_stages(run, l, outer, stages, order)
    end
    local over = apply_edits(run, edits)
    note_revision(run, n, details)
    return over
  end
  return nil, apply, function() begin_added(run) end
end
