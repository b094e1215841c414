// SPDX-License-Identifier: BSD-3-Clause
/* What scripts cannot see, for cover.lua: the registry, and upvalues of C functions. */
#include <lauxlib.h>
#include <lua.h>

static int
registry(lua_State *L)
{
	lua_pushvalue(L, LUA_REGISTRYINDEX);
	return 1;
}

static int
upvalue(lua_State *L)
{
	return lua_getupvalue(L, 1, (int)luaL_checkinteger(L, 2)) != NULL ? 1 : 0;
}

int luaopen_cover_native(lua_State *L);
int
luaopen_cover_native(lua_State *L)
{
	static const luaL_Reg fn[] = { { "registry", registry }, { "upvalue", upvalue },
		{ NULL, NULL } };

	luaL_newlib(L, fn);
	return 1;
}
