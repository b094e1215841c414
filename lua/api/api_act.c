// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table `act`: what an action may return.
 *
 * Runs on: the loader. The values are HAProxy's, applied by dataplane/proxy/call.c.
 */
#include "lua/api/api.h"

/* act.wake_time(ms): when an action that returns act.YIELD runs again at the latest. */
static int
l_act_wake_time(lua_State *L)
{
	api_nargs(L, 1, "wake_time");
	lua_Integer ms = luaL_checkinteger(L, 1);
	struct script_call *c = script_current(L);

	if (c != NULL && ms > 0)
		c->slot->wake_ms = (uint32_t)sl_min(ms, (lua_Integer)INT32_MAX);
	return 0;
}

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
	lua_pushcfunction(L, l_act_wake_time);
	lua_setfield(L, -2, "wake_time");
	lua_setglobal(L, "act");
}

SL_LUA_API({ "act", open_act, "results of actions" });
