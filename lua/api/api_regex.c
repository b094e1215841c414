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

/* A compiled expression, and what the state was charged for it. */
struct re {
	struct regex *re;
	size_t bytes;
};

static int
regex_gc(lua_State *L)
{
	struct re *r = luaL_checkudata(L, 1, REGEX);

	script_let_go(L, r->bytes);
	regex_free(r->re);
	*r = (struct re){ .re = NULL };
	return 0;
}

const struct regex *
api_regex(lua_State *L, int idx)
{
	const struct re *r;

	luaL_checktype(L, idx, LUA_TTABLE);
	lua_rawgeti(L, idx, 0);
	r = luaL_testudata(L, -1, REGEX);
	lua_pop(L, 1);
	if (r == NULL || r->re == NULL)
		luaL_argerror(L, idx, "Regex expected");
	return r->re;
}

/* Leaves it on the stack; -ENOMEM also for the state's own limit, -EINVAL with a text. */
static int
make(lua_State *L, struct sl_str text, bool icase, const struct regex **out, struct sl_buf *why)
{
	struct re *r = lua_newuserdata(L, sizeof(*r));
	size_t bytes;

	*r = (struct re){ .re = NULL };
	luaL_setmetatable(L, REGEX);
	int rc = regex_new(text, icase, &r->re, why);
	if (rc < 0)
		return rc;
	bytes = regex_bytes(r->re);
	if (!script_hold(L, bytes)) {
		regex_free(r->re);
		r->re = NULL;
		return -ENOMEM;
	}
	r->bytes = bytes;
	*out = r->re;
	return 0;
}

const struct regex *
api_push_regex(lua_State *L, struct sl_str text, bool icase)
{
	const struct regex *re = NULL;
	char words[512];
	struct sl_buf why;

	sl_buf_init(&why, words, sizeof(words));
	int rc = make(L, text, icase, &re, &why);
	if (rc == -ENOMEM)
		luaL_error(L, "out of memory");
	if (rc < 0)
		luaL_error(L, "%s", words);
	return re;
}

static int
l_regex_new(lua_State *L)
{
	struct sl_str text = api_check_str(L, 1);
	bool cs = lua_toboolean(L, 2);
	const struct regex *re;
	char words[512];
	struct sl_buf why;

	sl_buf_init(&why, words, sizeof(words));
	int rc = make(L, text, !cs, &re, &why);
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
