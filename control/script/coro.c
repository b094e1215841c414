// SPDX-License-Identifier: BSD-3-Clause
/*
 * coroutine.resume and coroutine.wrap that know about waiting.
 *
 * Runs on: script threads, and the loader in bodies.
 * A forced yield or a wait inside a script's own coroutine must suspend the whole chain up to the
 * scheduler, not return to the script's resume as if it had yielded. The innermost sets
 * state->chain and yields; each resume on the way passes it on and continues the inner coroutine
 * when the scheduler comes back. A resume that is itself below a C function that cannot yield
 * (table.sort, string.gsub) counts in state->blocked, and nobody suspends meanwhile.
 */
#include "control/script/script_priv.h"

/*
 * Resumes co from L with narg values on co's stack. LUA_OK or LUA_YIELD: results are on co's stack;
 * with state->chain set: the chain is being suspended.
 */
static int
step(lua_State *L, lua_State *co, int narg)
{
	struct script_state *st = script_state_of(L);
	struct script_thread *t = st->thread;
	lua_State *outer = t != NULL ? t->on : NULL;
	uint32_t blocked = st->blocked;

	if (!lua_isyieldable(L))
		st->blocked++;
	budget_join(st, L, co);
	if (t != NULL)
		t->on = co;
	int rc = lua_resume(co, L, narg);
	if (t != NULL)
		t->on = outer;
	st->blocked = blocked;
	/* A limit was hit inside: it must not be taken for an ordinary error. */
	if (rc > LUA_YIELD && st->running != NULL && st->running->kill != KILL_NONE)
		return budget_raise(st->running, L, st->running->kill);
	return rc;
}

static lua_State *
check_co(lua_State *L)
{
	lua_State *co = lua_tothread(L, 1);

	luaL_argcheck(L, co != NULL, 1, "coroutine expected");
	return co;
}

/* Can co be resumed? Else pushes the text. */
static bool
is_resumable(lua_State *L, lua_State *co, int narg)
{
	if (!lua_checkstack(co, narg)) {
		lua_pushliteral(L, "too many arguments to resume");
		return false;
	}
	if (lua_status(co) == LUA_OK && lua_gettop(co) == 0) {
		lua_pushliteral(L, "cannot resume dead coroutine");
		return false;
	}
	return true;
}

/* Moves results or the error of co to L: number of values, -1 for an error (one value). */
static int
take(lua_State *L, lua_State *co, int rc)
{
	if (rc != LUA_OK && rc != LUA_YIELD) {
		lua_xmove(co, L, 1);
		return -1;
	}
	int n = lua_gettop(co);
	if (!lua_checkstack(L, n + 1)) {
		lua_pop(co, n);
		lua_pushliteral(L, "too many results to resume");
		return -1;
	}
	lua_xmove(co, L, n);
	return n;
}

static int
resume_k(lua_State *L, int status, lua_KContext ctx)
{
	struct script_state *st = script_state_of(L);
	lua_State *co = check_co(L);
	int rc = step(L, co, status == LUA_YIELD ? 0 : (int)ctx);

	if (rc == LUA_YIELD && st->chain)
		return lua_yieldk(L, 0, 0, resume_k);
	int n = take(L, co, rc);
	lua_pushboolean(L, n >= 0);
	lua_insert(L, n >= 0 ? -(n + 1) : -2);
	return n >= 0 ? n + 1 : 2;
}

static int
co_resume(lua_State *L)
{
	lua_State *co = check_co(L);
	int narg = lua_gettop(L) - 1;

	if (!is_resumable(L, co, narg)) {
		lua_pushboolean(L, false);
		lua_insert(L, -2);
		return 2;
	}
	lua_xmove(L, co, narg);
	return resume_k(L, LUA_OK, narg);
}

static int
wrap_error(lua_State *L)
{
	if (lua_type(L, -1) == LUA_TSTRING) { // as Lua does: add where
		luaL_where(L, 1);
		lua_insert(L, -2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

static int
wrap_k(lua_State *L, int status, lua_KContext ctx)
{
	struct script_state *st = script_state_of(L);
	lua_State *co = lua_tothread(L, lua_upvalueindex(1));
	int rc = step(L, co, status == LUA_YIELD ? 0 : (int)ctx);

	if (rc == LUA_YIELD && st->chain)
		return lua_yieldk(L, 0, 0, wrap_k);
	int n = take(L, co, rc);
	return n >= 0 ? n : wrap_error(L);
}

static int
wrap_call(lua_State *L)
{
	lua_State *co = lua_tothread(L, lua_upvalueindex(1));
	int narg = lua_gettop(L);

	if (!is_resumable(L, co, narg))
		return wrap_error(L);
	lua_xmove(L, co, narg);
	return wrap_k(L, LUA_OK, narg);
}

static int
co_wrap(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_State *co = lua_newthread(L);
	lua_pushvalue(L, 1);
	lua_xmove(L, co, 1);
	lua_pushcclosure(L, wrap_call, 1);
	return 1;
}

void
coro_open(lua_State *L)
{
	lua_getglobal(L, "coroutine");
	lua_pushcfunction(L, co_resume);
	lua_setfield(L, -2, "resume");
	lua_pushcfunction(L, co_wrap);
	lua_setfield(L, -2, "wrap");
	lua_pop(L, 1);
}
