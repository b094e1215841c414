-- SPDX-License-Identifier: BSD-3-Clause
--
-- What rows call, and where: with ROWS_COVER=FILE every function and constant of the API is wrapped, and
-- the row "cover" writes a line for each: "class member letters-with-a-value letters-with-an-error".
-- The surface is what the state itself has: the tables `core`, `act`, `Map`, `Regex`, and all classes.
-- Under sluice only; loaded before the rows. Scripts see neither the registry nor upvalues of C functions:
-- a module in C, which the test builds, gives them.

local path = os.getenv("ROWS_COVER")
if path == nil then
	return
end

local seen, order = {}, {} -- "class member" -> { value = {letters}, error = {letters} }

-- Rows wait, and others begin meanwhile: each coroutine has its letter; one that a row made has the last.
local by, last = setmetatable({}, { __mode = "k" }), "B"

function COVER_IN(where)
	by[coroutine.running()] = where
	last = where
end

local function letter()
	return by[coroutine.running()] or last
end

local function member(class, name)
	local key = class .. " " .. name
	if seen[key] == nil then
		seen[key] = { value = {}, error = {} }
		order[#order + 1] = key
	end
	return seen[key]
end

local function returned(m, where, ...)
	m.value[where] = true
	return ...
end

-- A call that raises has an error, until it is known that it returned.
local function wrap(class, name, fn)
	local m = member(class, name)
	return function(...)
		local where = letter()
		local had = m.error[where]
		m.error[where] = true
		return (function(...)
			m.error[where] = had
			return returned(m, where, ...)
		end)(fn(...))
	end
end

local function wrap_all(class, t)
	local plain, names = {}, {}
	for k, v in pairs(t) do
		if type(k) == "string" then
			names[#names + 1] = k
			plain[k] = v
		end
	end
	table.sort(names)
	for _, k in ipairs(names) do
		if type(plain[k]) == "function" then
			t[k] = wrap(class, k, plain[k])
		else
			member(class, k)
		end
	end
end

-- Reading a constant counts too: the table is behind a stand-in.
local function stand_in(class, t)
	return setmetatable({}, {
		__index = function(_, k)
			if type(k) == "string" and t[k] ~= nil and type(t[k]) ~= "function" then
				member(class, k).value[letter()] = true
			end
			return t[k]
		end,
		__pairs = function()
			return function(_, k)
				local n, v = next(t, k)
				if n ~= nil and type(v) ~= "function" then
					member(class, n).value[letter()] = true
				end
				return n, v
			end, t, nil
		end,
	})
end

for _, name in ipairs({ "core", "act", "Map", "Regex" }) do
	wrap_all(name, _G[name])
	_G[name] = stand_in(name, _G[name])
end

-- Classes: "sl.NAME" in the registry, with their methods in __index or behind it. The methods of f, sf,
-- c and sc are keywords of the configuration, which have tests of their own.
local native = require("cover_native")
local registry = native.registry()
for key, meta in pairs(registry) do
	local class = type(key) == "string" and key:match("^sl%.([%u]%w+)$") or key == "sl.txn" and "TXN"
		or key == "sl.http" and "HTTP" or key == "sl.socket" and "Socket"
	if class and type(meta) == "table" and meta.__index then
		local t = meta.__index
		if type(t) == "function" then
			t = native.upvalue(t, 1)
		end
		wrap_all(class, t)
	end
end

row("cover", "A", function()
	local f = assert(io.open(path, "w"))
	local function letters(t)
		local out = {}
		for k in pairs(t) do
			out[#out + 1] = k
		end
		table.sort(out)
		return #out > 0 and table.concat(out) or "-"
	end
	table.sort(order)
	for _, k in ipairs(order) do
		f:write(k, " ", letters(seen[k].value), " ", letters(seen[k].error), "\n")
	end
	f:close()
end)
