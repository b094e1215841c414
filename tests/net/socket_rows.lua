-- SPDX-License-Identifier: BSD-3-Clause
-- What a client does with a socket, row by row; written so that the same text runs under LuaSocket and
-- under sluice. rows(tcp, host, port, write): tcp() makes a socket, write(line) takes one result.
-- The peer is test_lua_socket.py: it plays the part that the first line names.
local function show(...)
	local t = table.pack(...)
	for i = 1, t.n do
		local v = t[i]
		local kind = math.type(v) or type(v)
		-- the name of a function in an error text depends on how it was called
		t[i] = kind .. ":" .. tostring(v):gsub("'[%w?]+'", "'?'"):gsub("^[^:]*%.lua:%d+: ", "")
			:gsub("calling '%?' on bad self", "bad argument #1 to '?'")
	end
	return t.n .. " " .. table.concat(t, " | ")
end

return function(tcp, host, port, write)
	local c

	local function part(name)
		if c then
			c:close()
		end
		c = tcp()
		write("# " .. name)
		c:settimeout(5)
		write(show(c:connect(host, port)))
		c:send(name .. "\n")
	end
	local function row(what, ...)
		write(what .. " " .. show(...))
	end
	local function try(what, fn, ...)
		row(what, pcall(fn, ...))
	end

	-- before it is connected
	c = tcp()
	try("send", c.send, c, "x")
	try("receive", c.receive, c)
	try("shutdown", c.shutdown, c)
	try("getstats", c.getstats, c)
	row("peer", c:getpeername())
	row("name", c:getsockname())
	row("fd", c:getfd())
	row("t", c:settimeout(1))
	row("t", c:settimeout(2.5, "t"))
	row("t", c:gettimeout())
	try("t", c.settimeout, c, 1, "x")
	row("t", c:settimeout())
	row("t", c:settimeout(nil, "t"))
	row("t", c:gettimeout())
	row("opt", c:setoption("tcp-nodelay", true))
	try("opt", c.setoption, c, "bogus", true)
	row("refused", c:connect(host, 1))
	try("connect", c.connect, c, host)
	try("connect", c.connect, c)

	part("echo")
	row("peer", select("#", c:getpeername()), (c:getpeername()))
	row("name", select("#", c:getsockname()), (c:getsockname()), type(select(2, c:getsockname())))
	row("family", c:getfamily())
	row("send", c:send("hello\n"))
	row("receive", c:receive())
	row("send", c:send("hello\n", 2))
	row("receive", c:receive("*l"))
	row("send", c:send("hello\n", 2, 3))
	row("send", c:send("hello\n", -1))
	row("receive", c:receive("*l"))
	row("send", c:send("hello\n", 4, 2))
	row("send", c:send("hello\n", 0, 99))
	row("receive", c:receive(2))
	row("receive", c:receive("2", "ab"))
	row("receive", c:receive(3, "ab"))
	row("receive", c:receive("*l", "pre"))
	row("send", c:send(""))
	row("send", c:send(12))
	row("send", c:send("\n"))
	row("receive", c:receive("*l", 7))
	try("send", c.send, c)
	try("send", c.send, c, {})
	try("receive", c.receive, c, "x")
	try("receive", c.receive, c, "*x")
	try("receive", c.receive, c, -1)
	row("dirty", c:dirty())
	row("stats", (function(r, s) return r, s end)(c:getstats()))
	row("setstats", c:setstats(1, 2, 3))
	row("stats", (function(r, s, a) return r, s, a >= 3 and a < 4 end)(c:getstats()))
	row("opt", c:setoption("tcp-nodelay", true))
	row("opt", c:getoption("tcp-nodelay"))
	row("opt", c:setoption("keepalive", true))
	row("opt", c:getoption("keepalive"))
	try("opt", c.setoption, c, "tcp-nodelay")
	try("opt", c.getoption, c, "bogus")
	row("linger", c:setoption("linger", { on = true, timeout = 1 }))
	local l = c:getoption("linger") or {}
	row("linger", l.on, l.timeout)
	row("linger", c:setoption("linger", { on = false, timeout = 0 }))
	c:settimeout(0.1)
	row("late", c:receive())
	row("late", c:receive("*a", "pre"))
	c:settimeout(10)
	c:send("part")
	row("late", c:receive(1)) -- it has come; the rest came with it
	c:settimeout(0.1)
	row("late", c:receive(10))
	row("late", c:receive(10, "xx"))
	c:settimeout(-1)
	c:settimeout(0.1, "t")
	row("late", c:receive(1))
	c:settimeout(0)
	row("late", c:receive(1))
	row("late", c:receive(0))
	row("close", c:close())
	row("close", c:close())
	row("send", c:send("x"))
	row("receive", c:receive())
	row("receive", c:receive("*a", "p"))
	row("peer", c:getpeername())
	row("shutdown", c:shutdown())
	row("stats", select("#", c:getstats()))
	row("fd", c:getfd())
	row("dirty", c:dirty())

	part("lines") -- in pieces: \r of its own, empty lines, a last line without an end
	for _ = 1, 6 do
		row("line", c:receive("*l"))
	end
	row("line", c:receive("*l"))
	row("line", c:receive("*l", "p"))

	part("bytes") -- 30000 bytes in pieces, then the end
	row("some", #c:receive(12345))
	row("some", #c:receive("*a"))
	row("none", c:receive("*a"))
	row("none", c:receive("*a", "pre"))
	row("none", c:receive(0))
	row("none", c:receive(5))
	row("none", c:receive("*l"))

	part("short") -- 3 bytes, then the end
	row("short", c:receive(10))

	part("short")
	row("short", c:receive("*a", "pre"))

	part("short")
	row("short", c:receive("*l", "pre"))

	part("silent") -- the end at once
	row("silent", c:receive("*a"))
	row("silent", c:receive())

	part("reset") -- 2 bytes and RST
	row("reset", c:receive("*l"))

	part("swallow") -- reads all to the end, answers with the count
	local big = ("x"):rep(300000)
	row("big", c:send(big))
	row("big", c:send(big, 100001))
	try("shutdown", c.shutdown, c, "foo")
	row("shutdown", c:shutdown("send"))
	row("count", c:receive("*a"))
	row("send", c:send("x"))

	part("stuck") -- never reads: some bytes are taken, then time is over
	c:settimeout(0.3)
	local n, err, last = c:send(("y"):rep(30000000))
	row("stuck", n, err, last > 1000 and last < 30000000)
	row("shutdown", c:shutdown("receive"))
	row("receive", c:receive())

	part("echo")
	row("shutdown", c:shutdown("both"))
	row("receive", c:receive())
	row("close", c:close())
end
