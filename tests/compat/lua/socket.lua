-- SPDX-License-Identifier: BSD-3-Clause
-- Socket in every context. What it returns is compared with LuaSocket elsewhere (tests/net/test_lua_socket.py);
-- here is where it works at all, and what it says where it cannot wait. ROWS_PEER echoes lines.

local host, port = (os.getenv("ROWS_PEER") or ""):match("^(.*):(%d+)$")
if host == nil then
	return
end
port = tonumber(port)

local function open()
	local s = core.tcp()
	s:settimeout(10)
	s:connect(host, port)
	return s
end

row("socket-echo", "TARVW", function()
	local s = core.tcp()
	s:settimeout(10)
	local c = s:connect(host, port) == 1
	local n = math.tointeger(s:send("one\ntwo\r\nthree"))
	local a, b, d = s:receive("*l"), s:receive(), s:receive(5)
	s:close()
	return c, n, a, b, d
end)
row("socket-refused", "TARVW", function()
	local s = core.tcp()
	s:settimeout(10)
	return (s:connect("127.0.0.1", 1))
end)

if core.shared == nil then
	return
end

local EVERY, WAITS = "BITARFCVW", "TARFCVW"

own("socket-connect", WAITS, '1 f 4 f "abc" nil nil', function()
	local s = core.tcp()
	return s:connect(host, port), s:send("abc\n"), s:receive("*l")
end)
own("socket-setpeername", WAITS, '1 f 3 f "a" nil nil', function()
	local s = core.tcp()
	return s:setpeername(host, port), s:send("a\r\n"), s:receive()
end)
own("socket-connect_ssl", WAITS, 'nil "string"', function()
	local s = core.tcp()
	s:settimeout(10)
	local ok, why = s:connect_ssl(host, port) -- it echoes what a client says first
	return ok, type(why)
end)
own("socket-shutdown", WAITS, '1 f "rest" nil "closed" ""', function()
	local s = open()
	s:send("rest")
	return s:shutdown("send"), s:receive("*a"), s:receive(1)
end)
own("socket-partial", WAITS, '"p" nil "timeout" "art" 1 f', function()
	local s = open()
	s:send("part")
	local p = s:receive(1) -- it has come; the rest came with it
	s:settimeout(0.05)
	local a, b, c = s:receive(100)
	return p, a, b, c, s:close()
end)
own("socket-names", WAITS, '"string" "string" "' .. host .. '" ' .. port, function()
	local s = open()
	local a, b = s:getsockname()
	local c, d = s:getpeername()
	return type(a), type(b), c, tonumber(d)
end)
own("socket-family", WAITS, '"string"', function()
	return type((open():getfamily()))
end)
own("socket-options", WAITS, '1 f nil "string"', function()
	local s = open()
	local got, why = s:getoption("tcp-nodelay") -- there is none: our own TCP
	return s:setoption("tcp-nodelay", true), got, type(why)
end)
own("socket-stats", WAITS, '4 f 4 f true 1 f 7 f', function()
	local s = open()
	s:send("abc\n")
	s:receive()
	local received, sent, age = s:getstats()
	local one = s:setstats(7, 0, 0)
	return received, sent, age >= 0, one, (s:getstats())
end)
own("socket-reuse", WAITS, '0 1 true', function()
	local s = open()
	local ok = s:setkeepalive(10000, 8)
	local t = open()
	local again = t:getreusedtimes()
	t:close()
	return 0, ok, again > 0 -- another connection would say 0
end)
own("socket-keep", WAITS, 'true "kept"', function()
	local s = open()
	s:keep()
	s:send("kept\n")
	local text = s:receive()
	s:close()
	return true, text
end)
own("socket-dirty", WAITS, 'false "a" true', function()
	local s = open()
	local before = s:dirty()
	s:send("ab")
	return before, s:receive(1), s:receive(1) == "b"
end)
own("socket-getfd", WAITS, '"number"', function()
	return math.type(open():getfd()) and "number"
end)
own("socket-timeouts", EVERY, '1 f 1 f "number"', function()
	local s = core.tcp()
	return s:settimeout(2), s:settimeout(3, "t"), type((s:gettimeout()))
end)
own("socket-close", EVERY, '1 f 1 f', function()
	local s = core.tcp()
	return s:close(), s:close()
end)
own("socket-body", "BI", '"wait"', function()
	local _, why = pcall(function() return core.tcp():connect(host, port) end)
	return tostring(why):match("wait") or why
end)
own("socket-body-ssl", "BI", '"wait"', function()
	local _, why = pcall(function() return core.tcp():connect_ssl(host, port) end)
	return tostring(why):match("wait") or why
end)
