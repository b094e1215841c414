// SPDX-License-Identifier: BSD-3-Clause
/*
 * AppletTCP, the object of a service of mode tcp: bytes from the client and to it.
 *
 * Runs on: script threads.
 * Follows: HAProxy 2.6, "AppletTCP class".
 */
#include "lua/api/api.h"

static const luaL_Reg methods[] = {
	{ "getline", api_applet_getline },
	{ "receive", api_applet_receive },
	{ "send", api_applet_send },
	{ "get_var", api_get_var },
	{ "set_var", api_set_var },
	{ "unset_var", api_unset_var },
	{ "get_priv", api_get_priv },
	{ "set_priv", api_set_priv },
	{ NULL, NULL },
};

static void
open_applet_tcp(lua_State *L)
{
	api_call_class(L, API_APPLET_TCP, "AppletTCP", methods);
}

SL_LUA_API({ "AppletTCP", open_applet_tcp, "a service's client, mode tcp" });
