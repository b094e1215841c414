// SPDX-License-Identifier: BSD-3-Clause
/*
 * Variables: get_var, set_var and unset_var of transactions and applets, and core.get_var.
 *
 * Runs on: script threads. Those of a stream are in the slot's snapshot; what is written takes effect there
 * at once, and on the stream when the worker gets the slot back. Those of the process are read and written
 * where they are: at once, for everybody.
 * Follows: HAProxy 2.6; core.get_var is of 2.9.
 */
#include "lua/api/api.h"

#include "dataplane/expr/procvar.h"

/* Memory for one value of the process, and for one that grew while it was read. */
struct scratch {
	struct arena arena;
	struct arena_src src;
	bool taken;
	struct arena_chunk chunk;
	alignas(16) char mem[2 * PROC_VAR_MAX + 64];
};

static struct arena_chunk *
scratch_get(void *ctx, uint32_t need)
{
	struct scratch *s = ctx;

	if (s->taken || need > sizeof(s->mem))
		return NULL;
	s->taken = true;
	s->chunk.size = sizeof(s->mem);
	return &s->chunk;
}

static void
scratch_put(void *ctx sl_unused, struct arena_chunk *c sl_unused)
{
}

static int
push_proc(lua_State *L, struct proc_vars *p, struct sl_str name)
{
	struct scratch mem;
	struct sample v;

	static_assert(offsetof(struct scratch, mem) - offsetof(struct scratch, chunk) ==
			sizeof(struct arena_chunk),
		"a chunk's bytes follow it");
	mem.taken = false;
	mem.src = (struct arena_src){ .get = scratch_get, .put = scratch_put, .ctx = &mem };
	arena_init(&mem.arena, &mem.src);
	if (p == NULL || !proc_var_get(p, name, &v, &mem.arena))
		v.type = T_ANY;
	api_push_sample(L, &v, &mem.arena, false);
	return 1;
}

/* As HAProxy: `req` exists while the request is worked on, `res` while the response is. */
static bool
var_name(lua_State *L, const struct script_call *c, enum var_scope *scope, struct sl_str *name)
{
	bool res = c->slot->point == EVAL_HTTP_RES || c->slot->point == EVAL_HTTP_AFTER;

	return var_parse_name(api_check_str(L, 2), scope, name) == 0 &&
		*scope != (res ? VAR_REQ : VAR_RES);
}

int
api_get_var(lua_State *L)
{
	api_nargs(L, 2, "get_var");
	struct script_call *c = api_call(L, 1);
	enum var_scope scope;
	struct call_arena mem;
	struct sl_str name;

	if (!var_name(L, c, &scope, &name)) {
		lua_pushnil(L);
		return 1;
	}
	if (scope == VAR_PROC)
		return push_proc(L, c->slot->vars.procs, name);
	const struct sample *v = var_get(&c->slot->vars, scope, name);
	struct sample s = { .type = T_ANY };
	uint32_t mark = c->slot->used;
	if (v != NULL)
		s = *v;
	call_arena_init(&mem, c->slot);
	api_push_sample(L, &s, &mem.arena, false);
	c->slot->used = mark;
	return 1;
}

/*
 * txn:set_var(name, value[, ifexist]); ifexist is about the process only. False: no such scope here; of the
 * process also: ifexist, and there is none, or no room.
 */
int
api_set_var(lua_State *L)
{
	api_nargs2(L, 3, 4, "set_var");
	struct script_call *c = api_call(L, 1);
	struct proc_vars *procs = c->slot->vars.procs;
	enum var_scope scope;
	struct call_arena mem;
	struct sl_str name;
	struct sample v;
	bool ok;

	ok = var_name(L, c, &scope, &name);
	if (ok)
		api_to_sample(L, 3, &v);
	if (ok && scope == VAR_PROC) {
		ok = procs != NULL && proc_var_set(procs, name, &v, lua_toboolean(L, 4)) == 0;
	} else if (ok) {
		call_arena_init(&mem, c->slot);
		if (var_set(&c->slot->vars, &mem.arena, scope, name, &v) < 0 ||
			call_add_write(c->slot, CW_SET_VAR, scope, name, &v) < 0)
			return luaL_error(L, "set_var: no room for the value");
	}
	lua_pushboolean(L, ok);
	return 1;
}

int
api_unset_var(lua_State *L)
{
	api_nargs(L, 2, "unset_var");
	struct script_call *c = api_call(L, 1);
	enum var_scope scope;
	struct sl_str name;
	bool ok = var_name(L, c, &scope, &name);

	if (ok) {
		var_unset(&c->slot->vars, scope, name);
		if (scope != VAR_PROC &&
			call_add_write(c->slot, CW_UNSET_VAR, scope, name, NULL) < 0)
			return luaL_error(L, "unset_var: no room");
	}
	lua_pushboolean(L, ok);
	return 1;
}

/* core.get_var(name): of the process, from anywhere. */
static int
l_core_get_var(lua_State *L)
{
	enum var_scope scope;
	struct sl_str name;

	api_nargs(L, 1, "get_var");
	if (var_parse_name(api_check_str(L, 1), &scope, &name) == 0 && scope == VAR_PROC)
		return push_proc(L, script_procs(L), name);
	lua_pushnil(L);
	return 1;
}

static const luaL_Reg core_functions[] = {
	{ "get_var", l_core_get_var },
	{ NULL, NULL },
};

static void
open_var(lua_State *L)
{
	api_core(L, core_functions);
}

SL_LUA_API({ "var", open_var, "variables" });
