-- SPDX-License-Identifier: BSD-3-Clause
-- Services: the objects AppletHTTP and AppletTCP, and answers that a service writes itself.

row("applet-http-parts", "V", function(a)
	return a.method, a.version, a.path, a.qs, a.length, tostring(a), type(a.headers), type(a.f), type(a.sf),
		type(a.c), type(a.sc), type(a.response)
end)
row("applet-http-headers", "V", function(a)
	return a.headers
end)
row("applet-http-no-http", "V", function(a)
	return type(a.http), type(a.req), type(a.done), type(a.reply), type(a.log)
end)
row("applet-http-methods", "V", function(a)
	local out = {}
	for _, n in ipairs({ "set_status", "add_header", "start_response", "getline", "receive", "send", "get_var",
		"set_var", "unset_var", "get_priv", "set_priv" }) do
		out[n] = type(a[n])
	end
	return out
end)
row("applet-http-nothing-sent", "V", function(a)
	return a:receive(), a:getline(), a:receive(10), a:receive(0)
end)
row("applet-http-vars", "V", function(a)
	return a:get_var("txn.path"), a:get_var("txn.no"), a:set_var("txn.n", 7), a:get_var("txn.n"),
		a:set_var("req.n", "r"), a:get_var("req.n"), a:set_var("sess.n", true), a:get_var("sess.n"),
		a:set_var("none.n", 1), a:unset_var("txn.n"), a:get_var("txn.n"), a:unset_var("none.n"),
		a:get_var("none.n"), a:set_var("res.n", 1)
end)
row("applet-http-priv", "V", function(a)
	a:set_priv({ 5 })
	return a:get_priv()
end)
row("applet-http-fetches", "V", function(a)
	return a.f:fe_name(), a.sf:fe_name(), a.f:be_name(), a.f:srv_name(), a.sf:srv_name(), type(a.f:date()),
		type(a.sf:date()), a.f:src() == a.sf:src()
end)
row("applet-http-fetches-http", "V", function(a)
	return a.f:path()
end)
row("applet-http-converters", "V", function(a)
	return a.c:upper("abc"), a.sc:length("abc"), a.c:length("abc")
end)
for name, fn in pairs({
	start_response = function(a) return a.start_response() end,
	set_status_none = function(a) return a:set_status() end,
	set_status_many = function(a) return a:set_status(200, "OK", 1) end,
	set_status_text = function(a) return a:set_status("no") end,
	add_header_one = function(a) return a:add_header("x") end,
	add_header_nil = function(a) return a:add_header("x", nil) end,
	get_var_none = function(a) return a:get_var() end,
	set_var_one = function(a) return a:set_var("txn.a") end,
	get_priv_two = function(a) return a:get_priv(1) end,
	send_none = function(a) return a:send() end,
	send_early = function(a) return a:send("x") end,
	getline_two = function(a) return a:getline(1) end,
}) do
	row("applet-http-bad-" .. name, "V", fn)
end
row("applet-http-set_status", "V", function(a)
	return a:set_status(99), a:set_status(600), a:set_status(-1), a:set_status(201), a:set_status(404, "Lost")
end)
row("applet-http-wait", "V", function(a)
	core.msleep(2)
	core.yield()
	return "waited"
end)

-- whole answers
local function answer(name, fn)
	row("applet-http-" .. name, "v", fn)
end
answer("length", function(a)
	a:set_status(200)
	a:add_header("content-length", "5")
	a:start_response()
	a:send("hello")
end)
answer("chunked", function(a)
	a:set_status(201, "Made")
	a:add_header("X-One", "1")
	a:start_response()
	a:send("hello")
end)
answer("chunked-asked", function(a)
	a:add_header("transfer-encoding", "chunked")
	a:start_response()
	a:send("hello")
end)
answer("length-twice", function(a)
	a:add_header("content-length", "2")
	a:add_header("content-length", "2")
	a:start_response()
	a:send("ok")
end)
answer("length-two", function(a)
	a:add_header("content-length", "2")
	a:add_header("content-length", "3")
	a:start_response()
	a:send("ok")
end)
answer("length-none", function(a)
	a:add_header("content-length", "x")
	a:start_response()
	a:send("ok")
end)
answer("field-twice", function(a)
	a:add_header("x-a", "1")
	a:add_header("x-a", 2)
	a:start_response()
end)
answer("field-given", function(a)
	a.response["x-more"] = { [0] = "0" }
	a:start_response()
end)
answer("default", function(a)
	a:start_response()
end)
answer("empty-sends", function(a)
	a:start_response()
	a:send("")
	a:send("a")
	a:send("")
end)
answer("status-299", function(a)
	a:set_status(299)
	a:start_response()
end)
answer("status-204", function(a)
	a:set_status(204)
	a:start_response()
	a:send("never")
end)
answer("status-304", function(a)
	a:set_status(304)
	a:start_response()
end)
answer("late-edits", function(a)
	a:start_response()
	a:send(tostring(a:set_status(404)))
	a:add_header("x-late", "1")
end)
answer("send-counts", function(a)
	a:start_response()
	a:send(tostring(a:send(("0123456789"):rep(5000))))
end)
answer("done", function(a)
	a:start_response()
	a:send("x")
	core.done("v")
	a:send("y")
end)
answer("nothing", function() end)
answer("error", function() error("boom") end)
answer("error-late", function(a)
	a:start_response()
	a:send("part")
	error("boom")
end)
answer("error-late-length", function(a)
	a:add_header("content-length", "10")
	a:start_response()
	a:send("part")
	error("boom")
end)
answer("send-early", function(a) a:send("x") end)
answer("twice", function(a)
	a:add_header("content-length", "2")
	a:start_response()
	a:send("ok")
	core.msleep(1)
end)
answer("bad-field", function(a)
	a:add_header("x", "a\r\nq: 1")
	a:start_response()
end)
answer("bad-reason", function(a)
	a:set_status(200, "bad\r\nx: y")
	a:start_response()
end)

-- mode tcp: the client sends the row's name and a line end
row("applet-tcp-parts", "W", function(a)
	return tostring(a), type(a.f), type(a.sf), type(a.c), type(a.sc), type(a.http), type(a.headers), type(a.method)
end)
row("applet-tcp-methods", "W", function(a)
	local out = {}
	for _, n in ipairs({ "getline", "receive", "send", "get_var", "set_var", "unset_var", "get_priv", "set_priv",
		"set_status", "start_response" }) do
		out[n] = type(a[n])
	end
	return out
end)
row("applet-tcp-vars", "W", function(a)
	return a:set_var("txn.n", 7), a:get_var("txn.n"), a:set_var("sess.n", "s"), a:get_var("sess.n"),
		a:set_var("none.n", 1), a:unset_var("txn.n"), a:get_var("txn.n"), a:get_var("none.n")
end)
row("applet-tcp-fetches", "W", function(a)
	return a.f:fe_name(), a.sf:fe_name(), a.f:srv_name(), a.sf:srv_name(), a.f:src() == a.sf:src(),
		type(a.f:dst_port()), a.c:upper("abc"), a.sc:length("abc")
end)
row("applet-tcp-send", "W", function(a)
	return a:send("one"), a:send(""), a:send(("0123456789"):rep(3000))
end)
row("applet-tcp-wait", "W", function(a)
	core.msleep(2)
	core.yield()
	return "waited"
end)
for name, fn in pairs({
	send_none = function(a) return a:send() end,
	send_table = function(a) return a:send({}) end,
	receive_text = function(a) return a:receive("no") end,
	get_var_none = function(a) return a:get_var() end,
}) do
	row("applet-tcp-bad-" .. name, "W", fn)
end
row("applet-tcp-nothing", "w", function() end)
row("applet-tcp-hello", "w", function(a)
	a:send("hello")
end)
row("applet-tcp-error", "w", function(a)
	a:send("part")
	error("boom")
end)
row("applet-tcp-done", "w", function(a)
	a:send("x")
	core.done("v")
	a:send("y")
end)
row("applet-tcp-priv", "W", function(a)
	a:set_priv({ 5 })
	return a:get_priv()
end)
row("applet-tcp-receive", "w", function(a)
	a:send("have\n")
	a:send(show(a:receive(4)))
end)
