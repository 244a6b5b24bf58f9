-- Tables that grow and shrink, strings, closures; Lua asks for all of it by realloc.
local state = 42
local function random(n)
    state = (state * 1103515245 + 12345) % 2147483648
    return state // 65536 % n
end

local live = {}
for _ = 1, 400000 do
    local key = random(5000)
    local item = live[key]
    if item and #item > 20 then
        live[key] = nil
    elseif item then
        item[#item + 1] = { random(100), tostring(key) }
    else
        live[key] = { {} }
    end
end

local parts = {}
for i = 1, 150000 do
    parts[#parts + 1] = string.rep(string.char(97 + random(26)), random(60))
    if i % 50000 == 0 then parts = { table.concat(parts, ",") } end
end
local text = table.concat(parts, ";"):gsub("%a+", function(word) return #word .. word:upper() end)
assert(#text > 0)

for n = 1, 2000 do
    local produce = coroutine.wrap(function()
        for i = 1, n % 40 do coroutine.yield({ value = i, text = ("%08d"):format(i) }) end
    end)
    for item in produce do assert(item.value) end
end
