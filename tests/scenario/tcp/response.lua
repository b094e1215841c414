-- SPDX-License-Identifier: BSD-3-Clause
core.register_action("mark", { "tcp-res" }, function(txn)
	txn:set_var("txn.mark", "lua")
end, 0)
