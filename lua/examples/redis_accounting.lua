-- SPDX-License-Identifier: BSD-3-Clause
-- Counts requests by client address in Redis. One connection a request: HAProxy runs this file
-- as it stands. See redis_accounting_pool.lua for the same with connections that are kept.
package.path = package.path .. ";/usr/share/lua/5.3/?.lua"

local redis = require("redis")

core.register_action("redis-accounting", { "http-req", "http-res", "tcp-req", "tcp-res" }, function(txn)
	local tcp = core.tcp()
	if tcp == nil then
		return
	end
	tcp:settimeout(2)
	if tcp:connect("127.0.0.1", 6379) == nil then
		return
	end

	-- the library works on any object with the methods of a socket
	local client = redis.connect({ socket = tcp })

	-- it raises an error where others return one: accounting must not fail the request
	local ip = txn.sf:src()
	pcall(client.incrby, client, ip, 1)

	tcp:close()
end)
