// SPDX-License-Identifier: BSD-3-Clause
/*
 * The class Map, and core.set_map and its relatives: files of patterns that the configuration, the
 * runtime API and scripts share.
 *
 * Runs on: the loader (new), script threads. Looking up takes the lock of the generation's files, which
 * workers never take.
 * Follows: HAProxy 2.6: files are read while bodies and init functions run; what is changed later is
 * seen by all. A key or pattern that is none changes nothing; there is no error.
 */
#include "dataplane/expr/patset.h"

#include "lua/api/api.h"

#define MAP_REGM PAT_NR // HAProxy has the constant; new() takes no such map

/* In the order of their numbers. */
static const char *const methods[] = { "found", "bool", "int", "ip", "bin", "len", "str", "beg",
	"sub", "dir", "dom", "end", "reg", "regm" };

struct map {
	const struct pat_view *view;
	enum pat_method m;
};
#define MAP "sl.map"

static const struct map *
check_map(lua_State *L)
{
	const struct map *m;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_rawgeti(L, 1, 0);
	m = luaL_testudata(L, -1, MAP);
	lua_pop(L, 1);
	if (m == NULL)
		luaL_argerror(L, 1, "Map expected");
	return m;
}

static bool
is_key(enum pat_method m)
{
	return m == PAT_INT || m == PAT_IP || (m >= PAT_STR && m <= PAT_REG);
}

static int
l_map_new(lua_State *L)
{
	struct pat_how how = { .m = PAT_STR, .out = T_STR };
	struct map *m;
	struct pat_file *f;
	char text[400];
	struct sl_buf why;

	if (lua_gettop(L) < 1)
		return luaL_error(L, "'new' needs at least 1 argument.");
	struct sl_str path = api_check_str(L, 1);
	if (lua_gettop(L) >= 2) {
		lua_Integer n = luaL_checkinteger(L, 2);
		if (n < 0 || n > MAP_REGM)
			return luaL_error(L, "'new' needs a valid match method.");
		if (!is_key((enum pat_method)n))
			return luaL_error(L, "'new' doesn't support this match mode.");
		how.m = (enum pat_method)n;
	}
	if (script_in_call(L) || script_pats(L) == NULL)
		return luaL_error(L, "'new': map: cannot load map at runtime.");
	m = lua_newuserdata(L, sizeof(*m));
	luaL_setmetatable(L, MAP);
	m->m = how.m;
	sl_buf_init(&why, text, sizeof(text));
	int rc = pat_file_open(script_pats(L), path, true, &f, &why);
	if (rc == 0)
		rc = pat_file_view(f, &how, &m->view, &why);
	if (rc < 0)
		return luaL_error(L, "'new': %s.",
			rc == -ENOMEM          ? "out of memory"
				: rc == -EPERM ? "map: cannot load map at runtime"
					       : text);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, -2);
	lua_rawseti(L, -2, 0);
	lua_getfield(L, LUA_REGISTRYINDEX, API_MAP);
	lua_setmetatable(L, -2);
	return 1;
}

static int
look_up(lua_State *L, bool as_str)
{
	char text[16384]; // HAProxy's buffer
	struct sl_buf out;

	api_nargs(L, 2, "lookup");
	const struct map *m = check_map(L);
	if (m->m == PAT_INT)
		luaL_checkinteger(L, 2);
	sl_buf_init(&out, text, sizeof(text));
	if (pat_view_text(m->view, api_check_str(L, 2), &out))
		lua_pushlstring(L, out.p, out.len);
	else if (as_str)
		lua_pushliteral(L, "");
	else
		lua_pushnil(L);
	return 1;
}

static int
l_map_lookup(lua_State *L)
{
	return look_up(L, false);
}

static int
l_map_slookup(lua_State *L)
{
	return look_up(L, true);
}

/* ---- core: changes ---- */

static int
change(lua_State *L, const char *fn, bool map, enum pat_op op)
{
	bool has_value = op == PAT_PUT;
	struct pat_edit e = { .op = op, .bounded = true, .value = SL_STR("") };
	struct pat_file *f = NULL;
	char text[400];
	struct sl_buf why;

	api_nargs(L, has_value ? 3 : 2, fn);
	struct sl_str name = api_check_str(L, 1);
	e.key = api_check_str(L, 2);
	if (has_value)
		e.value = api_check_str(L, 3);
	if (script_pats(L) != NULL)
		f = pat_set_find(script_pats(L), name, map);
	if (f == NULL)
		return luaL_error(L, "'%s': unknown %s file '%s'", fn, map ? "map" : "acl", name.p);
	sl_buf_init(&why, text, sizeof(text));
	int rc = pat_file_edit(f, &e, 1, &why);
	if (rc == -ENOMEM)
		return luaL_error(L, "'%s': out of memory", fn);
	if (rc == -EAGAIN)
		return luaL_error(L, "'%s': too many changes at once", fn);
	if (rc == -ENOSPC)
		return luaL_error(L,
			"'%s': scripts and rules have put %d MiB into '%s' already, the most", fn,
			(int)(PAT_GROWN_MAX >> 20), name.p);
	return 0;
}

static int
l_core_set_map(lua_State *L)
{
	return change(L, "set_map", true, PAT_PUT);
}

static int
l_core_del_map(lua_State *L)
{
	return change(L, "del_map", true, PAT_DEL);
}

static int
l_core_add_acl(lua_State *L)
{
	return change(L, "add_acl", false, PAT_ADD);
}

static int
l_core_del_acl(lua_State *L)
{
	return change(L, "del_acl", false, PAT_DEL);
}

static const luaL_Reg core_functions[] = {
	{ "set_map", l_core_set_map },
	{ "del_map", l_core_del_map },
	{ "add_acl", l_core_add_acl },
	{ "del_acl", l_core_del_acl },
	{ NULL, NULL },
};

static const luaL_Reg map_methods[] = {
	{ "lookup", l_map_lookup },
	{ "slookup", l_map_slookup },
	{ NULL, NULL },
};

static void
open_map(lua_State *L)
{
	static_assert(SL_ARRAY_SIZE(methods) == MAP_REGM + 1, "one name each");
	api_core(L, core_functions);
	api_class(L, API_MAP, "Map", map_methods);
	luaL_newmetatable(L, MAP);
	lua_pop(L, 2);
	lua_newtable(L);
	for (int i = 0; i < (int)SL_ARRAY_SIZE(methods); i++) {
		lua_pushinteger(L, i);
		lua_pushvalue(L, -1);
		lua_pushfstring(L, "_%s", methods[i]);
		lua_insert(L, -2);
		lua_rawset(L, -4);
		lua_setfield(L, -2, methods[i]);
	}
	lua_pushcfunction(L, l_map_new);
	lua_setfield(L, -2, "new");
	lua_setglobal(L, "Map");
}

SL_LUA_API({ "Map", open_map, "files of keys and values" });
