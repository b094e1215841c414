-- SPDX-License-Identifier: BSD-3-Clause
-- Scripts that mean harm, or are written badly: tests/net/hostile.py.
core.register_action("loop", { "http-req" }, function()
	while true do
	end
end)

core.register_action("eat", { "http-req" }, function()
	local all = {}
	while true do
		all[#all + 1] = string.rep("x", 4096) .. #all
	end
end)

core.register_action("stuck", { "http-req" }, function()
	require("socket").sleep(60) -- in C: no hook of Lua's ends it
end)

-- about ten milliseconds
core.register_action("hook", { "http-req" }, function(txn)
	local n = 0
	for i = 1, 1000000 do
		n = n + i
	end
	txn:set_var("txn.n", n)
end)
