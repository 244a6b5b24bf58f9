-- Lua's own allocator is realloc for everything, with the old size: strings, tables that grow and
-- shrink, closures, coroutines.

local state = 42
local function random(n)
    state = (state * 1103515245 + 12345) % 2147483648
    return state // 65536 % n
end

local function checksum(text)
    local sum = 0
    for at = 1, #text do sum = (sum * 31 + text:byte(at)) % 1000000007 end
    return sum
end

local function tables()
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
    local count = 0
    for _, item in pairs(live) do count = count + #item end
    return count
end

local function strings()
    local parts = {}
    for i = 1, 200000 do
        parts[#parts + 1] = string.rep(string.char(97 + random(26)), random(60))
        if i % 50000 == 0 then parts = { table.concat(parts, ",") } end
    end
    local text = table.concat(parts, ";")
    local upper = text:gsub("%a+", function(word) return #word .. word:sub(1, 1):upper() end)
    return #text .. " " .. checksum(text) .. " " .. checksum(upper)
end

local function coroutines()
    local function producer(n)
        return coroutine.wrap(function()
            for i = 1, n do coroutine.yield({ value = i, text = ("%08d"):format(i) }) end
        end)
    end
    local sum = 0
    for n = 1, 2000 do
        local next_item, own = producer(n % 40), {}
        for item in next_item do
            own[#own + 1] = item
            sum = sum + item.value + #item.text
        end
    end
    return sum
end

local function collected()
    local closed = 0
    for _ = 1, 100000 do
        setmetatable({ ("x"):rep(random(200)) }, { __gc = function() closed = closed + 1 end })
    end
    collectgarbage()
    collectgarbage()
    return closed
end

local function sorted()
    local words = {}
    for i = 1, 200000 do words[i] = ("%07d"):format(random(32768) * 300 + i % 300) end
    table.sort(words)
    return words[1] .. " " .. words[100000] .. " " .. checksum(table.concat(words))
end

collectgarbage("generational")
print("tables", tables())
print("strings", strings())
collectgarbage("incremental")
print("coroutines", coroutines())
print("collected", collected())
print("sorted", sorted())
