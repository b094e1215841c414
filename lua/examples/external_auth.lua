-- SPDX-License-Identifier: BSD-3-Clause
--
-- Another server decides who may pass.
--
-- The request's line and the fields named below are shown to the service; what it answers decides:
-- 2xx passes (its x-auth-user goes to the server), 401 and 403 are given to the client with
-- www-authenticate, anything else, and no answer, is an error: "on-error" of the rule says what then.

-- from the environment: AUTH=address:port
local ADDRESS, PORT = (os.getenv("AUTH") or "10.99.0.1:8090"):match("^(.*):(%d+)$")
local SHOWN = { "authorization", "cookie", "host" }
local TIMEOUT = 2 -- seconds

local function ask(txn)
	local request = { "GET /auth HTTP/1.0", "x-original-method: " .. txn.sf:method(),
		"x-original-uri: " .. txn.sf:url(), "x-real-ip: " .. txn.sf:src() }
	for _, name in ipairs(SHOWN) do
		local value = txn.sf:req_fhdr(name)
		if value ~= "" then
			request[#request + 1] = name .. ": " .. value
		end
	end
	local s = core.tcp()
	s:settimeout(TIMEOUT)
	assert(s:connect(ADDRESS, tonumber(PORT)), "the auth service cannot be reached")
	s:send(table.concat(request, "\r\n") .. "\r\n\r\n")
	local line = assert(s:receive("*l"), "the auth service says nothing")
	local status = assert(tonumber(line:match("^HTTP/1%.%d (%d%d%d)")), "the auth service speaks no HTTP")
	local head = {}
	while true do
		line = s:receive("*l")
		if line == nil or line == "" then
			break
		end
		local name, value = line:match("^([^:]+):%s*(.-)%s*$")
		if name ~= nil then
			head[name:lower()] = value
		end
	end
	s:close()
	return status, head
end

core.register_action("external-auth", { "http-req" }, function(txn)
	local status, head = ask(txn)

	-- what clients say about themselves is not believed
	txn.http:req_del_header("x-auth-user")
	if status >= 200 and status < 300 then
		if head["x-auth-user"] ~= nil then
			txn.http:req_set_header("x-auth-user", head["x-auth-user"])
		end
		return
	end
	if status ~= 401 and status ~= 403 then
		error("the auth service answers " .. status)
	end
	local reply = txn:reply({ status = status })
	if head["www-authenticate"] ~= nil then
		reply:add_header("www-authenticate", head["www-authenticate"])
	end
	txn:done(reply)
end)
