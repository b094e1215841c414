-- SPDX-License-Identifier: BSD-3-Clause
-- Counts requests by client address in Redis, with client objects that the script keeps: neither a
-- connection nor the library's object is made per request. Load it with lua-load-per-thread.
package.path = package.path .. ";/usr/share/lua/5.3/?.lua"

local redis = require("redis")
local free = {} -- clients that no request uses

local function take()
	local client = table.remove(free)
	if client ~= nil then
		return client
	end
	local tcp = core.tcp():keep() -- it outlives this request
	tcp:settimeout(2)
	if tcp:connect("127.0.0.1", 6379) == nil then
		return nil
	end
	return redis.connect({ socket = tcp })
end

core.register_action("redis-accounting", { "http-req", "http-res", "tcp-req", "tcp-res" }, function(txn)
	local client = take()
	if client == nil then
		return
	end
	-- a client whose command failed is not used again
	if pcall(client.incrby, client, txn.sf:src(), 1) then
		free[#free + 1] = client
	else
		client.network.socket:close()
	end
end)
