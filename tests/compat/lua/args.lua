-- SPDX-License-Identifier: BSD-3-Clause
-- Numbers and types of arguments: what is said about wrong ones.

local functions = {
	"register_action", "register_fetches", "register_converters", "register_init", "register_service",
	"register_task", "log", "Debug", "Info", "Warning", "Alert", "sleep", "msleep", "yield", "set_nice",
	"tokenize", "parse_addr", "match_addr", "http_date", "imf_date", "rfc850_date", "asctime_date",
	"now", "get_info",
}
for _, f in ipairs(functions) do
	for n, args in ipairs({ {}, { {} }, { {}, {} }, { {}, {}, {} }, { {}, {}, {}, {}, {} } }) do
		local quiet = (f == "get_info" or f == "now") and 0 or nil
		if not (f == "yield" and n == 1) then
			row("args-" .. f .. "-" .. (n == 5 and 5 or n - 1), "A", function()
				if quiet then
					return type(core[f](table.unpack(args)))
				end
				return core[f](table.unpack(args))
			end)
		end
	end
end

local txn_methods = {
	"get_priv", "set_priv", "set_var", "get_var", "unset_var", "log", "deflog", "Debug", "Info", "Warning",
	"Alert", "set_loglevel",
}
for _, f in ipairs(txn_methods) do
	for n, args in ipairs({ {}, { {} }, { {}, {} }, { {}, {}, {} }, { {}, {}, {}, {} } }) do
		row("args-txn-" .. f .. "-" .. n - 1, "A", function(txn)
			return txn[f](txn, table.unpack(args))
		end)
	end
	row("args-txn-" .. f .. "-self", "A", function(txn)
		return txn[f]({})
	end)
end
