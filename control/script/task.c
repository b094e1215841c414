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
	if (st->thread != NULL)
		sched_ready(r);
	else
		sl_list_add_tail(&st->newborn, &r->node);
	return 0;
}

/* On the thread: the generation's states are its own from now on, and their tasks start. */
static void
adopt_state(struct script_thread *t, struct script_state *st)
{
	if (st == NULL)
		return;
	st->thread = t;
	while (!sl_list_is_empty(&st->newborn)) {
		struct script_run *r = sl_list_first(&st->newborn, struct script_run, node);

		sl_list_del(&r->node);
		sched_ready(r);
	}
}

static void
on_adopt(struct script_note *n)
{
	struct script_adopt *a = sl_container_of(n, struct script_adopt, note);

	if (a->thread->id == 0)
		adopt_state(a->thread, a->gen->state[0]);
	adopt_state(a->thread, a->gen->state[a->thread->id + 1]);
}

void
task_publish(struct script_gen *g, struct script_thread *t)
{
	struct script_adopt *a = &g->adopt[t->id];

	a->gen = g;
	a->thread = t;
	a->note.fn = on_adopt;
	script_post(t, &a->note);
}
