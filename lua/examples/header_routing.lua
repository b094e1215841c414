-- SPDX-License-Identifier: BSD-3-Clause
--
-- Chooses a backend from a request header, with a canary share for those that do not ask.
--
-- "x-version: beta" goes to the backend of that name if it is one of TARGETS. Of all others, one
-- client address in SHARE goes to the canary, always the same ones.

local TARGETS = { stable = true, beta = true, canary = true }
local SHARE = 20

-- A small hash of the address: stable over restarts, spread evenly enough for a share.
local function bucket(address)
	local sum = 0
	for i = 1, #address do
		sum = (sum * 31 + address:byte(i)) % 65521
	end
	return sum % SHARE
end

core.register_fetches("target", function(txn)
	local wanted = txn.sf:req_hdr("x-version"):lower()
	if TARGETS[wanted] then
		return wanted
	end
	if bucket(txn.sf:src()) == 0 then
		return "canary"
	end
	return "stable"
end)
