// SPDX-License-Identifier: BSD-3-Clause
/*
 * txn.c and txn.sc: every converter of the keyword tables as a Lua method.
 *
 * Runs on: script threads.
 * Follows: HAProxy: the first argument is the input and is cast to what the converter takes.
 */
#include "lua/api/api.h"

/* Upvalues: the row, whether values are always strings. */
static int
l_conv(lua_State *L)
{
	const struct conv_row *row = lua_touserdata(L, lua_upvalueindex(1));
	bool as_str = lua_toboolean(L, lua_upvalueindex(2));
	struct script_call *c = api_call(L, 1);
	struct arg args[EXPR_MAX_ARGS + 1];
	uint32_t mark = c->slot->used;
	struct call_arena mem;
	struct sample s;

	call_arena_init(&mem, c->slot);
	api_to_sample(L, 2, &s);
	api_args(L, 3, row->name, &row->args, &mem.arena, args);
	enum sample_type from = s.type;
	if (!sample_cast(&s, row->in, &mem.arena))
		return luaL_error(L, "converter '%s': cannot convert %s to %s", row->name,
			sample_type_name(from), sample_type_name(row->in));
	if (row->where == WHERE_OWNER)
		return api_ask(L, c, CALL_ASK_CONV, row, row->name, args, &s, mark, as_str);
	if (!row->fn(&c->slot->view, &s, args, &mem.arena, row->priv))
		s.type = T_ANY;
	if (mem.arena.failed)
		return luaL_error(L, "converter '%s': no room for its value", row->name);
	api_push_sample(L, &s, &mem.arena, as_str);
	c->slot->used = mark;
	return 1;
}

static void
add_convs(lua_State *L, const char *key, bool as_str)
{
	const struct registry *r = expr_convs();

	api_class(L, key, "Converters", NULL);
	lua_getfield(L, -1, "__index");
	for (uint32_t i = 0; i < r->count; i++) {
		const struct conv_row *row = r->rows[i];
		api_push_name(L, row->name);
		lua_pushlightuserdata(L, (void *)(uintptr_t)row);
		lua_pushboolean(L, as_str);
		lua_pushcclosure(L, l_conv, 2);
		lua_rawset(L, -3);
	}
	lua_pop(L, 2);
}

static void
open_convs(lua_State *L)
{
	add_convs(L, API_C, false);
	add_convs(L, API_SC, true);
}

SL_LUA_API({ "Converters", open_convs, "txn.c, txn.sc: converters" });
