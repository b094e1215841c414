// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table `core`: registering hooks, log, clock, small helpers.
 *
 * Runs on: the loader (bodies, init functions) and script threads.
 * Follows: HAProxy 2.6, manual "Core class"; the error texts are its own.
 * Not here: sockets (api_socket.c).
 */
#include <sys/time.h>

#include "lua/api/api.h"

static void
need_body(lua_State *L, const char *what)
{
	if (!script_is_loading(L))
		luaL_error(L, "%s: not available outside of the body of a script", what);
}

static struct sl_str
check_name(lua_State *L, const char *what)
{
	struct sl_str name = api_check_str(L, 1);

	need_body(L, what);
	if (name.len == 0)
		luaL_argerror(L, 1, "empty name");
	return name;
}

static void
do_register(lua_State *L, char kind, const char *what, struct sl_str name, uint32_t points,
	int nargs, int fn)
{
	int rc = script_register(L, kind, name, points, nargs, fn);

	if (rc == 0)
		return;
	if (rc == -EEXIST) {
		const char *text = lua_pushfstring(
			L, "Trying to register %s 'lua.%s' more than once.", what, name.p);
		script_log(L, SL_WARNING, sl_str_c(text));
		return;
	}
	if (rc == -EINVAL)
		luaL_error(L,
			"Lua function '%s' is referenced both ins shared Lua context (through"
			" lua-load) and per-thread Lua context (through lua-load-per-thread). these"
			" two context exclusive.",
			name.p);
	if (rc == -ENOENT)
		luaL_error(L,
			"Lua function '%s' is not referenced in all thread. Expect function in all"
			" thread or in none thread.",
			name.p);
	luaL_error(L, "Lua out of memory error.");
}

static uint32_t
check_facilities(lua_State *L, int idx)
{
	uint32_t points = 0;

	luaL_checktype(L, idx, LUA_TTABLE);
	lua_pushnil(L);
	while (lua_next(L, idx) != 0) {
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(
				L, "register_action: second argument must be a table of strings");
		const char *f = lua_tostring(L, -1);
		if (strcmp(f, "http-req") == 0)
			points |= EVAL_BIT(EVAL_HTTP_REQ);
		else if (strcmp(f, "http-res") == 0)
			points |= EVAL_BIT(EVAL_HTTP_RES);
		else if (strcmp(f, "http-after-res") == 0)
			points |= EVAL_BIT(EVAL_HTTP_AFTER);
		else if (strcmp(f, "tcp-req") == 0)
			points |= EVAL_BIT(EVAL_TCP_CONTENT);
		else if (strcmp(f, "tcp-res") == 0)
			points |= EVAL_BIT(EVAL_TCP_RES);
		else
			luaL_error(L,
				"Lua action environment '%s' is unknown. 'tcp-req', 'tcp-res',"
				" 'http-req' or 'http-res' are expected.",
				f);
		lua_pop(L, 1);
	}
	return points;
}

static int
l_core_register_action(lua_State *L)
{
	api_nargs2(L, 3, 4, "register_action");
	struct sl_str name = check_name(L, "register_action");
	uint32_t points = check_facilities(L, 2);
	lua_Integer nargs;

	luaL_checktype(L, 3, LUA_TFUNCTION);
	nargs = luaL_optinteger(L, 4, 0);
	luaL_argcheck(L, nargs >= 0 && nargs <= EXPR_MAX_ARGS, 4, "too many arguments");
	do_register(L, 'a', "action", name, points, (int)nargs, 3);
	return 0;
}

/* Wherever there is a stream that can wait; log formats are evaluated when it is over. */
#define POINTS_WAIT                                                                        \
	(EVAL_BIT(EVAL_TCP_CONTENT) | EVAL_BIT(EVAL_TCP_RES) | EVAL_BIT(EVAL_HTTP_REQ) | \
		EVAL_BIT(EVAL_BE_SWITCH) | \
		EVAL_BIT(EVAL_HTTP_RES))

static int
l_core_register_fetches(lua_State *L)
{
	api_nargs(L, 2, "register_fetches");
	struct sl_str name = check_name(L, "register_fetches");

	luaL_checktype(L, 2, LUA_TFUNCTION);
	do_register(L, 'f', "sample-fetch", name, POINTS_WAIT, 0, 2);
	return 0;
}

static int
l_core_register_converters(lua_State *L)
{
	api_nargs(L, 2, "register_converters");
	struct sl_str name = check_name(L, "register_converters");

	luaL_checktype(L, 2, LUA_TFUNCTION);
	do_register(L, 'c', "converter", name, POINTS_WAIT, 0, 2);
	return 0;
}

/* core.register_service(name, "tcp"|"http", fn) */
static int
l_core_register_service(lua_State *L)
{
	api_nargs(L, 3, "register_service");
	struct sl_str name = check_name(L, "register_service");
	const char *mode = luaL_checkstring(L, 2);
	bool http = strcmp(mode, "http") == 0;

	luaL_checktype(L, 3, LUA_TFUNCTION);
	if (!http && strcmp(mode, "tcp") != 0)
		return luaL_error(L,
			"Lua service environment '%s' is unknown. 'tcp' or 'http' are expected.",
			mode);
	do_register(L, http ? 's' : 'S', "service", name,
		EVAL_BIT(http ? EVAL_HTTP_REQ : EVAL_TCP_CONTENT), 0, 3);
	return 0;
}

/* core.register_task(fn[, args…]): HAProxy 2.8 has up to four; legal everywhere. */
static int
l_core_register_task(lua_State *L)
{
	int n = lua_gettop(L);

	if (n < 1 || n > 5)
		luaL_error(L, "'register_task' needs between 1 and 5 arguments");
	luaL_checktype(L, 1, LUA_TFUNCTION);
	int rc = script_task(L, n - 1);
	if (rc == -ENOSPC)
		return luaL_error(L, "register_task: more than %d tasks live in this state",
			SCRIPT_TASKS);
	return rc < 0 ? luaL_error(L, "Lua out of memory error.") : 0;
}

static int
l_core_register_init(lua_State *L)
{
	api_nargs(L, 1, "register_init");
	luaL_checktype(L, 1, LUA_TFUNCTION);
	need_body(L, "register_init");
	do_register(L, 'i', "init function", SL_STR("init"), 0, 0, 1);
	return 0;
}

/* ---- log ---- */

static int
l_core_log(lua_State *L)
{
	api_nargs(L, 2, "log");
	lua_Integer level = luaL_checkinteger(L, 1);
	struct sl_str msg = api_check_str(L, 2);

	if (level < SL_EMERG || level >= SL_NR_LEVELS)
		return luaL_argerror(L, 1, "Invalid loglevel.");
	script_log(L, (enum sl_level)level, msg);
	return 0;
}

/* core.Debug and its siblings; the level and the name are upvalues. */
static int
l_core_say(lua_State *L)
{
	api_nargs(L, 1, lua_tostring(L, lua_upvalueindex(2)));
	script_log(L, (enum sl_level)lua_tointeger(L, lua_upvalueindex(1)), api_check_str(L, 1));
	return 0;
}

/* print() goes to the log, whose sink never blocks. */
static int
l_print(lua_State *L)
{
	luaL_Buffer b;
	int n = lua_gettop(L);

	luaL_buffinit(L, &b);
	for (int i = 1; i <= n; i++) {
		if (i > 1)
			luaL_addchar(&b, '\t');
		luaL_tolstring(L, i, NULL);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	script_log(L, SL_NOTICE, api_check_str(L, -1));
	return 0;
}

/* ---- helpers ---- */

static int
l_core_now(lua_State *L)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	lua_createtable(L, 0, 2);
	lua_pushinteger(L, tv.tv_sec);
	lua_setfield(L, -2, "sec");
	lua_pushinteger(L, tv.tv_usec);
	lua_setfield(L, -2, "usec");
	return 1;
}

/* core.tokenize(text, separators[, noblank]) */
static int
l_core_tokenize(lua_State *L)
{
	struct sl_str s = api_check_str(L, 1);
	struct sl_str seps = api_check_str(L, 2);
	bool noblank = lua_toboolean(L, 3);
	uint32_t start = 0;
	lua_Integer n = 0;

	lua_newtable(L);
	for (uint32_t i = 0; i <= s.len; i++) {
		if (i < s.len && sl_str_chr(seps, s.p[i]) < 0)
			continue;
		if (i > start || !noblank) {
			lua_pushlstring(L, s.p + start, i - start);
			lua_rawseti(L, -2, ++n);
		}
		start = i + 1;
	}
	return 1;
}

static int
l_core_done(lua_State *L)
{
	return script_done(L, lua_gettop(L)); // the last of several, as HAProxy
}

static int
l_core_yield(lua_State *L)
{
	return script_yield(L);
}

/* Whole seconds, as HAProxy. */
static int
l_core_sleep(lua_State *L)
{
	api_nargs(L, 1, "sleep");
	lua_Integer s = luaL_checkinteger(L, 1);

	luaL_argcheck(L, s >= 0 && s <= INT32_MAX, 1, "seconds expected");
	return script_sleep(L, (uint64_t)s * 1000);
}

static int
l_core_msleep(lua_State *L)
{
	api_nargs(L, 1, "msleep");
	lua_Integer ms = luaL_checkinteger(L, 1);

	luaL_argcheck(L, ms >= 0 && ms <= INT32_MAX, 1, "milliseconds expected");
	return script_sleep(L, (uint64_t)ms);
}

static const luaL_Reg core_functions[] = {
	{ "register_action", l_core_register_action },
	{ "register_fetches", l_core_register_fetches },
	{ "register_converters", l_core_register_converters },
	{ "register_init", l_core_register_init },
	{ "register_service", l_core_register_service },
	{ "register_task", l_core_register_task },
	{ "log", l_core_log },
	{ "now", l_core_now },
	{ "tokenize", l_core_tokenize },
	{ "done", l_core_done },
	{ "yield", l_core_yield },
	{ "tcp", l_core_tcp },
	{ "sleep", l_core_sleep },
	{ "msleep", l_core_msleep },
	{ NULL, NULL },
};

static void
open_core(lua_State *L)
{
	static const char *const levels[SL_NR_LEVELS] = { "emerg", "alert", "crit", "err",
		"warning", "notice", "info", "debug" };
	static const struct {
		const char *name;
		enum sl_level level;
	} say[] = {
		{ "Debug", SL_DEBUG },
		{ "Info", SL_INFO },
		{ "Warning", SL_WARNING },
		{ "Alert", SL_ALERT },
	};

	api_core(L, core_functions);
	lua_getglobal(L, "core");
	for (int i = 0; i < SL_NR_LEVELS; i++) {
		lua_pushinteger(L, i);
		lua_setfield(L, -2, levels[i]);
	}
	for (size_t i = 0; i < SL_ARRAY_SIZE(say); i++) {
		lua_pushinteger(L, say[i].level);
		lua_pushstring(L, levels[say[i].level]);
		lua_pushcclosure(L, l_core_say, 2);
		lua_setfield(L, -2, say[i].name);
	}
	lua_pushinteger(L, script_thread_of(L));
	lua_setfield(L, -2, "thread");
	lua_pop(L, 1);
	lua_pushcfunction(L, l_print);
	lua_setglobal(L, "print");
}

SL_LUA_API({ "core", open_core, "registering hooks, log, clock, helpers" });
