-- Values of all types and sizes, many of them replaced or removed again.

local state = 42
local function random(n)
    state = (state * 1103515 + 12345) % 2147483648
    return math.floor(state / 1024) % n
end

redis.call('set', 'seed', 0)
for i = 1, 30000 do
    local key = ':' .. random(2000)
    local kind = random(7)
    local text = string.rep(string.char(97 + random(26)), random(400))
    if kind == 0 then
        redis.call('set', 'string' .. key, text)
    elseif kind == 1 then
        redis.call('append', 'string' .. key, text)
    elseif kind == 2 then
        redis.call('rpush', 'list' .. key, text, i)
    elseif kind == 3 then
        redis.call('hset', 'hash' .. key, i, text)
    elseif kind == 4 then
        redis.call('sadd', 'set' .. key, i, i * 7, text)
    elseif kind == 5 then
        redis.call('zadd', 'zset' .. key, random(1000), i)
    else
        redis.call('unlink', 'string' .. key, 'list' .. key, 'hash:' .. random(2000))
    end
end
redis.call('setrange', 'big', 3000000, 'end')
redis.call('sort', 'list:1', 'alpha', 'store', 'sorted')
return redis.call('dbsize')
