-- SPDX-License-Identifier: BSD-3-Clause
-- The table core: what is there, helpers, clocks.

local EVERY = "BITARFCVWQ"

row("core-levels", EVERY, function()
	return core.emerg, core.alert, core.crit, core.err, core.warning, core.notice, core.info, core.debug
end)
row("core-thread", EVERY, function()
	return core.thread
end)
row("core-log", EVERY, function()
	return core.log(core.debug, "x"), core.Debug("x"), core.Info("x")
end)
row("core-log-bad-level", EVERY, function()
	core.log(12, "x")
end)
row("core-log-no-text", EVERY, function()
	core.log(core.info)
end)
row("core-now", EVERY, function()
	local n = core.now()
	local keys = {}
	for k in pairs(n) do
		keys[#keys + 1] = k
	end
	table.sort(keys)
	return table.concat(keys, ","), math.type(n.sec), math.type(n.usec), n.sec > 1600000000, n.usec < 1000000
end)

for name, t in pairs({
	plain = { "a,b;c", ",;" },
	blanks = { ",a,,b,", "," },
	noblank = { ",a,,b,", ",", true },
	none = { "abc", "" },
	empty = { "", "," },
	few = { "abc" },
	number = { 12.5, "." },
}) do
	row("core-tokenize-" .. name, EVERY, function()
		return core.tokenize(table.unpack(t))
	end)
end

for name, text in pairs({
	imf = "Sun, 06 Nov 1994 08:49:37 GMT",
	rfc850 = "Sunday, 06-Nov-94 08:49:37 GMT",
	asctime = "Sun Nov  6 08:49:37 1994",
	asctime2 = "Wed Nov 16 08:49:37 1994",
	bad = "Sun, 06 Nov 1994 08:49:37",
	empty = "",
	leap = "Thu, 29 Feb 2024 23:59:60 GMT",
	tail = "Sun, 06 Nov 1994 08:49:37 GMT x",
	future = "Fri, 31 Dec 9999 23:59:59 GMT",
	zone = "Sun, 06 Nov 1994 08:49:37 CET",
}) do
	for _, fn in ipairs({ "http_date", "imf_date", "rfc850_date", "asctime_date" }) do
		row("core-" .. fn .. "-" .. name, "BA", function()
			return core[fn](text)
		end)
	end
end
row("core-http_date-number", "BA", function()
	return core.http_date(12)
end)
row("core-http_date-none", "BA", function()
	return core.http_date()
end)

local function addr_type(a)
	return type(a)
end
for name, text in pairs({
	v4 = "192.0.2.1",
	net = "192.0.2.0/24",
	v6 = "2001:db8::1",
	v6net = "2001:db8::/32",
	bad = "192.0.2.300",
	name = "localhost",
	empty = "",
	big = "192.0.2.1/33",
	mask = "192.0.2.0/255.255.255.0",
	short = "10.1",
	number = 10,
}) do
	row("core-parse_addr-" .. name, EVERY, function()
		return addr_type(core.parse_addr(text))
	end)
end
for name, p in pairs({
	same = { "192.0.2.1", "192.0.2.1" },
	other = { "192.0.2.1", "192.0.2.2" },
	net = { "192.0.2.0/24", "192.0.2.77" },
	turned = { "192.0.2.77", "192.0.2.0/24" },
	outside = { "192.0.2.0/24", "192.0.3.1" },
	nets = { "10.0.0.0/8", "10.1.0.0/16" },
	mixed = { "::ffff:192.0.2.1", "192.0.2.1" },
	v6 = { "2001:db8::/32", "2001:db8:1::1" },
	v6out = { "2001:db8::/32", "2001:db9::1" },
	mapped = { "::ffff:192.0.2.0/120", "192.0.2.9" },
	all = { "0.0.0.0/0", "1.2.3.4" },
}) do
	row("core-match_addr-" .. name, EVERY, function()
		return core.match_addr(core.parse_addr(p[1]), core.parse_addr(p[2]))
	end)
end
row("core-match_addr-nil", "BA", function()
	return core.match_addr(nil, core.parse_addr("10.0.0.1"))
end)
row("core-match_addr-text", "BA", function()
	return core.match_addr("10.0.0.1", "10.0.0.1")
end)

row("core-concat", EVERY, function()
	local c = core.concat()
	local r = { c:add("a"), c:add("b"), c:add("") }
	return c:dump(), #r, tostring(c), type(c[0])
end)
row("core-concat-many", "BA", function()
	local c = core.concat()
	for i = 1, 2000 do
		c:add(string.rep(tostring(i % 10), i % 7))
	end
	local s = c:dump()
	return #s, s:sub(1, 20), s:sub(-20)
end)
row("core-concat-empty", "BA", function()
	return core.concat():dump()
end)
row("core-concat-bad", "BA", function()
	core.concat():add(nil)
end)
row("core-concat-number", "BA", function()
	local c = core.concat()
	c:add(12)
	return c:dump()
end)

row("core-set_nice", EVERY, function()
	return core.set_nice(12), core.set_nice(-5000), core.set_nice(5000), core.set_nice(0)
end)
row("core-set_nice-bad", "A", function()
	core.set_nice("x")
end)
row("core-sleep-bad", "A", function()
	core.sleep("x")
end)
row("core-msleep", "ATVRW", function()
	local a = core.now()
	local r = core.msleep(20)
	local b = core.now()
	return r, (b.sec - a.sec) * 1000000 + b.usec - a.usec >= 15000
end)
row("core-yield", "ATVRW", function()
	return core.yield()
end)
row("core-register-bad-facility", "B", function()
	core.register_action("x", { "http" }, function() end)
end)
row("core-register-bad-service", "B", function()
	core.register_service("x", "udp", function() end)
end)
row("core-register-no-function", "B", function()
	core.register_fetches("x", 12)
end)
row("core-register-no-name", "B", function()
	core.register_converters()
end)
row("core-get_info", EVERY, function()
	local i = core.get_info()
	return type(i), i.Name ~= nil, math.type(i.Nbthread), math.type(i.Pid), type(i.Version), math.type(i.CumConns)
end)

row("regex-new", EVERY, function()
	local ok, r = Regex.new("^(a+)b", true)
	return ok, tostring(r), type(r[0]), r:exec("aab"), r:exec("xb"), r:match("aabc"), r:match("x")
end)
row("regex-case", "BA", function()
	local _, r = Regex.new("abc", false)
	local _, q = Regex.new("abc", true)
	return r:exec("xABCx"), q:exec("xABCx")
end)
row("regex-bad", "BA", function()
	return Regex.new("a(", true)
end)
row("regex-groups", "BA", function()
	local _, r = Regex.new("(a)|(b)", true)
	return r:match("b")
end)
row("regex-no-arg", "BA", function()
	return Regex.new()
end)
row("act-values", EVERY, function()
	return act.CONTINUE, act.STOP, act.YIELD, act.ERROR, act.DONE, act.DENY, act.ABORT, act.INVALID
end)
row("globals", "BA", function()
	return type(core), type(act), type(Map), type(Regex), type(core.concat), type(core.register_task), type(core.tcp)
end)

row("queue", "BA", function()
	-- HAProxy 2.6 has none: compared with what 2.8's manual says
	if not core.queue then
		return 0, true, 1, "a", nil, 0, false
	end
	local q = core.queue()
	local empty = q:size()
	return empty, q:push("a"), q:size(), q:pop(), q:pop(), q:size(), (pcall(q.push, q, nil))
end)
row("queue-wait", "T", function()
	if not core.queue then
		return "first", "second"
	end
	local q = core.queue()
	core.register_task(function(a, b)
		core.msleep(10)
		q:push(a)
		core.msleep(10)
		q:push(b)
	end, "first", "second")
	local x = q:pop_wait()
	return x, q:pop_wait()
end)

for name, fn in pairs({
	http_date = "Sun, 06 Nov 1994 08:49:37 GMT",
	imf_date = "Sun, 06 Nov 1994 08:49:37 GMT",
	rfc850_date = "Sunday, 06-Nov-94 08:49:37 GMT",
	asctime_date = "Sun Nov  6 08:49:37 1994",
}) do
	row("core-" .. name, EVERY, function()
		return core[name](fn)
	end)
end
row("core-say", EVERY, function()
	return core.Warning("a row warns"), core.Alert("a row alerts")
end)
row("act-wake_time", EVERY, function()
	return act.wake_time(10)
end)
row("core-sleep", "TARVW", function()
	return core.sleep(0)
end)
-- Where nothing may wait.
for name, fn in pairs({
	sleep = function() core.sleep(0) end,
	msleep = function() core.msleep(1) end,
	yield = function() core.yield() end,
}) do
	row("core-" .. name .. "-early", "BI", fn)
end
-- Registering is for files (haproxy crashes when it is done later: own.lua); tasks may begin at any time.
row("core-register", "B", function()
	return core.register_action("row-none", { "http-req" }, function() end),
		core.register_fetches("row-none", function() end),
		core.register_converters("row-none", function() end),
		core.register_service("row-none", "http", function() end), core.register_init(function() end)
end)
row("core-register_task", EVERY, function()
	return core.register_task(function() end)
end)
-- A value that ends the call.
row("core-done-fetch", "X", function()
	core.done("ended")
end)
row("core-tcp", "TARVW", function()
	local s = core.tcp()
	s:close()
	return type(s)
end)
