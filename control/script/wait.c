// SPDX-License-Identifier: BSD-3-Clause
/*
 * Waiting: a coroutine that stands still until somebody wakes it or time is over, and what ends with
 * a call.
 *
 * Runs on: the script thread that owns the state.
 * A wait that ends early (cancellation, a limit, the end of the state) forgets its struct script_wait
 * first, so that a late script_wake() finds nobody.
 * Not here: the run queues (sched.c), messages of other threads (note.c).
 */
#include "control/script/script_priv.h"

/* ---- from Lua ---- */

bool
script_can_wait(lua_State *L)
{
	struct script_state *st = script_state_of(L);

	return st->running != NULL && st->blocked == 0 && lua_isyieldable(L);
}

void
script_check_wait(lua_State *L, const char *what)
{
	if (script_can_wait(L))
		return;
	luaL_error(L, "%s: cannot wait here: %s", what,
		script_state_of(L)->running == NULL
			? "not in a call or a task"
			: "below a C function such as table.sort or string.gsub, or in __gc");
}

int
script_wait(lua_State *L, struct script_wait *w, uint64_t ms, const char *what, script_k k,
	intptr_t ctx)
{
	struct script_state *st = script_state_of(L);

	script_check_wait(L, what);
	if (w != NULL && w->run != NULL)
		return luaL_error(L, "%s: another coroutine waits for the same", what);
	if (w != NULL)
		*w = (struct script_wait){ .run = st->running };
	st->chain = true;
	st->wait = true;
	st->wait_for = w;
	st->wait_ms = ms;
	return lua_yieldk(L, 0, ctx, k);
}

int
script_ask(lua_State *L, struct script_call *c, enum call_ask ask, const char *what, script_k k,
	intptr_t ctx)
{
	struct script_run *r = sl_container_of(c, struct script_run, call);

	script_check_wait(L, what);
	sl_assert(r == r->st->running && !r->asked);
	c->slot->ask = ask;
	r->asked = true;
	sched_ask(r);
	return script_wait(L, &r->told, SCRIPT_FOREVER, what, k, ctx);
}

int
script_sleep(lua_State *L, uint64_t ms)
{
	return script_wait(L, NULL, ms, "sleep", NULL, 0);
}

int
script_yield(lua_State *L)
{
	if (!script_can_wait(L))
		return 0;
	script_state_of(L)->chain = true;
	return lua_yield(L, 0);
}

/* ---- the wait of a run ---- */

static void
on_time(void *ctx sl_unused, struct wheel_timer *t)
{
	struct script_run *r = sl_container_of(t, struct script_run, timer);

	wait_forget(r);
	sched_ready(r);
}

void
wait_init(struct script_run *r)
{
	wheel_timer_init(&r->timer, on_time);
	sl_list_init(&r->scoped);
}

void
wait_begin(struct script_run *r)
{
	struct script_state *st = r->st;
	uint64_t ms = sl_min(st->wait_ms, (uint64_t)INT32_MAX);

	r->waiting = true;
	budget_wait_begin(r, ms);
	r->wait = st->wait_for;
	// at least so long; a wait for ever has no timer
	if (st->wait_ms != SCRIPT_FOREVER)
		wheel_arm(&st->thread->wheel, &r->timer,
			sched_tick(script_now_us() + sl_max(ms, (uint64_t)1) * 1000 + 999));
}

void
wait_forget(struct script_run *r)
{
	if (r->wait != NULL)
		r->wait->run = NULL;
	r->wait = NULL;
	if (r->waiting)
		budget_wait_end(r);
	r->waiting = false;
	if (r->timer.deadline != TICK_NONE)
		wheel_cancel(&r->st->thread->wheel, &r->timer);
}

void
script_wake(struct script_wait *w)
{
	struct script_run *r = w->run;

	if (r == NULL)
		return;
	w->woken = true;
	if (!r->waiting) { // still on its way into the wait: as if it had just begun
		w->run = NULL;
		r->st->wait = false;
		r->st->wait_for = NULL;
		return;
	}
	wait_forget(r);
	sched_ready(r);
}

/* ---- scopes ---- */

static struct sl_list *
scope_of(lua_State *L)
{
	struct script_state *st = script_state_of(L);

	return st->running != NULL ? &st->running->scoped : &st->scoped;
}

const void *
script_scope(lua_State *L)
{
	return scope_of(L);
}

void
script_scope_add(lua_State *L, struct script_scoped *s)
{
	sl_list_add_tail(scope_of(L), &s->node);
}

void
script_scope_del(struct script_scoped *s)
{
	if (s->node.next == NULL)
		return;
	sl_list_del(&s->node);
	s->node.next = NULL;
}

void
scope_end(struct sl_list *scoped, bool clean)
{
	while (!sl_list_is_empty(scoped)) {
		struct script_scoped *s = sl_list_first(scoped, struct script_scoped, node);

		script_scope_del(s);
		s->end(s, clean);
	}
}
