-- SPDX-License-Identifier: BSD-3-Clause
--
-- A gate in front of /admin.
--
-- Every request gets the header x-policy, so that the server sees that the gate was passed. A
-- request for /admin needs the header x-admin-key; the verdict goes into the variable txn.policy
-- ("allow" or "deny"), and a rule of the configuration acts on it. Deciding in the script and
-- acting in the configuration keeps both readable; an action may also return act.DENY itself.

local GUARDED = "/admin"

local function is_guarded(path)
	return path == GUARDED or path:sub(1, #GUARDED + 1) == GUARDED .. "/"
end

core.register_action("policy", { "http-req" }, function(txn)
	local verdict = "allow"

	-- sf: always a string, "" when there is none
	if is_guarded(txn.sf:path()) and txn.sf:req_hdr("x-admin-key") == "" then
		verdict = "deny"
	end
	txn:set_var("txn.policy", verdict)
	-- what clients say about themselves is not believed
	txn.http:req_set_header("x-policy", "lua")
end)
