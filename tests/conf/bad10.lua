-- SPDX-License-Identifier: BSD-3-Clause
-- A function that is not closed: one of the mistakes of bad10.cfg.
core.register_action("fine", { "http-req" }, function(txn
end)
