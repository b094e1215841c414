-- SPDX-License-Identifier: BSD-3-Clause
--
-- Services: a script that answers in place of a server.

-- "http": counts the lines of what is posted, while it comes; nothing is kept of it. Without a length the
-- answer is sent in chunks.
core.register_service("count", "http", function(applet)
	local lines, bytes = 0, 0

	while true do
		local line = applet:getline()
		if line == "" then
			break
		end
		lines = lines + 1
		bytes = bytes + #line
	end
	local body = string.format('{"method":"%s","lines":%d,"bytes":%d}\n', applet.method, lines, bytes)
	applet:set_status(200)
	applet:add_header("content-type", "application/json")
	applet:add_header("content-length", #body)
	applet:start_response()
	applet:send(body)
end)

-- A clock that ticks as long as somebody listens: each line leaves at once.
core.register_service("ticks", "http", function(applet)
	local n = tonumber(applet.qs) or 3

	applet:add_header("content-type", "text/plain")
	applet:start_response()
	for i = 1, n do
		applet:send("tick " .. i .. "\n")
		core.msleep(100)
	end
end)

-- "tcp": answers line by line until the client ends.
core.register_service("shout", "tcp", function(applet)
	while true do
		local line = applet:getline()
		if line == "" then
			return
		end
		applet:send(line:upper())
	end
end)
