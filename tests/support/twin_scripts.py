"""Scripts whose answers tell one Lua from another: what they return, raise, see and may not do.

Each is run with the key ``s``, which holds a string, and the arguments ``x`` and ``y``.
"""

ANSWERS = r"""
return 1 | return 'x' | return '' | return nil | return | return true | return false | return {}
return 3.99 | return -3.99 | return 1e300 | return -1e300 | return 0/0 | return 2^53
return math.pi | return {1,2,nil,4} | return {nil,1} | return {1,false,true,'x',1.9,-1.9,{3,{}}}
return {a=1} | return {ok='fine'} | return {err='ERR bad'} | return {err='CODE bad'}
return {ok='a',err='b'} | return {{ok='a'},{err='ERR b'},{err='CODE c'}} | return {err=1}
return 'x', 2 | return {{},{{}}} | return setmetatable({},{__index=function() return 5 end})
return function() end | return {function() end,1} | return cjson.null | return {cjson.null}
return {redis.call} | return redis.error_reply('My error')
return redis.error_reply('-CODE x').err | return redis.error_reply('x').err
return redis.error_reply('').err | return redis.error_reply() | return redis.error_reply({})
return redis.status_reply('x') | return redis.status_reply(1)
local t={} for i=1,9000 do t[i]=i end return t | local t={} for i=1,60 do t={t} end return t
return {KEYS[1],ARGV[1],ARGV[2],ARGV[3],#KEYS,#ARGV} | ARGV[1]='z' return ARGV
return type(ARGV[1]) | return tostring(1e15) | return tostring(0.1) | return tonumber('0x10')
return tonumber('z',36) | return string.format('%d %s %5.2f %q',1,'a',2.5,'b\nc')
return {unpack({1,2,3})} | return ('x'):rep(3) | return table.concat({1,2,3},',')
local t={3,1,2} table.sort(t) return t | return select('#',nil,nil)
local t={} for w in string.gmatch('a b','%a') do t[#t+1]=w end return t | return {ipairs({})}
return redis.sha1hex('') | return redis.sha1hex(1) | return {redis.LOG_DEBUG,redis.LOG_WARNING}
redis.log(redis.LOG_WARNING,'x') return 1 | return _VERSION | return tostring(_G==_G._G)
"""

CALLS = r"""
local r = redis.call('SET','a','b') return {r,r.ok}
return tostring(redis.call('SET','s','c','NX')) | return redis.call('SET','s','c','GET')
local r = redis.call('TYPE','a') return r | return type(redis.call('GET','none'))
return tostring(redis.call('LPOP','none'))
local r = redis.call('HMGET','none','a','b') return {tostring(r[1]),tostring(r[2]),#r}
local r = redis.call('MGET','none','s') return {tostring(r[1]),r[2]} | return redis.call('PING')
redis.call('HSET','h','a',1,'b',2.5,'c',1e21,'d',17e14,'e',-0.5) return redis.call('HGETALL','h')
return redis.call('zadd','z',1,'m')
redis.call('ZADD','y',17e11,'m') return redis.call('ZSCORE','y','m')
redis.call('ZADD','z',0.5,'n',1e20,'o') return redis.call('ZRANGE','z',0,-1,'WITHSCORES')
return redis.call('ZINCRBY','z',0.5,'m') | return redis.call('HGETALL','none')
return redis.call('LRANGE','none',0,-1) | return redis.call('EXISTS','s','s','none')
local r = redis.call('TIME') return {#r,type(r[1]),type(r[2])} | return redis.call('ECHO',1.5)
for i=1,9000 do redis.call('RPUSH','long',i) end return #redis.call('LRANGE','long',0,-1)
return redis.call('LRANGE','long',0,-1) | return #redis.call('SCAN','0')
return redis.call('LPOP','long',0) | local r = redis.pcall('GET','s') return r
local r = redis.pcall('HGET','s','b') return {r.err,type(r)}
local r = redis.pcall('NONE') return r.err | local r = redis.pcall('HGET','a') return r.err
local r = redis.pcall('HGET','a',{}) return r.err | local r = redis.pcall() return r.err
local r = redis.pcall({}) return r.err | local r = redis.pcall('EVAL','return 1',0) return r.err
local r = redis.pcall('ZADD','z','NX','GT',1,'m') return r.err
return redis.pcall('HGET','s','b')
"""

PROBLEMS = r"""
error('CORRUPT record r1') | error('x',0) | error() | error(12) | error({err='CODE x'})
error({a=1}) | error(redis.error_reply('CODE text')) | local t = nil local x = t.y
local x = 1 .. nil | local function f() error('deep') end¶¶f()¶return 1
¶¶local x = redis.call('HGET',KEYS[1],'f') | local x = redis.call('NONE')
local x = redis.call('HGET','a') | local x = redis.call('HGET','a',{})
redis.call('SET','after','1') redis.call('HGET',KEYS[1],'f') return 1 | a = 1 | local a = b
function f() end | _G.a = 1 | KEYS = {} | redis = nil | string.x = 1 | redis.x = 1 | cjson.x = 1
rawset(_G,'x',1) | setmetatable(_G,{}) | return type(print) | return type(require)
return type(io) | syntax ( | return 1 + | x = = 1
local t={} for i=1,1002 do t={t} end local x = cjson.encode(t)
local ok,e=pcall(redis.call,'HGET',KEYS[1],'f') return {tostring(ok),type(e),e}
local ok,e=pcall(error,{err='x'}) return e | local ok,e=pcall(error,{a=1}) return type(e)
local ok,e=pcall(error,'x') return e | local ok,e=pcall(function() error('deep') end) return e
local ok,e=pcall(redis.call,'NONE') error(e) | return {pcall(function() return 1,2,3 end)}
local ok,e=xpcall(function() error('x') end, function(m) return 'seen: '..m end) return e
local ok,e=xpcall(function() redis.call('NONE') end, function(m) return type(m) end) return e
local function f() return 1 + f() end local ok,e = pcall(f) return tostring(ok)
"""

JSON = r"""
return cjson.encode({1,2,3}) | return cjson.encode({}) | return cjson.encode({{},{{}}})
return cjson.encode({[1]=1,[3]=3}) | return cjson.encode({[10]=1}) | return cjson.encode({[0]=1})
return cjson.encode({[1.5]=1}) | return cjson.encode({[-1]=2}) | return cjson.encode({nil,2})
return cjson.encode({[12345678901234567]=1}) | return cjson.encode('a/b\127\0\31"')
return cjson.encode(nil) | return cjson.encode({cjson.null,true,false}) | return cjson.encode(0.1)
return cjson.encode(1e15) | return cjson.encode(1700000000000)
return cjson.encode(123456789012345) | return cjson.encode(-1/3)
local x = cjson.encode({[11]=1}) | local x = cjson.encode({[true]=1})
local x = cjson.encode(1/0) | local x = cjson.encode({function() end}) | local x = cjson.encode()
local x = cjson.encode(1,2) | local x = cjson.decode() | local x = cjson.decode(nil)
local x = cjson.decode({}) | return cjson.decode(12) | local x = cjson.decode('')
local x = cjson.decode('a') | local x = cjson.decode('[1,') | return cjson._VERSION
local x = cjson.decode('{1') | local x = cjson.decode('{"a"1') | local x = cjson.decode('{"a":1]')
local x = cjson.decode('[1}') | local x = cjson.decode('1 2') | local x = cjson.decode('\0a')
local x = cjson.decode(string.rep('[',1001))
return #cjson.decode(string.rep('[',1000)..string.rep(']',1000))
return tostring(cjson.decode('null') == cjson.null) | return cjson.decode('[null,2]')[2]
local x = {pcall(cjson.decode,'tru')} return {tostring(x[1]),x[2]} | return tostring(cjson.null)
return cjson.decode('"\\ud83d\\ude00\\u20ac\\u00e9"') | local x = cjson.decode('"\\ud800"')
"""


def scripts() -> list[str]:
    """Every one of them. In the texts above a bar or a newline parts them, and ¶ is a newline."""
    texts = (ANSWERS + CALLS + PROBLEMS + JSON).replace("\n", " | ").split(" | ")
    return [text.strip().replace("¶", "\n") for text in texts if text.strip()]
