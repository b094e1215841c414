-- SPDX-License-Identifier: BSD-3-Clause
-- What is sluice's own: queues (HAProxy 2.8 has them), core.shared, core.once, waiting in fetches. Each row
-- says what it has to give; haproxy has none of them.

if core.shared == nil then
	return
end

local EVERY = "BITARFCVW"

function own(name, where, want, fn)
	row("own-" .. name, where, function(...)
		local got = table.pack(fn(...))
		for i = 1, got.n do
			got[i] = show(got[i])
		end
		got = table.concat(got, " ")
		if got ~= want then
			error("gives " .. got .. " and not " .. want, 0)
		end
	end)
end

local count = 0
local function fresh()
	count = count + 1
	return "key" .. count
end

own("queue", EVERY, 'true 1 "a" 0 nil', function()
	local q = core.queue()
	return q:push("a"), q:size(), q:pop(), q:size(), q:pop()
end)
own("queue-wait", "TARFCVW", '"b"', function()
	local q = core.queue()
	core.register_task(function()
		core.msleep(1)
		q:push("b")
	end)
	return q:pop_wait()
end)
own("shared-set", EVERY, 'true "v" false true nil true', function()
	local t, k = core.shared("rows"), fresh()
	return t:set(k, "v"), t:get(k), (t:add(k, "w")), t:delete(k), t:get(k), (t:add(k, "w"))
end)
own("shared-incr", EVERY, '5 7 7', function()
	local t, k = core.shared("rows"), fresh()
	return (t:incr(k, 5, 0)), (t:incr(k, 2)), t:get(k)
end)
own("shared-cas", EVERY, 'true false true "b"', function()
	local t, k = core.shared("rows"), fresh()
	return (t:cas(k, nil, "a")), (t:cas(k, "x", "y")), (t:cas(k, "a", "b")), t:get(k)
end)
own("shared-ttl", EVERY, '-1 f true true', function()
	local t, k = core.shared("rows"), fresh()
	t:set(k, 1)
	local none = t:ttl(k)
	return none, (t:ttl(k, 100)), t:ttl(k) > 90
end)
own("shared-bound", EVERY, '"integer" true 16777216', function()
	local b = core.shared("rows"):bound()
	return math.type(b.items), b.bytes >= 0, b.max
end)
own("once", EVERY, '3 3', function()
	local k = fresh()
	return core.once(k, function() return 3 end), core.once(k, function() return 4 end)
end)
own("wait-fetch", "FC", '', function()
	core.sleep(0)
	core.msleep(1)
	core.yield()
end)
own("tcp-fetch", "BIFC", '"table"', function()
	return type(core.tcp())
end)
-- HAProxy crashes.
for _, name in ipairs({ "action", "fetches", "converters", "service", "init" }) do
	local fn = "register_" .. name
	own("late-" .. fn, "TARFCVW", '"' .. fn .. ': not available outside of the body of a script"', function()
		local args = { action = { "x", { "http-req" } }, service = { "x", "http" }, init = {} }
		local a = args[name] or { "x" }
		a[#a + 1] = function() end
		local _, why = pcall(core[fn], table.unpack(a))
		return why:match(fn .. ".*")
	end)
end
own("get_var", EVERY, '"a b" 202 "a b is 202" nil nil nil', function()
	return core.get_var("proc.text"), core.get_var("proc.sum"), core.get_var("proc.format"),
		core.get_var("proc.nobody"), core.get_var("txn.out"), core.get_var("none")
end)
