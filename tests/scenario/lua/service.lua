-- SPDX-License-Identifier: BSD-3-Clause
core.register_service("count", "http", function(applet)
	local n = 0
	while true do
		local b = applet:receive(1000)
		if b == "" then
			break
		end
		n = n + #b
	end
	applet:set_status(203)
	applet:add_header("x-method", applet.method)
	applet:add_header("x-first", applet.headers["x-in"][0])
	applet:start_response()
	for i = 1, 3 do
		applet:send(n .. ";")
		core.msleep(1)
	end
end)

core.register_service("fails", "http", function()
	error("on purpose")
end)
