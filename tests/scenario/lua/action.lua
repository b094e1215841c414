-- SPDX-License-Identifier: BSD-3-Clause
core.register_action("mark", {"http-req"}, function(txn)
  txn.http:req_set_header("X-Lua", txn.f:path() .. "!")
  txn:set_var("txn.seen", "yes")
end, 0)
