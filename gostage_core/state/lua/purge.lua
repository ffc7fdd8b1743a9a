--[[
  Forget a run that has ended, with everything that was its. Safe to repeat.

  KEYS[1]  run  hash  the header of the run

  ARGV[1]  prefix  of every key
  ARGV[2]  run     its id

  Returns  "purged"  |  "live" (it has not ended)  |  "gone"
]]
--- @include "ending"
local id = arg()
local run = load_run(id)
if not run then
  call("ZREM", K.expiry(), id)
  return { "gone" }
end
if not TERMINAL[run.status] then
  return { "live" }
end
local v = call("HMGET", K.run(id), "workflow", "tags", "key", "appended")
if v[4] then
  local values = call("HGETALL", K.store(id))
  for i = 1, #values, 2 do
    if string.sub(values[i + 1], 1, 1) == "L" then
      call("UNLINK", K.items(id, values[i]))
    end
  end
end
local sound, tags = pcall(cjson.decode, v[2] or "")
for _, tag in ipairs(sound and tags or {}) do
  call("ZREM", K.tag(tag), id)
end
call("ZREM", K.workflow(v[1] or ""), id)
call("ZREM", K.status(run.status), id)
call("ZREM", K.runs(), id)
call("ZREM", K.expiry(), id)
if v[3] ~= "" and call("HGET", K.keys(), v[3]) == id then
  call("HDEL", K.keys(), v[3])
end
call("UNLINK", K.run(id), K.plan(id), K.live(id), K.store(id), K.meta(id), K.journal(id), K.messages(id))
return { "purged" }
