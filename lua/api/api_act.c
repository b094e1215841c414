// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table `act`: what an action may return.
 *
 * Runs on: the loader. The values are HAProxy's, applied by dataplane/proxy/call.c.
 */
#include "lua/api/api.h"

static void
open_act(lua_State *L)
{
	static const char *const names[] = { "CONTINUE", "STOP", "YIELD", "ERROR", "DONE", "DENY",
		"ABORT", "INVALID" };

	lua_newtable(L);
	for (size_t i = 0; i < SL_ARRAY_SIZE(names); i++) {
		lua_pushinteger(L, (lua_Integer)i);
		lua_setfield(L, -2, names[i]);
	}
	lua_setglobal(L, "act");
}

SL_LUA_API({ "act", open_act, "results of actions" });
