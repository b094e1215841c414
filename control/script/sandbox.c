// SPDX-License-Identifier: BSD-3-Clause
/*
 * What scripts must not do: take over the hook that bounds them, end the process, or run binary
 * chunks (Lua does not verify bytecode: a crafted chunk writes anywhere). The originals are upvalues of
 * their replacements, where debug.c lets no script look.
 *
 * Runs on: the loader when a state is made; the replacements wherever scripts run.
 * Functions that block (io, files, os.execute …) work: they cost only their script thread. Once traffic
 * runs each is timed, and named in the log the first time; with "tune.lua.blocking error" it fails
 * instead.
 */
#include "control/script/script_priv.h"

static int
refuse(lua_State *L)
{
	return luaL_error(L, "%s is not allowed", lua_tostring(L, lua_upvalueindex(1)));
}

static void
replace(lua_State *L, const char *table, const char *name, const char *full)
{
	lua_getglobal(L, table);
	lua_pushstring(L, full);
	lua_pushcclosure(L, refuse, 1);
	lua_setfield(L, -2, name);
	lua_pop(L, 1);
}

/*
 * load(chunk, name, mode, env) and loadfile(file, mode, env): the originals with mode "t". Upvalues:
 * the original, the position of the mode. The number of arguments is kept: an env of nil differs
 * from none. The original runs in this frame, so that what it calls (a chunk's reader, a finalizer)
 * cannot find it on the stack.
 */
static int
text_only(lua_State *L)
{
	int mode = (int)lua_tointeger(L, lua_upvalueindex(2));

	if (lua_gettop(L) < mode)
		lua_settop(L, mode);
	lua_pushliteral(L, "t");
	lua_replace(L, mode);
	return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void
wrap_loader(lua_State *L, const char *name, int mode)
{
	lua_getglobal(L, name);
	lua_pushinteger(L, mode);
	lua_pushcclosure(L, text_only, 2);
	lua_setglobal(L, name);
}

static int
dofile_k(lua_State *L, int status sl_unused, lua_KContext ctx sl_unused)
{
	return lua_gettop(L) - 1;
}

static int
text_dofile(lua_State *L)
{
	const char *file = luaL_optstring(L, 1, NULL);

	lua_settop(L, 1);
	if (luaL_loadfilex(L, file, "t") != LUA_OK)
		return lua_error(L);
	lua_callk(L, 0, LUA_MULTRET, 0, dofile_k);
	return dofile_k(L, 0, 0);
}

/* require's search for Lua files; upvalue: the table `package`. */
static int
text_searcher(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	lua_getfield(L, lua_upvalueindex(1), "searchpath");
	lua_pushvalue(L, 1);
	lua_getfield(L, lua_upvalueindex(1), "path");
	lua_call(L, 2, 2); // file, or nil and the places that were looked at
	if (lua_isnil(L, -2))
		return 1;
	const char *file = lua_tostring(L, -2);
	if (luaL_loadfilex(L, file, "t") != LUA_OK)
		return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, file,
			lua_tostring(L, -1));
	lua_pushstring(L, file);
	return 2;
}

/* ---- functions that block ---- */

/* Upvalues: the original, its name, whether it was named already. */
static int
blocking(lua_State *L)
{
	struct script_state *st = script_state_of(L);
	const char *name = lua_tostring(L, lua_upvalueindex(2));
	bool live = st->running != NULL, named = lua_toboolean(L, lua_upvalueindex(3));
	char text[160];
	struct sl_buf b;

	if (live && st->gen->conf.lua_blocking_error)
		return luaL_error(L, "%s blocks, and 'tune.lua.blocking error' is set", name);
	uint64_t from = live ? script_now_us() : 0;
	if (live) { // others may wait for what was said; what it starts shall not be SCHED_IDLE
		sched_give(st->thread);
		weight_back(st->thread);
	}
	int n = lua_tocfunction(L, lua_upvalueindex(1))(L); // in this frame, as text_only()
	if (live && !named) {
		sl_buf_init(&b, text, sizeof(text));
		sl_buf_printf(&b,
			"Lua: %s held a script thread for %llu us (told once; see tune.lua.blocking)",
			name, (unsigned long long)(script_now_us() - from));
		script_emit(SL_WARNING, sl_buf_str(&b));
		lua_pushboolean(L, true);
		lua_replace(L, lua_upvalueindex(3));
	}
	return n;
}

/* The table is on the top. */
static void
wrap_blocking(lua_State *L, const char *field, const char *prefix)
{
	if (lua_getfield(L, -1, field) != LUA_TFUNCTION) {
		lua_pop(L, 1);
		return;
	}
	lua_pushfstring(L, "%s%s", prefix, field);
	lua_pushboolean(L, false);
	lua_pushcclosure(L, blocking, 3);
	lua_setfield(L, -2, field);
}

static void
wrap_all(lua_State *L)
{
	static const char *const os[] = { "execute", "remove", "rename", "tmpname" };
	static const char *const io[] = { "open", "close", "read", "write", "flush", "lines",
		"input", "output", "popen", "tmpfile" };
	static const char *const file[] = { "close", "flush", "lines", "read", "seek", "write" };

	lua_getglobal(L, "os");
	for (size_t i = 0; i < SL_ARRAY_SIZE(os); i++)
		wrap_blocking(L, os[i], "os.");
	lua_getglobal(L, "io");
	for (size_t i = 0; i < SL_ARRAY_SIZE(io); i++)
		wrap_blocking(L, io[i], "io.");
	luaL_getmetatable(L, LUA_FILEHANDLE);
	lua_getfield(L, -1, "__index");
	for (size_t i = 0; i < SL_ARRAY_SIZE(file); i++)
		wrap_blocking(L, file[i], "file:");
	lua_pop(L, 4);
}

void
sandbox_open(lua_State *L)
{
	wrap_all(L);
	debug_open(L);
	replace(L, "debug", "debug", "debug.debug"); // reads and runs what stdin says
	replace(L, "debug", "getregistry", "debug.getregistry");
	replace(L, "debug", "sethook", "debug.sethook");
	replace(L, "os", "exit", "os.exit");
	wrap_loader(L, "load", 3);
	wrap_loader(L, "loadfile", 2);
	lua_pushcfunction(L, text_dofile);
	lua_setglobal(L, "dofile");
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "searchers");
	lua_pushvalue(L, -2);
	lua_pushcclosure(L, text_searcher, 1);
	lua_rawseti(L, -2, 2);
	lua_pop(L, 2);
}
