// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tasks: coroutines that serve no call.
 *
 * Runs on: the loader (bodies register), then the script thread that owns the state.
 * Follows: HAProxy's core.register_task: in a body the task starts when the scheduler does, at run
 * time soon; it runs once. tune.lua.task-timeout bounds its CPU time, and by default nothing does.
 */
#include <stdlib.h>

#include "control/script/script_priv.h"

int
script_task(lua_State *L, int nargs)
{
	struct script_state *st = script_state_of(L);
	int fn = lua_gettop(L) - nargs;
	struct script_run *r;
	lua_State *co;
	int ref;

	if (st->ntasks >= SCRIPT_TASKS) {
		lua_settop(L, fn - 1);
		return -ENOSPC;
	}
	co = lua_newthread(L);
	ref = luaL_ref(L, LUA_REGISTRYINDEX);
	r = calloc(1, sizeof(*r));
	if (r == NULL || !lua_checkstack(co, nargs + 1)) {
		free(r);
		luaL_unref(L, LUA_REGISTRYINDEX, ref);
		lua_settop(L, fn - 1);
		return -ENOMEM;
	}
	lua_xmove(L, co, nargs + 1);
	r->st = st;
	r->kind = 't';
	r->preempt = true;
	r->co = co;
	r->co_ref = ref;
	r->narg = nargs;
	r->call.gen = st->gen;
	rand_seed(&r->call.rand, script_now_us() ^ (uintptr_t)r);
	wait_init(r);
	budget_start(r);
	sl_list_add_tail(&st->runs, &r->all);
	st->ntasks++;
	st->active++;
	if (st->thread != NULL)
		sched_ready(r);
	else
		sl_list_add_tail(&st->newborn, &r->node);
	return 0;
}

/* The state is the thread's own from now on, and its tasks start. */
static void
adopt_state(struct script_thread *t, struct script_state *st)
{
	if (st == NULL)
		return;
	if (st->thread == NULL)
		sched_own(t, st);
	while (!sl_list_is_empty(&st->newborn)) {
		struct script_run *r = sl_list_first(&st->newborn, struct script_run, node);

		sl_list_del(&r->node);
		sched_ready(r);
	}
}

void
task_adopt(struct script_gen *g, struct script_thread *t)
{
	if (t->gone)
		return;
	if (t->id == 0)
		adopt_state(t, g->state[0]);
	adopt_state(t, g->state[t->id + 1]);
}

static void
on_adopt(struct script_note *n)
{
	struct script_adopt *a = sl_container_of(n, struct script_adopt, note);

	task_adopt(a->gen, a->thread);
}

static void
retire_state(struct script_state *st)
{
	if (st == NULL)
		return;
	st->retired = true;
	sl_list_foreach(n, &st->runs) {
		struct script_run *r = sl_list_entry(n, struct script_run, all);

		if (r->kind != 't' || r->kill != KILL_NONE)
			continue;
		r->kill = KILL_CANCEL;
		if (!r->waiting)
			continue; // in a queue: it ends with its next turn
		wait_forget(r);
		sched_ready(r);
	}
	sched_reap(st);
}

static void
on_retire(struct script_note *n)
{
	struct script_adopt *a = sl_container_of(n, struct script_adopt, note);
	uint16_t id = a->thread->id;

	if (a->thread->gone)
		return; // main has seen to it
	bool none = a->gen->state[id + 1] == NULL && (id != 0 || a->gen->state[0] == NULL);

	if (none) {
		atomic_store_explicit(&a->gen->closed[id], true, memory_order_release);
		return;
	}
	task_adopt(a->gen, a->thread); // one that no call came to
	if (id == 0 && a->gen->state[id + 1] != NULL && a->gen->state[0] != NULL) {
		// both are looked at before either closes: the last one counts
		a->gen->state[0]->retired = true;
	}
	retire_state(a->gen->state[id + 1]);
	if (id == 0 && !a->thread->gone)
		retire_state(a->gen->state[0]);
}

static void
post(struct script_adopt *a, struct script_gen *g, struct script_thread *t,
	void (*fn)(struct script_note *n))
{
	a->gen = g;
	a->thread = t;
	a->note.fn = fn;
	script_post(t, &a->note);
}

void
task_publish(struct script_gen *g, struct script_thread *t)
{
	post(&g->adopt[t->pair], g, t, on_adopt);
}

void
task_retire(struct script_gen *g, struct script_thread *t)
{
	post(&g->retire[t->pair], g, t, on_retire);
}
