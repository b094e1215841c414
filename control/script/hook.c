// SPDX-License-Identifier: BSD-3-Clause
/*
 * From a call slot to a coroutine and from its result to a verdict.
 *
 * Runs on: the script thread that owns the state.
 * Everything that Lua may refuse for lack of memory happens inside a protected call or inside the
 * coroutine (run_entry): a full state fails the call and lives on.
 * Follows: HAProxy 2.6's words for errors and its conversions of results.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/script/script_priv.h"

/* ---- coroutines ---- */

static int
thread_new(lua_State *L)
{
	struct script_run *r = lua_touserdata(L, 1);

	r->co = lua_newthread(L);
	r->co_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static int
thread_drop(lua_State *L)
{
	struct script_run *r = lua_touserdata(L, 1);

	luaL_unref(L, LUA_REGISTRYINDEX, r->co_ref);
	return 0;
}

/* On the state's main coroutine, where nothing may raise unprotected. */
static int
protect(struct script_run *r, lua_CFunction fn)
{
	lua_State *L = r->st->L;

	lua_settop(L, 0);
	lua_pushcfunction(L, fn);
	lua_pushlightuserdata(L, r);
	int rc = lua_pcall(L, 1, 0, 0);
	lua_settop(L, 0);
	return rc == LUA_OK ? 0 : -ENOMEM;
}

static struct script_run *
run_get(struct script_state *st)
{
	struct script_run *r;

	if (!sl_list_is_empty(&st->idle)) {
		r = sl_list_first(&st->idle, struct script_run, node);
		sl_list_del(&r->node);
	} else {
		r = calloc(1, sizeof(*r));
		if (r == NULL)
			return NULL;
		r->st = st;
		r->call.gen = st->gen;
		rand_seed(&r->call.rand, script_now_us() ^ (uintptr_t)r);
		sl_list_init(&r->node);
		wait_init(r);
		sl_list_add_tail(&st->runs, &r->all);
	}
	if (r->co != NULL)
		return r;
	sched_enter(st->thread); // what it allocates may run finalizers
	bool made = protect(r, thread_new) == 0;
	if (!sched_leave(st->thread))
		return NULL;
	if (made)
		return r;
	r->co = NULL;
	sl_list_add_head(&st->idle, &r->node);
	return NULL;
}

void
run_free(struct script_run *r)
{
	free(r); // its coroutine went before, or goes with the state
}

/* clean: the coroutine returned and can serve again. */
static void
run_put(struct script_run *r, bool clean)
{
	if (clean) {
		lua_settop(r->co, 0);
	} else {
		if (protect(r, thread_drop) < 0)
			r->co_ref = LUA_NOREF; // stays referenced: a leak rather than a panic
		r->co = NULL;
	}
	r->call.slot = NULL;
	r->call.seq++;
	r->runaway = false;
	scope_end(&r->scoped, clean);
	if (r->kind == 't') { // a task's coroutine served its purpose
		if (r->co != NULL)
			protect(r, thread_drop);
		r->st->ntasks--;
		r->st->active--;
		sl_list_del(&r->all);
		run_free(r);
		return;
	}
	r->st->active--;
	sl_list_add_head(&r->st->idle, &r->node);
}

/* ---- results ---- */

/* HAProxy: number to integer, boolean, string; everything else is false. */
static void
take_value(lua_State *L, struct call_slot *s)
{
	size_t len;

	switch (lua_type(L, -1)) {
	case LUA_TNUMBER:
		s->value.type = T_SINT;
		s->value.i = script_to_int(L, -1);
		break;
	case LUA_TSTRING: {
		const char *p = lua_tolstring(L, -1, &len);
		if (len >= CALL_DATA) {
			s->full = true;
			luaL_error(L, "string of %d bytes is too long", (int)len);
		}
		s->value.s = call_str(s, sl_str_make(p, len));
		if (s->value.s.p == NULL)
			luaL_error(L, "no room for a string of %d bytes", (int)len);
		s->value.type = T_STR;
		break;
	}
	default:
		s->value.type = T_BOOL;
		s->value.i = lua_toboolean(L, -1) && lua_isboolean(L, -1);
		break;
	}
}

static int
run_entry_k(lua_State *L, int status sl_unused, lua_KContext ctx)
{
	struct script_run *r = (struct script_run *)ctx;
	struct call_slot *s = r->call.slot;

	if (lua_gettop(L) <= 1 || script_is_service(s->kind))
		return 0; // nothing returned: no sample, act.CONTINUE
	if (s->kind == 'a')
		s->act = (int32_t)script_to_int(L, -1);
	else
		take_value(L, s);
	return 0;
}

/* Base of the coroutine. Stack: 1 the run, then what the function returns. */
static int
run_entry(lua_State *L)
{
	struct script_run *r = lua_touserdata(L, 1);
	struct call_slot *s = r->call.slot;
	struct script_state *st = r->st;
	int n = 1;

	lua_rawgeti(L, LUA_REGISTRYINDEX, st->ref[s->fn & ~CALL_FN_PER_THREAD]);
	if (s->kind == 'c')
		lua_pushlstring(L, s->input.s.len != 0 ? s->input.s.p : "", s->input.s.len);
	else if (script_is_service(s->kind) && st->push_applet != NULL)
		st->push_applet(L, &r->call);
	else if (st->push_txn != NULL)
		st->push_txn(L, &r->call);
	else
		lua_pushnil(L);
	for (uint32_t i = 0; i < s->nargs; i++, n++)
		lua_pushlstring(L, s->args[i].len != 0 ? s->args[i].p : "", s->args[i].len);
	lua_callk(L, n, LUA_MULTRET, (lua_KContext)r, run_entry_k);
	return run_entry_k(L, LUA_OK, (lua_KContext)r);
}

/* ---- errors ---- */

static void
add_level(lua_State *L, lua_Debug *ar, struct sl_buf *b)
{
	lua_getinfo(L, "Slnt", ar);
	if (ar->currentline > 0)
		sl_buf_printf(b, "%s:%d: in ", ar->short_src, ar->currentline);
	else
		sl_buf_printf(b, "%s: in ", ar->short_src);
	if (*ar->namewhat != '\0')
		sl_buf_printf(b, "%s '%s'", ar->namewhat, ar->name);
	else if (*ar->what == 'm')
		sl_buf_addc(b, "main chunk");
	else if (*ar->what == 'C')
		sl_buf_addc(b, "C function");
	else
		sl_buf_printf(b, "function line %d", ar->linedefined);
}

/* " from f.lua:1: in …, f.lua:2: in …"; our own base function is left out. */
static void
add_traceback(lua_State *L, struct sl_buf *b)
{
	lua_Debug ar, next;

	for (int i = 0; i < 16 && lua_getstack(L, i, &ar); i++) {
		if (!lua_getstack(L, i + 1, &next))
			return;
		sl_buf_addc(b, i == 0 ? " from " : ", ");
		add_level(L, &ar, b);
	}
}

static void
add_error(struct script_run *r, int rc, struct sl_buf *b)
{
	lua_State *L = r->co;

	if (rc == LUA_ERRMEM) {
		sl_buf_addc(b, "out of memory error");
		return;
	}
	sl_buf_printf(b, "[state-id %u] ", r->st->id);
	switch (lua_gettop(L) > 0 ? lua_type(L, -1) : LUA_TNIL) {
	case LUA_TSTRING:
		sl_buf_printf(b, "runtime error: %s", lua_tostring(L, -1));
		break;
	case LUA_TNUMBER: // lua_tostring() would allocate
		sl_buf_printf(b, "runtime error: %g", (double)lua_tonumber(L, -1));
		break;
	default:
		sl_buf_addc(b, "unknown runtime error");
		break;
	}
	add_traceback(L, b);
}

static const char *
kind_name(uint8_t kind)
{
	switch (kind) {
	case 'a':
		return "function";
	case 'f':
		return "sample-fetch";
	case 's':
		return "applet http";
	case 'S':
		return "applet tcp";
	default:
		return "converter";
	}
}

/*
 * " (request of 192.0.2.1:4711, id X)": the address begins the request's line in the log, too; the id is
 * that of unique-id-format, where there is one.
 */
static void
add_request(struct sl_buf *b, const struct call_slot *s)
{
	struct sl_buf ip;
	char text[64];

	if (s->view.src.ip.family == ADDR_NONE)
		return;
	sl_buf_init(&ip, text, sizeof(text));
	addr_format(&ip, &s->view.src.ip);
	sl_buf_printf(b, " (request of %.*s:%u", SL_STR_ARG(sl_buf_str(&ip)), s->view.src.port);
	if (s->id.len > 0)
		sl_buf_printf(b, ", id %.*s", SL_STR_ARG(s->id));
	sl_buf_char(b, ')');
}

/* A line that targets take whole by default, with its head. Its end says whose it is, so `why` is cut. */
#define REPORT 960u

static void
report(struct call_slot *s, const struct script_gen *g, struct sl_str why)
{
	char text[REPORT], whose[256];
	struct sl_buf b, t;
	const char *name;

	if (s == NULL) {
		sl_buf_init(&b, text, sizeof(text));
		sl_buf_printf(&b, "Lua task: %.*s.", SL_STR_ARG(why));
		script_emit(SL_ALERT, sl_buf_str(&b));
		return;
	}
	sl_buf_init(&b, s->error, sizeof(s->error));
	sl_buf_add(&b, why);
	sl_buf_init(&t, whose, sizeof(whose));
	add_request(&t, s);
	name = g->fn[s->fn & ~CALL_FN_PER_THREAD].name;
	sl_buf_init(&b, text, sizeof(text));
	sl_buf_printf(&b, script_is_service(s->kind) ? "Lua %s '<lua.%.200s>': " : "Lua %s '%.200s': ",
		kind_name(s->kind), name);
	why.len = sl_min(why.len, REPORT - 2 - b.len - t.len);
	sl_buf_printf(&b, "%.*s.%.*s", SL_STR_ARG(why), SL_STR_ARG(sl_buf_str(&t)));
	script_emit(SL_ALERT, sl_buf_str(&b));
}

static void
fail(struct script_run *r, int rc)
{
	struct call_slot *s = r->call.slot;
	char text[900];
	struct sl_buf b;

	if (r->kill == KILL_DONE) {
		if (s != NULL)
			s->end = CALL_OK;
		return;
	}
	if (r->kill == KILL_CANCEL) {
		if (s != NULL)
			s->end = CALL_CANCELLED;
		return;
	}
	if (s != NULL)
		s->end = r->kill != KILL_NONE ? CALL_EXHAUSTED : CALL_ERROR;
	sl_buf_init(&b, text, sizeof(text));
	add_error(r, rc, &b);
	report(s, r->call.gen, sl_buf_str(&b));
}

/* ---- life of a run ---- */

/* A call that no coroutine takes: seen like any other that failed. */
static struct script_run *
refused(struct call_slot *s, uint16_t pair, const char *why)
{
	const struct script_gen *g = s->model->lua;
	uint32_t fn = s->fn & ~CALL_FN_PER_THREAD;

	if (fn >= g->nfn)
		return NULL;
	report(s, g, sl_str_c(why));
	if (g->count[pair] != NULL) {
		counter_inc(&g->count[pair][fn].calls);
		counter_inc(&g->count[pair][fn].us_10);
		counter_inc(&g->count[pair][fn].errors);
	}
	return NULL;
}

struct script_run *
run_start(struct script_state *st, struct call_slot *s, uint16_t pair)
{
	uint32_t fn = s->fn & ~CALL_FN_PER_THREAD;
	struct script_run *r;

	s->act = 0; // act.CONTINUE
	s->value.type = T_ANY;
	s->error[0] = '\0';
	s->cpu_us = 0;
	s->instructions = 0;
	s->end = CALL_ERROR;
	s->svc_started = s->svc_eof = false;
	if (st == NULL || fn >= st->nref || st->ref[fn] == LUA_NOREF)
		return refused(s, pair, "its script thread has no state that knows it");
	r = run_get(st);
	if (st->thread->gone)
		return NULL;
	if (r == NULL)
		return refused(s, pair, "out of memory error");
	r->call.slot = s;
	s->view.rand = &r->call.rand;
	st->active++;
	r->kind = s->kind;
	r->asked = false;
	r->preempt = s->kind == 'a' || script_is_service(s->kind);
	budget_start(r);
	lua_pushcfunction(r->co, run_entry);
	lua_pushlightuserdata(r->co, r);
	r->narg = 1;
	return r;
}

/* While a call runs the slot may be the worker's (CALL_ASK): this is written at its end. */
static void
take_cost(struct script_run *r)
{
	struct call_slot *s = r->call.slot;
	struct script_fn_count *c;

	if (s == NULL)
		return;
	s->cpu_us = r->cost_us;
	s->instructions = r->instr;
	c = r->st->gen->count[r->st->thread->pair];
	if (c == NULL)
		return; // a generation that was never made ready
	c += s->fn & ~CALL_FN_PER_THREAD;
	counter_inc(&c->calls);
	counter_add(&c->instructions, r->instr);
	counter_add(&c->cpu_us, r->cost_us);
	counter_inc(r->cost_us <= 10           ? &c->us_10
			: r->cost_us <= 100    ? &c->us_100
			: r->cost_us <= 1000   ? &c->ms_1
			: r->cost_us <= 10000  ? &c->ms_10
			: r->cost_us <= 100000 ? &c->ms_100
					      : &c->longer);
}

static void
count_error(struct script_run *r)
{
	struct call_slot *s = r->call.slot;
	struct script_fn_count *c = r->st->gen->count[r->st->thread->pair];

	if (s != NULL && c != NULL && (s->end == CALL_ERROR || s->end == CALL_EXHAUSTED))
		counter_inc(&c[s->fn & ~CALL_FN_PER_THREAD].errors);
}

bool
run_slice(struct script_run *r)
{
	struct script_state *st = r->st;

	if (r->kill == KILL_CANCEL) {
		run_cancel(r);
		return true;
	}
	st->running = r;
	st->blocked = 0;
	st->chain = false;
	st->wait = false;
	budget_slice_begin(r);
	st->thread->on = r->co;
	int rc = lua_resume(r->co, NULL, r->narg);
	st->thread->on = NULL;
	budget_slice_end(r);
	st->running = NULL;
	r->narg = 0;
	if (rc == LUA_YIELD) {
		// a plain coroutine.yield() of the script: as core.yield()
		if (!st->chain)
			lua_settop(r->co, 0);
		else if (st->wait)
			wait_begin(r);
		return false;
	}
	budget_end(r);
	take_cost(r);
	if (rc != LUA_OK) {
		fail(r, rc);
		count_error(r);
	} else if (r->call.slot != NULL) {
		r->call.slot->end = CALL_OK;
	}
	run_put(r, rc == LUA_OK);
	return true;
}

void
run_cancel(struct script_run *r)
{
	if (r->waiting)
		wait_forget(r);
	take_cost(r);
	if (r->call.slot != NULL)
		r->call.slot->end = CALL_CANCELLED;
	run_put(r, false);
}

/* ---- what lua/api asks for ---- */

int
script_done(lua_State *L, int value)
{
	struct script_run *r = script_state_of(L)->running;
	struct call_slot *s;

	if (r == NULL)
		return luaL_error(L, "core.done() outside of a call");
	s = r->call.slot;
	if (s != NULL && s->kind == 'a' && value > 0)
		s->act = (int32_t)script_to_int(L, value);
	if (s != NULL && (s->kind == 'f' || s->kind == 'c') && value != SCRIPT_NO_VALUE) {
		if (value > 0)
			lua_pushvalue(L, value);
		else
			lua_pushboolean(L, false);
		take_value(L, s);
	}
	return budget_raise(r, L, KILL_DONE);
}

int64_t
script_to_int(lua_State *L, int idx)
{
	int ok;
	lua_Integer i;

	if (lua_type(L, idx) == LUA_TBOOLEAN)
		return lua_toboolean(L, idx);
	if (lua_type(L, idx) != LUA_TNUMBER)
		return 0;
	i = lua_tointegerx(L, idx, &ok);
	return ok ? i : 0; // 3.99 too, as HAProxy 2.6 does
}
