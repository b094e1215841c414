-- SPDX-License-Identifier: BSD-3-Clause
--
-- A hash of what a script chooses: salt, host, path and client address. It can name a backend
-- (use_backend %[lua.my-hash(...),mod(2),...]) and pick a server (balance hash lua.my-hash(...)).
-- The value is HAProxy's for the same script.

core.register_fetches("my-hash", function(txn, salt)
	-- sf and sc: always strings, "" when there is none, so that the parts can be joined
	local key = (salt or "") .. txn.sf:req_fhdr("host") .. txn.sf:path() .. txn.sf:src()
	return txn.sc:sdbm(key, 1)
end)
