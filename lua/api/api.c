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
api_class(lua_State *L, const char *key, const char *name, const luaL_Reg *methods)
{
	lua_newtable(L);
	lua_pushfstring(L, "HAProxy class %s", name);
	lua_pushcclosure(L, class_tostring, 1);
	lua_setfield(L, -2, "__tostring");
	lua_newtable(L);
	if (methods != NULL)
		luaL_setfuncs(L, methods, 0);
	lua_setfield(L, -2, "__index");
	lua_pushvalue(L, -1);
	lua_setfield(L, LUA_REGISTRYINDEX, key);
}

void
api_core(lua_State *L, const luaL_Reg *functions)
{
	if (lua_getglobal(L, "core") != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setglobal(L, "core");
	}
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}

void
api_nargs(lua_State *L, int n, const char *name)
{
	if (lua_gettop(L) != n)
		luaL_error(L, "'%s' needs %d arguments", name, n);
}

void
api_nargs2(lua_State *L, int min, int max, const char *name)
{
	int n = lua_gettop(L);

	if (n < min || n > max)
		luaL_error(L, "'%s' needs between %d and %d arguments", name, min, max);
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
		if (mem->failed)
			luaL_error(L, "no room for the value");
	}
	switch (s->type) {
	case T_BOOL:
		if (script_conf(L)->lua_bool_normal)
			lua_pushboolean(L, s->i != 0);
		else
			lua_pushinteger(L, s->i); // HAProxy before 3.1
		break;
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

void
api_push_name(lua_State *L, const char *name)
{
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (; *name != '\0'; name++)
		luaL_addchar(&b, *name == '.' || *name == '-' || *name == '+' ? '_' : *name);
	luaL_pushresult(&b);
}

void
api_args(lua_State *L, int first, const char *name, const struct arg_spec *spec, struct arena *mem,
	struct arg *out)
{
	const struct regex *re[EXPR_MAX_ARGS] = { NULL };
	struct sl_str text[EXPR_MAX_ARGS];
	int n = sl_max(lua_gettop(L) - first + 1, 0);
	struct arg_spec plain = *spec;
	char words[256];
	struct sl_buf why;

	if (n == 0 && spec->min == 0) { // the usual case
		for (int i = 0; i <= EXPR_MAX_ARGS; i++)
			out[i].type = ARG_END;
		return;
	}
	if (n > EXPR_MAX_ARGS)
		luaL_error(L, "'%s' takes at most %d arguments", name, EXPR_MAX_ARGS);
	for (int i = 0; i < n; i++) {
		if (lua_type(L, first + i) != LUA_TSTRING) { // HAProxy: what is no number is 0
			lua_pushinteger(L, script_to_int(L, first + i));
			lua_replace(L, first + i);
		}
		text[i] = api_check_str(L, first + i);
	}
	// a script's expressions belong to Lua, which frees them
	for (int i = 0; i < n; i++) {
		if (spec->type[i] != ARG_REG)
			continue;
		plain.type[i] = ARG_STR;
		re[i] = api_push_regex(
			L, text[i], i + 2 < n && sl_str_chr(text[i + 2], 'i') >= 0);
	}
	sl_buf_init(&why, words, sizeof(words));
	int rc = expr_args_convert(&plain, text, (uint32_t)n, mem, out, &why);
	if (rc == -ENOMEM)
		luaL_error(L, "'%s': no room for its arguments", name);
	if (rc < 0)
		luaL_error(L, "'%s': %s", name, words);
	if (n > 0 && out[0].type == ARG_MAP) // its files belong to the configuration
		luaL_error(L, "'%s': map: cannot load map at runtime; use Map.new()", name);
	for (int i = 0; i < n; i++) {
		if (re[i] != NULL)
			out[i] = (struct arg){ .type = ARG_REG, .re = re[i] };
	}
}

static int
told_k(lua_State *L, int status sl_unused, intptr_t ctx)
{
	struct call_slot *s = api_call(L, 1)->slot;
	struct call_arena mem;

	if (s->ask_rc == -ECANCELED)
		return luaL_error(L, "the request does not wait any more");
	if (s->ask_rc < 0)
		return luaL_error(L, "no room for the value");
	call_arena_init(&mem, s);
	api_push_sample(L, &s->ask_value, &mem.arena, (ctx & 1) != 0);
	s->used = (uint32_t)(ctx >> 1);
	return 1;
}

int
api_ask(lua_State *L, struct script_call *c, enum call_ask ask, const void *row, const char *name,
	const struct arg *args, const struct sample *v, uint32_t mark, bool as_str)
{
	struct call_slot *s = c->slot;
	uint32_t n = 1;

	while (args[n - 1].type != ARG_END)
		n++;
	s->ask_args = call_alloc(s, n * (uint32_t)sizeof(*args));
	s->ask_value = *v;
	if (sample_has_text(v))
		s->ask_value.s = call_str(s, v->s);
	if (s->ask_args == NULL || (sample_has_text(v) && s->ask_value.s.p == NULL))
		return luaL_error(L, "'%s': no room for its arguments", name);
	memcpy(s->ask_args, args, n * sizeof(*args));
	s->ask_row = row;
	return script_ask(L, c, ask, name, told_k, (intptr_t)mark << 1 | as_str);
}
