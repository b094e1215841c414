-- SPDX-License-Identifier: BSD-3-Clause
--
-- The smallest of each kind: an action, a sample fetch, a converter.

-- http-request lua.hello WORD: the word comes from the configuration, always as a string.
core.register_action("hello", { "http-req" }, function(txn, word)
	txn.http:req_set_header("x-hello", word .. " " .. txn.sf:src())
end, 1)

-- %[lua.agent] gives the first word of the User-Agent, or nothing.
core.register_fetches("agent", function(txn)
	local agent = txn.f:req_hdr("user-agent")
	if agent ~= nil then
		return agent:match("^[^/ ]+")
	end
end)

-- path,lua.shout gives the text in capitals, with an optional end.
core.register_converters("shout", function(text, tail)
	return text:upper() .. (tail or "")
end)

core.register_init(function()
	core.Info("hello.lua is loaded in state " .. core.thread)
end)
