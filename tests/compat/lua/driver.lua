-- SPDX-License-Identifier: BSD-3-Clause
--
-- Rows of the Lua API, run under haproxy and under sluice by tests/net/test_lua_rows.py.
--
--     row(NAME, WHERE, function(...) return values… end)
--
-- WHERE names the contexts, a letter each; the request "GET /LETTER/NAME" runs the row there:
--
--     B body   I init   T task   A http-request   R http-response
--     Q tcp-request content   S tcp-response content   F fetch   C converter   V http service
--     W tcp service   X fetch, the value itself
--     D E      http-request, http-response: unprotected, its value is the action's
--     K        tcp-request content in mode tcp; k: the same, unprotected: the bytes that go on are the answer
--     L l      the same of tcp-response content, on what the echo says
--     v w      services that write their answer themselves: fn(applet)
--
-- The row gets txn (A R Q S F), the text (C) or the applet (V W). What it returns, or the error it
-- raises, comes back as text: in the header x-out, in the body from services.

ROWS, ORDER = {}, {}
local stored = {}

local function cover_in(letter) -- cover.lua, where it is asked for
	if COVER_IN ~= nil then
		COVER_IN(letter)
	end
end

local function quote(s)
	return '"' .. s:gsub('[%c"\\%%\128-\255]', function(c)
		return string.format("\\%03d", c:byte())
	end) .. '"'
end

local function key_order(a, b)
	if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
		return a < b
	end
	return type(a) < type(b)
end

function show(v, depth)
	local t = type(v)
	if t == "string" then
		return quote(v)
	elseif t == "number" then
		return math.type(v) == "integer" and tostring(v) or string.format("%.10g f", v)
	elseif t == "boolean" or t == "nil" then
		return tostring(v)
	elseif t ~= "table" or (depth or 0) > 4 then
		return t
	end
	local keys, out = {}, {}
	for k in pairs(v) do
		keys[#keys + 1] = k
	end
	table.sort(keys, key_order)
	for i, k in ipairs(keys) do
		out[i] = "[" .. show(k) .. "]=" .. show(v[k], (depth or 0) + 1)
	end
	return "{" .. table.concat(out, ",") .. "}"
end

function run(letter, name, ...)
	local r = ROWS[name]
	if r == nil then
		return "no such row"
	end
	cover_in(letter)
	local res = table.pack(pcall(r.fn, ...))
	if not res[1] then
		return "error " .. show(res[2])
	end
	for i = 2, res.n do
		res[i] = show(res[i])
	end
	return "ok " .. table.concat(res, " ", 2, res.n)
end

function row(name, where, fn)
	assert(ROWS[name] == nil, "row '" .. name .. "' exists")
	ROWS[name] = { where = where, fn = fn }
	ORDER[#ORDER + 1] = name
	if where:find("B", 1, true) then
		stored["/B/" .. name] = run("B", name)
	end
end

local function each(letter, fn)
	for _, name in ipairs(ORDER) do
		if ROWS[name].where:find(letter, 1, true) then
			fn(name)
		end
	end
end

local function name_of(path)
	return path:match("^/%a/(.*)$") or path
end

local function action(facility, letter)
	core.register_action("row-" .. letter, { facility }, function(txn)
		txn:set_var("txn.out", run(letter, name_of(txn:get_var("txn.path") or txn.sf:path()), txn))
	end)
end
local function raw(facility, letter)
	core.register_action("row-" .. letter, { facility }, function(txn)
		cover_in(letter)
		return ROWS[name_of(txn:get_var("txn.path"))].fn(txn)
	end)
end
raw("http-req", "D")
raw("http-res", "E")
action("http-req", "A")
action("http-res", "R")
action("tcp-req", "Q")
action("tcp-res", "S")

core.register_fetches("row-F", function(txn)
	return run("F", name_of(txn.sf:path()), txn)
end)

core.register_fetches("row-X", function(txn)
	cover_in("X")
	return ROWS[name_of(txn.sf:path())].fn(txn)
end)

core.register_converters("row-C", function(text)
	return run("C", name_of(text), text)
end)

core.register_fetches("stored", function(txn)
	return stored[txn.sf:path()] or "not run"
end)

-- The first line names the row; its answer goes on in place of what was sent: to an echo, or of it.
local function bytes(facility, side, letter, bare)
	core.register_action("row-" .. letter, { facility }, function(txn)
		local name = txn[side]:line():gsub("\n$", "")
		txn[side]:set(run(letter, name, txn) .. "\n")
	end)
	core.register_action("row-" .. bare, { facility }, function(txn)
		local name = txn[side]:getline():gsub("\n$", "")
		cover_in(bare)
		ROWS[name].fn(txn)
	end)
end
bytes("tcp-req", "req", "K", "k")
bytes("tcp-res", "res", "L", "l")

if core.register_service then
	core.register_service("row-V", "http", function(applet)
		local out = run("V", name_of(applet.path), applet)
		applet:set_status(200)
		applet:add_header("content-type", "text/plain")
		applet:start_response()
		applet:send(out)
	end)
	core.register_service("row-v", "http", function(applet)
		cover_in("v")
		ROWS[name_of(applet.path)].fn(applet)
	end)
	core.register_service("row-W", "tcp", function(applet)
		local name = applet:getline():gsub("\n$", "")
		applet:send(run("W", name, applet) .. "\n")
	end)
	core.register_service("row-w", "tcp", function(applet)
		local name = applet:getline():gsub("\n$", "")
		cover_in("w")
		ROWS[name].fn(applet)
	end)
end

core.register_init(function()
	local f = assert(io.open(os.getenv("ROWS_LIST"), "w"))
	for _, name in ipairs(ORDER) do
		f:write(name, ":", ROWS[name].where, "\n")
	end
	f:close()
	each("I", function(name)
		stored["/I/" .. name] = run("I", name)
	end)
end)

if core.register_task then
	core.register_task(function()
		each("T", function(name)
			stored["/T/" .. name] = run("T", name)
		end)
	end)
end
