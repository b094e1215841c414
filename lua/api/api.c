// SPDX-License-Identifier: BSD-3-Clause
/*
 * Objects and values: what all tables of the API share.
 *
 * Runs on: script threads, and the loader while bodies run.
 * Follows: HAProxy's conversions between samples and Lua values.
 */
#include "lua/api/api.h"

#define UD_MAGIC 0x534c5558u

struct api_ud {
	uint32_t magic;
	struct script_call *call; // lives as long as the state
	uint64_t seq;
};

static int
class_tostring(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	return 1;
}

void
api_class(lua_State *L, const char *name, const luaL_Reg *methods)
{
	lua_newtable(L);
	lua_pushfstring(L, "HAProxy class %s", name);
	lua_pushcclosure(L, class_tostring, 1);
	lua_setfield(L, -2, "__tostring");
	lua_newtable(L);
	if (methods != NULL)
		luaL_setfuncs(L, methods, 0);
	lua_setfield(L, -2, "__index");
	lua_pushfstring(L, "sl.%s", name);
	lua_pushvalue(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

void
api_push_ud(lua_State *L, struct script_call *c)
{
	struct api_ud *ud = lua_newuserdata(L, sizeof(*ud));

	*ud = (struct api_ud){ .magic = UD_MAGIC, .call = c, .seq = c->seq };
}

void
api_object(lua_State *L, const char *key, int ud)
{
	ud = lua_absindex(L, ud);
	lua_createtable(L, 1, 4);
	lua_pushvalue(L, ud);
	lua_rawseti(L, -2, 0);
	lua_getfield(L, LUA_REGISTRYINDEX, key);
	lua_setmetatable(L, -2);
}

struct script_call *
api_call(lua_State *L, int idx)
{
	const struct api_ud *ud = NULL;

	luaL_checktype(L, idx, LUA_TTABLE);
	lua_rawgeti(L, idx, 0);
	if (lua_type(L, -1) == LUA_TUSERDATA && lua_rawlen(L, -1) == sizeof(*ud))
		ud = lua_touserdata(L, -1);
	lua_pop(L, 1);
	if (ud == NULL || ud->magic != UD_MAGIC)
		luaL_argerror(L, idx, "object of the current transaction expected");
	if (ud->seq != ud->call->seq || ud->call != script_current(L))
		luaL_argerror(L, idx, "object of a transaction that has ended");
	return ud->call;
}

struct sl_str
api_check_str(lua_State *L, int idx)
{
	size_t len;
	const char *p = luaL_checklstring(L, idx, &len);

	if (len > INT32_MAX)
		luaL_argerror(L, idx, "string is too long");
	return sl_str_make(p, len);
}

void
api_push_sample(lua_State *L, struct sample *s, struct arena *mem, bool as_str)
{
	if (s->type == T_ADDR || (as_str && s->type != T_ANY)) {
		if (!sample_cast(s, T_STR, mem))
			s->type = T_ANY;
	}
	switch (s->type) {
	case T_BOOL: // HAProxy's default: tune.lua.bool-sample-conversion pre-3.1-bug
	case T_SINT:
		lua_pushinteger(L, s->i);
		break;
	case T_STR:
	case T_BIN:
	case T_METH:
		lua_pushlstring(L, s->s.len != 0 ? s->s.p : "", s->s.len);
		break;
	default:
		if (as_str)
			lua_pushliteral(L, "");
		else
			lua_pushnil(L);
		break;
	}
}

void
api_to_sample(lua_State *L, int idx, struct sample *out)
{
	*out = (struct sample){ .type = T_BOOL };
	switch (lua_type(L, idx)) {
	case LUA_TNUMBER:
		out->type = T_SINT;
		out->i = script_to_int(L, idx);
		break;
	case LUA_TBOOLEAN:
		out->i = lua_toboolean(L, idx);
		break;
	case LUA_TSTRING:
		out->type = T_STR;
		out->s = api_check_str(L, idx);
		break;
	default:
		break;
	}
}

uint32_t
api_arg_texts(lua_State *L, int first, struct sl_str *text)
{
	int n = lua_gettop(L) - first + 1;

	if (n > EXPR_MAX_ARGS)
		luaL_error(L, "at most %d arguments", EXPR_MAX_ARGS);
	for (int i = 0; i < n; i++) {
		int idx = first + i;
		if (lua_type(L, idx) != LUA_TSTRING) { // others than numbers and booleans are 0
			lua_pushinteger(L, script_to_int(L, idx));
			lua_replace(L, idx);
		}
		text[i] = api_check_str(L, idx);
	}
	return n > 0 ? (uint32_t)n : 0;
}
