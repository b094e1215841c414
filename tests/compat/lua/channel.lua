-- SPDX-License-Identifier: BSD-3-Clause
-- The class Channel: in mode http, where only its numbers may be asked for, and in mode tcp, where what
-- the client has sent is read and changed before it goes on.

local HTTP = "ARF"

row("channel-type", "ARFK", function(txn)
	return tostring(txn.req), tostring(txn.res), type(txn.req[0])
end)
row("channel-http-numbers", HTTP, function(txn)
	local req, res = txn.req, txn.res
	return req:output(), req:is_full(), req:is_resp(), req:may_recv(), req:get_out_len(), res:output(), res:is_full(),
		res:is_resp(), res:get_out_len(), math.type(req:input()), math.type(req:get_in_len())
end)
row("channel-http-input", "AF", function(txn)
	return txn.req:input() > 0, txn.req:get_in_len() > 0, txn.res:input()
end)
for name, fn in pairs({
	append = function(c) c:append("x") end,
	data = function(c) c:data() end,
	dup = function(c) c:dup() end,
	forward = function(c) c:forward(1) end,
	get = function(c) c:get() end,
	getline = function(c) c:getline() end,
	insert = function(c) c:insert("x") end,
	line = function(c) c:line() end,
	prepend = function(c) c:prepend("x") end,
	remove = function(c) c:remove() end,
	send = function(c) c:send("x") end,
	set = function(c) c:set("x") end,
}) do
	row("channel-http-" .. name, HTTP, function(txn)
		fn(txn.req)
	end)
end
for name, fn in pairs({
	append = function(c) c:append() end,
	append_table = function(c) c:append({}) end,
	data = function(c) c:data(1, 2, 3) end,
	insert = function(c) c:insert() end,
	set = function(c) c:set("x", 1, 2, 3) end,
	remove = function(c) c:remove(1, 2, 3) end,
	line = function(c) c:line(1, 2, 3) end,
	input = function(c) c:input(1) end,
	output = function(c) c:output(1) end,
	is_full = function(c) c:is_full(1) end,
	is_resp = function(c) c:is_resp(1) end,
	may_recv = function(c) c:may_recv(1) end,
	forward = function(c) c:forward() end,
	send = function(c) c:send() end,
	prepend = function(c) c:prepend() end,
	get = function(c) c:get(1) end,
	dup = function(c) c:dup(1) end,
	getline = function(c) c:getline(1) end,
}) do
	row("channel-args-" .. name, "AK", function(txn)
		fn(txn.req)
	end)
end

-- ---- mode tcp ----

local function tcp(name, fn)
	row("channel-tcp-" .. name, "K", function(txn)
		txn.req:set("hello\nworld\nrest")
		return fn(txn.req)
	end)
	row("channel-tcpres-" .. name, "L", function(txn)
		txn.res:set("hello\nworld\nrest")
		return fn(txn.res)
	end)
end
row("channel-tcp-other", "K", function(txn)
	return txn.res:input(), txn.res:output(), txn.res:is_resp()
end)
row("channel-tcpres-other", "L", function(txn)
	return txn.req:input(), txn.req:output(), txn.req:is_resp()
end)
tcp("read", function(c)
	return c:dup(), c:data(), c:data(2), c:data(-2), c:data(1, 3), c:data(-99), c:data(0, 0), c:line(), c:line(2),
		c:line(6), c:line(0, 3)
end)
tcp("numbers", function(c)
	return c:input(), c:output(), c:is_full(), c:is_resp(), c:may_recv(), c:get_in_len(), c:get_out_len()
end)
tcp("prepend", function(c)
	return c:prepend("PRE"), c:dup()
end)
tcp("insert", function(c)
	return c:insert("one"), c:insert("two", 2), c:insert("end", -1), c:dup()
end)
tcp("remove", function(c)
	return c:remove(0, 3), c:dup(), c:remove(-2), c:dup(), c:remove(), c:dup(), c:input()
end)
tcp("set", function(c)
	return c:set("WORLD!!", 6, 5), c:dup(), c:set("x", -1), c:dup(), c:set("all"), c:dup()
end)
tcp("forward", function(c)
	return c:forward(3), c:dup(), c:input(), c:output()
end)
tcp("take", function(c)
	return c:getline(), c:dup(), c:get(), c:dup(), c:input()
end)
tcp("full", function(c)
	return c:append(string.rep("x", 20000)), c:append(string.rep("x", 16000)), c:append(string.rep("x", 1000)), c:input()
end)
for name, fn in pairs({
	data = function(c) c:data(99) end,
	data_len = function(c) c:data(0, -2) end,
	insert = function(c) c:insert("x", 99) end,
	remove = function(c) c:remove(99) end,
	remove_len = function(c) c:remove(0, 99) end,
	set = function(c) c:set("x", 99) end,
	line = function(c) c:line(99) end,
}) do
	tcp("range-" .. name, fn)
end
tcp("append", function(c)
	return c:append("-tail"), c:dup()
end)

-- What goes on to the server, and what to the client.
for where, side in pairs({ k = "req", l = "res" }) do
	local function go(name, fn)
		row("channel-go-" .. name .. "-" .. side, where, function(txn)
			fn(txn[side])
		end)
	end
	go("untouched", function(c) end)
	go("set", function(c)
		c:data(0, 10)
		c:set("quite other bytes")
	end)
	go("send", function(c)
		c:data(0, 10)
		c:send("first ")
		c:remove(0, 5)
	end)
	go("wait", function(c)
		local line = c:line()
		c:set("(" .. line:upper() .. ")", 0, #line)
	end)
end
row("channel-go-end-res", "l", function(txn) -- the echo ends when it is quiet
	local some = txn.res:data(0, 100)
	txn.res:set("[" .. some .. "]" .. tostring(txn.res:may_recv()))
end)
