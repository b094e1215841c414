-- SPDX-License-Identifier: BSD-3-Clause
-- The class Map, and core.set_map and its relatives, which change the same files.

local EVERY = "BITARFCVW"
local RUNNING = "TARFCVW"

local dir = debug.getinfo(1, "S").source:match("^@(.*/)")
local maps = {
	str = Map.new(dir .. "rows.map", Map.str),
	default = Map.new(dir .. "rows.map"),
	beg = Map.new(dir .. "rows.map", Map.beg),
	sub = Map.new(dir .. "rows.map", Map._sub),
	dir = Map.new(dir .. "rows.map", Map._dir),
	dom = Map.new(dir .. "rows.map", Map._dom),
	["end"] = Map.new(dir .. "rows.map", Map._end),
	ip = Map.new(dir .. "nets.map", Map.ip),
	int = Map.new(dir .. "numbers.map", Map.int),
	set = Map.new(dir .. "sets.map", Map.str),
	reg = Map.new(dir .. "regex.map", Map.reg),
}

row("map-constants", EVERY, function()
	local out = {}
	for k, v in pairs(Map) do
		if type(v) == "number" then
			out[k] = v
		end
	end
	return out, type(Map.new)
end)
row("map-type", EVERY, function()
	return tostring(maps.str), type(maps.str), type(maps.str[0])
end)

for name, keys in pairs({
	str = { "/a", "/A", "/x", "/d", "", 12 },
	default = { "/a", "/abc" },
	beg = { "/abc", "/a/b", "/", "/d" },
	sub = { "x/abx", "none" },
	dir = { "/x/ab/y", "x" },
	dom = { "x.12.y", "x" },
	["end"] = { "x/ab", "x" },
	ip = { "127.0.0.1", "127.0.0.2", "10.1.2.3", "10.2.2.3", "192.0.2.1", "2001:db8::7", "::ffff:10.1.1.1", "none", "" },
	int = { 1, 5, 7, 10, "5", "x" },
	reg = { "/rest", "the last", "x" },
}) do
	for i, key in ipairs(keys) do
		row("map-lookup-" .. name .. i, i == 1 and EVERY or "BA", function()
			return maps[name]:lookup(key), maps[name]:slookup(key)
		end)
	end
end

for name, fn in pairs({
	none = function() return maps.str:lookup() end,
	three = function() return maps.str:lookup("a", "b") end,
	table = function() return maps.str:lookup({}) end,
	slookup = function() return maps.str:slookup() end,
	self = function() return maps.str.lookup({}, "a") end,
	num = function() return maps.str.lookup(1, "a") end,
}) do
	row("map-lookup-bad-" .. name, "BTAFC", fn)
end

for name, fn in pairs({
	none = function() return Map.new() end,
	file = function() return Map.new("/nonexistent/x", Map.str) end,
	method = function() return Map.new(dir .. "rows.map", 99) end,
	negative = function() return Map.new(dir .. "rows.map", -1) end,
	name = function() return Map.new(dir .. "rows.map", "beg") end,
	regm = function() return Map.new(dir .. "regex.map", Map.regm) end,
	bool = function() return Map.new(dir .. "rows.map", Map.bool) end,
	found = function() return Map.new(dir .. "rows.map", Map.found) end,
	bin = function() return Map.new(dir .. "rows.map", Map.bin) end,
	len = function() return Map.new(dir .. "numbers.map", Map.len) end,
	nets = function() return Map.new(dir .. "rows.map", Map.ip) end,
}) do
	row("map-new-bad-" .. name, "BI", fn)
end
row("map-new-late", RUNNING, function()
	return Map.new(dir .. "rows.map", Map.str)
end)
row("map-new-again", "BI", function()
	return Map.new(dir .. "rows.map", Map.beg):lookup("/abc")
end)

-- What is set is there at once.
row("core-set_map", "ITARFCVW", function()
	local file, key = dir .. "sets.map", "/set"
	return core.set_map(file, key, "1"), maps.set:lookup(key), core.set_map(file, key, "2"),
		maps.set:slookup(key), core.del_map(file, key), maps.set:lookup(key)
end)
row("core-del_map-none", EVERY, function()
	return core.del_map(dir .. "rows.map", "/none")
end)
row("core-set_map-bad", EVERY, function()
	return core.set_map(dir .. "nets.map", "none", "1"), maps.ip:lookup("none")
end)
row("core-acl", "ITARFCVW", function()
	return core.add_acl(dir .. "words.acl", "more"), core.del_acl(dir .. "words.acl", "more"),
		core.del_acl(dir .. "words.acl", "none")
end)
for name, fn in pairs({
	set_none = function() core.set_map("nothing", "a", "b") end,
	set_two = function() core.set_map(dir .. "rows.map", "b") end,
	set_acl = function() core.set_map(dir .. "words.acl", "b", "c") end,
	set_table = function() core.set_map(dir .. "rows.map", {}, "c") end,
	del_none = function() core.del_map("nothing", "a") end,
	del_one = function() core.del_map("nothing") end,
	add_acl_none = function() core.add_acl("nothing", "a") end,
	add_acl_one = function() core.add_acl("nothing") end,
	add_acl_map = function() core.add_acl(dir .. "rows.map", "a") end,
	del_acl_none = function() core.del_acl("nothing", "a") end,
	del_acl_one = function() core.del_acl("nothing") end,
}) do
	row("core-patterns-bad-" .. name, "IAC", fn)
end

-- A rule's pattern file follows.
row("core-acl-rule", "D", function(txn)
	core.add_acl(dir .. "words.acl", "gamma")
	txn:set_var("txn.out", "added")
end)
row("txn-c-map", "AF", function(txn)
	return txn.c:map("/a", dir .. "rows.map")
end)
row("txn-c-map_beg-none", "AF", function(txn)
	return txn.sc:map_beg("/a", "/nonexistent/x", "none")
end)
