-- SPDX-License-Identifier: BSD-3-Clause
-- Answers of scripts: Reply, txn:done(), log levels, what actions return.

row("reply-empty", "ARF", function(txn)
	local r = txn:reply()
	return tostring(r), r.status, r.reason, r.headers, r.body
end)
row("reply-table", "A", function(txn)
	local r = txn:reply({ status = 404, reason = "Gone", headers = { ["X-A"] = { "1", "2" }, b = { "3" } }, body = "text" })
	return r.status, r.reason, r.headers, r.body
end)
row("reply-status-only", "A", function(txn)
	local r = txn:reply({ status = 404 })
	return r.status, r.reason
end)
row("reply-set_status", "A", function(txn)
	local r = txn:reply()
	r:set_status(503)
	local a, b = r.status, r.reason
	r:set_status(200, "Fine")
	return a, b, r.status, r.reason
end)
row("reply-add_header", "A", function(txn)
	local r = txn:reply()
	r:add_header("X-A", "1")
	r:add_header("x-a", "2")
	r:add_header("b", 3)
	return r.headers
end)
row("reply-del_header", "A", function(txn)
	local r = txn:reply()
	r:add_header("X-A", "1")
	r:del_header("x-A")
	r:del_header("none")
	return r.headers
end)
row("reply-set_body", "A", function(txn)
	local r = txn:reply()
	r:set_body("text")
	return r.body
end)
for name, fn in pairs({
	status = function(txn) txn:reply({ status = "x" }) end,
	low = function(txn) txn:reply({ status = 99 }) end,
	high = function(txn) txn:reply({ status = 600 }) end,
	set_low = function(txn) txn:reply():set_status(99) end,
	reason = function(txn) txn:reply({ status = 200, reason = {} }) end,
	headers = function(txn) txn:reply({ headers = "x" }) end,
	body = function(txn) txn:reply({ body = {} }) end,
	table = function(txn) txn:reply("x") end,
	many = function(txn) txn:reply({}, 1) end,
	add = function(txn) txn:reply():add_header("x") end,
	del = function(txn) txn:reply():del_header() end,
	set_body = function(txn) txn:reply():set_body() end,
}) do
	row("reply-bad-" .. name, "A", fn)
end

-- These end the exchange: what the client gets is the answer.
row("done", "D", function(txn)
	txn:done()
end)
row("done-reply", "D", function(txn)
	local r = txn:reply({ status = 418, reason = "Teapot" })
	r:add_header("X-Pot", "black")
	r:add_header("X-Pot", "round")
	r:add_header("Content-Type", "text/plain")
	r:set_body("short and stout")
	txn:done(r)
end)
row("done-reply-plain", "D", function(txn)
	txn:done(txn:reply())
end)
row("done-reply-table", "D", function(txn)
	txn:done(txn:reply({ status = 403, headers = { ["x-why"] = { "no" } }, body = "no" }))
end)
row("done-reply-empty-body", "D", function(txn)
	txn:done(txn:reply({ status = 204 }))
end)
row("done-reply-res", "E", function(txn)
	txn:done(txn:reply({ status = 404, body = "instead" }))
end)
row("done-core", "D", function()
	core.done(act.DENY)
end)
row("done-core-stop", "D", function()
	core.done(act.STOP)
end)
row("done-core-none", "D", function()
	core.done()
end)
for name, values in pairs({ text = { "v" }, number = { 7 }, yes = { true }, none = {}, two = { "a", "b" } }) do
	row("done-fetch-" .. name, "X", function()
		core.done(table.unpack(values))
		return "not reached"
	end)
end
row("loglevel", "ARFQ", function(txn)
	return txn:set_loglevel(core.info), txn:set_loglevel(core.debug)
end)
for name, v in pairs({ silent = -1, low = -2, high = 8, none = 7 }) do
	row("loglevel-" .. name, "A", function(txn)
		return txn:set_loglevel(v)
	end)
end

for _, name in ipairs({ "CONTINUE", "STOP", "ERROR", "DONE", "DENY", "ABORT", "INVALID" }) do
	row("act-" .. name, "D", function()
		return act[name]
	end)
end
for _, name in ipairs({ "CONTINUE", "STOP", "ERROR", "DENY", "INVALID" }) do
	row("act-res-" .. name, "E", function()
		return act[name]
	end)
end
row("act-number", "D", function()
	return 99
end)
row("act-text", "D", function()
	return "5"
end)
row("act-YIELD", "D", function(txn)
	local n = (txn:get_priv() or 0) + 1
	txn:set_priv(n)
	txn:set_var("txn.out", "run " .. n)
	if n < 3 then
		act.wake_time(5)
		return act.YIELD
	end
end)
