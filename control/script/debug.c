// SPDX-License-Identifier: BSD-3-Clause
/*
 * The library debug, without its doors into what C functions hold.
 *
 * Runs on: the loader when a state is made; the replacements wherever scripts run.
 * C code trusts its upvalues, the values on its stack, the registry, and a userdata's metatable: they say
 * what type memory has, and what the sandbox has replaced. A script that could read or set them could load
 * bytecode, lift limits, and take one type for another. What debuggers, loggers and tracers use stays as
 * it is: traceback, getinfo, the variables and upvalues of Lua functions, getmetatable.
 */
#include "control/script/script_priv.h"

/* The original, called in the frame of its replacement: the levels that it counts stay the same. */
static int
original(lua_State *L)
{
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* Is the argument a function of C? Others are the original's to judge. */
static bool
is_c(lua_State *L, int idx)
{
	return lua_iscfunction(L, idx) != 0;
}

/* A C function's upvalues are as if there were none. */
static int
get_upvalue(lua_State *L)
{
	if (is_c(L, 1)) {
		luaL_checkinteger(L, 2);
		return 0;
	}
	return original(L);
}

static int
set_upvalue(lua_State *L)
{
	if (is_c(L, 1))
		return luaL_error(L, "debug.setupvalue is not allowed for a function of C");
	return original(L);
}

static int
set_metatable(lua_State *L)
{
	int type = lua_type(L, 1);

	if (type == LUA_TUSERDATA || type == LUA_TLIGHTUSERDATA)
		return luaL_error(L, "debug.setmetatable is not allowed for userdata");
	return original(L);
}

/* [thread,] as these functions take it: *at is the position before the level. */
static lua_State *
thread_of(lua_State *L, int *at)
{
	*at = lua_isthread(L, 1) ? 1 : 0;
	return *at == 1 ? lua_tothread(L, 1) : L;
}

/* The level that the arguments name; false: there is none, the original says so. */
static bool
level_of(lua_State *L, lua_State **of, int *at, lua_Debug *ar)
{
	*of = thread_of(L, at);
	if (!lua_isnumber(L, *at + 1) || lua_getstack(*of, (int)lua_tointeger(L, *at + 1), ar) == 0)
		return false;
	lua_getinfo(*of, "S", ar);
	return true;
}

static int
get_local(lua_State *L)
{
	lua_State *of;
	lua_Debug ar;
	int at;

	if (level_of(L, &of, &at, &ar) && *ar.what == 'C') {
		lua_pushnil(L);
		return 1;
	}
	return original(L);
}

/* Instructions trust the unnamed ones: a constructor's table, a loop's counter. */
static int
set_local(lua_State *L)
{
	const char *name = NULL;
	lua_State *of;
	lua_Debug ar;
	int at;

	if (!level_of(L, &of, &at, &ar))
		return original(L);
	if (*ar.what != 'C') {
		if (lua_checkstack(of, 1) == 0)
			return luaL_error(L, "stack overflow");
		name = lua_getlocal(of, &ar, (int)luaL_checkinteger(L, at + 2));
		if (name != NULL)
			lua_pop(of, 1);
	}
	if (*ar.what == 'C' || (name != NULL && name[0] == '(' && strcmp(name, "(*vararg)") != 0))
		return luaL_error(
			L, "debug.setlocal sets the named variables of Lua functions only");
	return original(L);
}

/* A C function that runs may be one that only C calls. */
static int
get_info(lua_State *L)
{
	int at;

	thread_of(L, &at);
	bool level = !lua_isfunction(L, at + 1);
	int n = original(L);
	if (level && lua_istable(L, -1)) {
		lua_getfield(L, -1, "func");
		bool c = is_c(L, -1);
		lua_pop(L, 1);
		if (c) {
			lua_pushnil(L);
			lua_setfield(L, -2, "func");
		}
	}
	return n;
}

void
debug_open(lua_State *L)
{
	static const luaL_Reg with[] = {
		{ "getinfo", get_info },
		{ "getlocal", get_local },
		{ "getupvalue", get_upvalue },
		{ "setlocal", set_local },
		{ "setmetatable", set_metatable },
		{ "setupvalue", set_upvalue },
	};

	lua_getglobal(L, "debug");
	for (size_t i = 0; i < SL_ARRAY_SIZE(with); i++) {
		lua_getfield(L, -1, with[i].name);
		lua_pushcclosure(L, with[i].func, 1);
		lua_setfield(L, -2, with[i].name);
	}
	lua_pop(L, 1);
}
