// SPDX-License-Identifier: BSD-3-Clause
/*
 * The class Regex.
 *
 * Runs on: script threads, and the loader.
 * Follows: HAProxy 2.6: new(text, case_sensitive) gives true and the object, or false and why;
 * exec() a boolean; match() a boolean and the groups, from index 1 on the whole match.
 */
#include "dataplane/expr/regex.h"

#include "lua/api/api.h"

#define REGEX "sl.regex"

static int
regex_gc(lua_State *L)
{
	struct regex **r = luaL_checkudata(L, 1, REGEX);

	regex_free(*r);
	*r = NULL;
	return 0;
}

const struct regex *
api_regex(lua_State *L, int idx)
{
	struct regex **r;

	luaL_checktype(L, idx, LUA_TTABLE);
	lua_rawgeti(L, idx, 0);
	r = luaL_testudata(L, -1, REGEX);
	lua_pop(L, 1);
	if (r == NULL || *r == NULL)
		luaL_argerror(L, idx, "Regex expected");
	return *r;
}

const struct regex *
api_push_regex(lua_State *L, struct sl_str text, bool icase)
{
	struct regex **r = lua_newuserdata(L, sizeof(*r));
	char words[512];
	struct sl_buf why;

	*r = NULL;
	luaL_setmetatable(L, REGEX);
	sl_buf_init(&why, words, sizeof(words));
	int rc = regex_new(text, icase, r, &why);
	if (rc == -ENOMEM)
		luaL_error(L, "out of memory");
	if (rc < 0)
		luaL_error(L, "%s", words);
	return *r;
}

static int
l_regex_new(lua_State *L)
{
	struct sl_str text = api_check_str(L, 1);
	bool cs = lua_toboolean(L, 2);
	char words[512];
	struct sl_buf why;

	struct regex **r = lua_newuserdata(L, sizeof(*r));
	*r = NULL;
	luaL_setmetatable(L, REGEX);
	sl_buf_init(&why, words, sizeof(words));
	int rc = regex_new(text, !cs, r, &why);
	if (rc < 0) {
		struct sl_str s = sl_buf_str(&why);
		lua_pushboolean(L, false);
		lua_pushlstring(L, rc == -ENOMEM ? "out of memory" : s.p,
			rc == -ENOMEM ? strlen("out of memory") : s.len);
		return 2;
	}
	lua_pushboolean(L, true);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, -3);
	lua_rawseti(L, -2, 0);
	lua_getfield(L, LUA_REGISTRYINDEX, API_REGEX);
	lua_setmetatable(L, -2);
	return 2;
}

static int
l_regex_exec(lua_State *L)
{
	lua_pushboolean(L, regex_exec(api_regex(L, 1), api_check_str(L, 2), NULL));
	return 1;
}

static int
l_regex_match(lua_State *L)
{
	const struct regex *r = api_regex(L, 1);
	struct sl_str text = api_check_str(L, 2);
	struct regex_match m;

	if (!regex_exec(r, text, &m)) {
		lua_pushboolean(L, false);
		lua_newtable(L);
		return 2;
	}
	lua_pushboolean(L, true);
	lua_createtable(L, (int)m.n, 0);
	for (uint32_t i = 0; i < m.n && m.at[i].start != UINT32_MAX; i++) {
		lua_pushlstring(L, text.p + m.at[i].start, m.at[i].end - m.at[i].start);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 2;
}

static const luaL_Reg methods[] = {
	{ "exec", l_regex_exec },
	{ "match", l_regex_match },
	{ NULL, NULL },
};

static void
open_regex(lua_State *L)
{
	api_class(L, API_REGEX, "Regex", methods);
	luaL_newmetatable(L, REGEX);
	lua_pushcfunction(L, regex_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 2);
	lua_newtable(L);
	lua_pushcfunction(L, l_regex_new);
	lua_setfield(L, -2, "new");
	lua_setglobal(L, "Regex");
}

SL_LUA_API({ "Regex", open_regex, "regular expressions" });
