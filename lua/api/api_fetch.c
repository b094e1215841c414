// SPDX-License-Identifier: BSD-3-Clause
/*
 * txn.f and txn.sf: every fetch method of the keyword tables as a Lua method.
 *
 * Runs on: script threads, over the snapshot in the call slot.
 * Follows: HAProxy: '.' in a name becomes '_'; f gives typed values or nil, sf always strings.
 * Rows that need the worker (WHERE_OWNER) are asked for there, and the coroutine waits meanwhile.
 * Not here: fetches that scripts registered are left out, as in HAProxy.
 */
#include "lua/api/api.h"

/* Upvalues: the row, whether values are always strings. */
static int
l_fetch(lua_State *L)
{
	const struct fetch_row *row = lua_touserdata(L, lua_upvalueindex(1));
	bool as_str = lua_toboolean(L, lua_upvalueindex(2));
	struct script_call *c = api_call(L, 1);
	struct arg args[EXPR_MAX_ARGS + 1];
	struct sample out = { .type = T_ANY };
	uint32_t mark = c->slot->used;
	struct call_arena mem;

	call_arena_init(&mem, c->slot);
	api_args(L, 2, row->name, &row->args, &mem.arena, args);
	if (row->where == WHERE_OWNER)
		return api_ask(L, c, CALL_ASK_FETCH, row, row->name, args, &out, mark, as_str);
	if (!row->fn(row->constant ? NULL : &c->slot->view, args, &out, &mem.arena, row->priv))
		out.type = T_ANY;
	if (mem.arena.failed)
		return luaL_error(L, "fetch '%s': no room for its value", row->name);
	api_push_sample(L, &out, &mem.arena, as_str);
	c->slot->used = mark; // Lua has its own copy
	return 1;
}

static void
add_fetches(lua_State *L, const char *key, bool as_str)
{
	const struct registry *r = expr_fetches();

	api_class(L, key, "Fetches", NULL);
	lua_getfield(L, -1, "__index");
	for (uint32_t i = 0; i < r->count; i++) {
		const struct fetch_row *row = r->rows[i];
		if (row->match != NULL)
			continue; // an ACL's name with its match method
		api_push_name(L, row->name);
		lua_pushlightuserdata(L, (void *)(uintptr_t)row);
		lua_pushboolean(L, as_str);
		lua_pushcclosure(L, l_fetch, 2);
		lua_rawset(L, -3);
	}
	lua_pop(L, 2);
}

static void
open_fetches(lua_State *L)
{
	add_fetches(L, API_F, false);
	add_fetches(L, API_SF, true);
}

SL_LUA_API({ "Fetches", open_fetches, "txn.f, txn.sf: fetch methods" });
