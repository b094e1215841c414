-- SPDX-License-Identifier: BSD-3-Clause
--
-- At most LIMIT requests of a client address in each WINDOW seconds; more get 429.
--
-- The counters lie in a table that all states share, so this works with lua-load and with
-- lua-load-per-thread. The table is bounded: when it is full, unknown clients pass (incr gives nil).

local LIMIT = tonumber(...) or 20
local WINDOW = 10

local seen = core.shared("rate", 4 * 1024 * 1024)

core.register_action("rate", { "http-req" }, function(txn)
	-- the first request of a window makes the counter, with its end
	local n = seen:incr(txn.sf:src(), 1, 0, WINDOW)
	if n ~= nil and n > LIMIT then
		local reply = txn:reply({ status = 429, body = "too many requests\n" })
		reply:add_header("content-type", "text/plain")
		reply:add_header("retry-after", tostring(math.ceil(seen:ttl(txn.sf:src()) or WINDOW)))
		txn:done(reply)
	end
end)
