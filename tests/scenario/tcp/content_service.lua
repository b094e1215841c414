-- SPDX-License-Identifier: BSD-3-Clause
core.register_service("shout", "tcp", function(applet)
	while true do
		local line = applet:getline()
		if line == "end\n" then
			return
		end
		applet:send(line:upper())
		if line == "two\n" then
			applet:send(applet:get_var("sess.who") .. "!")
		end
	end
end)
