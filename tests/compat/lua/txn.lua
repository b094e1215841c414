-- SPDX-License-Identifier: BSD-3-Clause
-- TXN: variables, private data, log, fetches and converters with their types.

row("txn-type", "ARFQS", function(txn)
	return tostring(txn), type(txn[0]), tostring(txn.f), tostring(txn.sf), tostring(txn.c), tostring(txn.sc)
end)
row("txn-field", "ARF", function(txn)
	txn.mine = 5
	return txn.mine
end)
row("txn-log", "ARFQ", function(txn)
	return txn:log(core.debug, "x"), txn:deflog("x"), txn:Debug("x"), txn:Info("x"), txn:Warning("x"), txn:Alert("x")
end)
row("txn-log-level", "A", function(txn)
	txn:log(99, "x")
end)
row("txn-priv", "ARFQ", function(txn)
	local was = txn:get_priv()
	txn:set_priv({ a = 1 })
	local a = txn:get_priv().a
	return was, a, txn:set_priv(nil), txn:get_priv()
end)

for name, v in pairs({
	string = "text",
	integer = 12,
	float = 12.75,
	negative = -3.5,
	yes = true,
	no = false,
	table = {},
	fn = print,
	empty = "",
	binary = "a\1\200",
	big = math.maxinteger,
	huge = 1e300,
}) do
	row("txn-var-" .. name, "ARFQ", function(txn)
		return txn:set_var("txn.x", v), txn:get_var("txn.x"), txn:set_var("req.x", v), txn:get_var("req.x")
	end)
end
row("txn-var-scopes", "ARFQ", function(txn)
	local out = {}
	for _, s in ipairs({ "proc", "sess", "txn", "req", "res" }) do
		out[#out + 1] = s .. "=" .. tostring(txn:set_var(s .. ".y", "v")) .. tostring(txn:get_var(s .. ".y"))
	end
	return table.concat(out, " ")
end)
row("txn-var-bad-scope", "A", function(txn)
	return txn:set_var("nope.x", 1), txn:get_var("nope.x"), txn:unset_var("nope.x"), txn:set_var("x", 1), txn:get_var("")
end)
row("txn-var-bad-name", "A", function(txn)
	return txn:set_var("txn.a-b", 1), txn:get_var("txn.a-b")
end)
row("txn-var-none", "A", function(txn)
	return txn:get_var("txn.none_of_these"), txn:unset_var("txn.none_of_those")
end)
row("txn-var-unset", "A", function(txn)
	txn:set_var("txn.z", 1)
	return txn:unset_var("txn.z"), txn:get_var("txn.z")
end)
row("txn-var-ifexist", "A", function(txn)
	return txn:set_var("txn.fresh1", 1, true), txn:get_var("txn.fresh1")
end)
row("txn-var-proc-ifexist", "A", function(txn)
	return txn:set_var("proc.fresh2", 1, true), txn:get_var("proc.fresh2")
end)
-- A rule of the configuration names proc.named; it has no value before the row, whoever runs first.
row("txn-var-proc-named", "ARF", function(txn)
	txn:unset_var("proc.named")
	return txn:get_var("proc.named"), txn:set_var("proc.named", 7, true), txn:get_var("proc.named"),
		txn.f:var("proc.named"), txn.c:add(1, "proc.named"), txn:unset_var("proc.named"), txn:get_var("proc.named")
end)
row("txn-var-proc-types", "ARFQ", function(txn)
	local out = {}
	for i, v in ipairs({ 1, -5, 2.7, true, "text", "a\0b\200", ("x"):rep(300), math.mininteger }) do
		out[#out + 1] = tostring(txn:set_var("proc.typed", v)) .. show(txn:get_var("proc.typed"))
	end
	return table.concat(out, " ")
end)
row("txn-var-proc-global", "ARFQ", function(txn)
	return txn:get_var("proc.text"), txn:get_var("proc.sum"), txn:get_var("proc.format")
end)
row("txn-var-proc-new", "A", function(txn)
	txn:unset_var("proc.fresh3")
	local a, b = txn:set_var("proc.fresh3", 1, true), txn:get_var("proc.fresh3")
	local c, d = txn:set_var("proc.fresh3", 2), txn:get_var("proc.fresh3")
	local e, f = txn:set_var("proc.fresh3", 3, true), txn:get_var("proc.fresh3")
	txn:unset_var("proc.fresh3")
	return a, b, c, d, e, f, txn:get_var("proc.fresh3")
end)
row("txn-var-nil", "A", function(txn)
	return txn:set_var("txn.n", nil), txn:get_var("txn.n")
end)

for _, set in ipairs({ "f", "sf" }) do
	local calls = {
		{ "path" }, { "method" }, { "src" }, { "dst_port" }, { "req_hdr", "host" }, { "req_hdr", "nope" },
		{ "req_fhdr", "x-one" }, { "req_hdr", "x-one", 2 }, { "req_hdr", "x-one", -1 }, { "hdr_cnt", "x-one" },
		{ "url" }, { "query" }, { "base" }, { "req_ver" }, { "cook", "a" }, { "req_cook", "c" }, { "url_param", "x" },
		{ "always_true" }, { "always_false" }, { "int", 12 }, { "str", "x" }, { "bool", 1 }, { "ipv4", "10.0.0.1" },
		{ "ipv6", "::1" }, { "bin", "4142" }, { "fe_name" }, { "be_name" }, { "env", "NOPE" },
		{ "req_hdr_names" }, { "var", "txn.path" }, { "var", "txn.none" },
		{ "status" }, { "res_hdr", "x-srv" }, { "req_hdr", {} }, { "nope" }, { "path", 1 }, { "req_hdr_ip", "x" },
	}
	for _, c in ipairs(calls) do
		local label = c[1] .. (c[2] and "-" .. tostring(c[2]):gsub("[^%w]", "_") or "") .. (c[3] or "")
		if type(c[2]) == "table" then
			label = c[1] .. "-table"
		end
		row("txn-" .. set .. "-" .. label, "ARF", function(txn)
			return txn[set][c[1]](txn[set], table.unpack(c, 2))
		end)
	end
end

for _, set in ipairs({ "c", "sc" }) do
	local calls = {
		{ "lower", "ABC" }, { "upper", "abc" }, { "length", "abc" }, { "hex", "AB" }, { "base64", "abc" },
		{ "b64dec", "YWJj" }, { "field", "a,b,c", 2, "," }, { "word", "a b c", 2, " " }, { "bytes", "abcdef", 2, 3 },
		{ "add", 5, 3 }, { "add", "5", 3 }, { "sub", 5, "3" }, { "mul", 5, 3 }, { "div", 7, 2 }, { "mod", 7, 4 },
		{ "neg", 7 }, { "not", 0 }, { "bool", 5 }, { "even", 4 }, { "odd", 4 }, { "crc32", "abc" }, { "djb2", "abc" },
		{ "sdbm", "abc", 1 }, { "wt6", "abc" }, { "url_dec", "%41+b" }, { "ipmask", "10.1.2.3", 8 },
		{ "strcmp", "a", "txn.path" }, { "iif", true, "y", "n" }, { "iif", 0, "y", "n" }, { "lower" }, { "lower", print },
		{ "lower", {} }, { "lower", true }, { "lower", 12 }, { "nope", "a" }, { "field", "a" }, { "and", 6, 3 },
		{ "hex2i", "ff" }, { "xor", 6, 3 }, { "cpl", 0 },
		{ "regsub", "a-b-c", "-", "+", "g" }, { "regsub", "aXbxc", "x", "", "i" },
	}
	for i, c in ipairs(calls) do
		row("txn-" .. set .. "-" .. c[1] .. "-" .. i, "AF", function(txn)
			return txn[set][c[1]](txn[set], table.unpack(c, 2))
		end)
	end
end

row("conv-input", "C", function(text)
	return text, math.type(text), type(text)
end)

-- What a fetch and a converter return becomes a sample, and its text.
row("fetch-calls-fetch", "F", function(txn)
	return txn.f.lua_row_F, txn.f["lua.row-F"]
end)

-- What a fetch returns becomes a sample: context X shows its text as the configuration sees it.
for name, v in pairs({
	text = "x",
	empty = "",
	integer = 12,
	float = 3.99,
	whole = 4.0,
	negative = -3.99,
	huge = 1e300,
	min = math.mininteger,
	yes = true,
	no = false,
	table = {},
	fn = print,
}) do
	row("ret-" .. name, "X", function()
		return v
	end)
end
row("ret-nothing", "X", function() end)
row("ret-nil", "X", function()
	return nil
end)
row("ret-two", "X", function()
	return 1, 2
end)
row("ret-error", "X", function()
	error("x")
end)
row("txn-unset_var", "ARF", function(txn)
	return txn:set_var("txn.gone", 1), txn:get_var("txn.gone"), txn:unset_var("txn.gone"), txn:get_var("txn.gone")
end)
row("txn-done-fetch", "X", function(txn)
	txn:done()
end)
row("txn-done-response", "E", function(txn)
	txn:done()
end)
