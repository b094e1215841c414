// SPDX-License-Identifier: BSD-3-Clause
/*
 * A script thread that is stuck in a C function: detected, abandoned, replaced.
 *
 * Runs on: main, every SCRIPT_WATCH_MS.
 * A thread cannot be killed, it may hold locks. So it keeps everything that it can reach (rings, slots,
 * states) and a successor gets fresh ones; what the requests lose is decided by their policies. It may
 * come back at any time: `slice` decides who was first, by one compare-and-swap on either side. A
 * thread that has lost touches nothing any more but its own, and ends.
 * Stuck is who started no slice and executed no instruction for tune.lua.stuck-timeout, although it had
 * the CPU or did not want it: a thread that is runnable and not scheduled is only starved.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "control/io/sock.h"
#include "control/script/script_priv.h"

#define sched script_sched

static uint64_t
cpu_us_of(const struct script_thread *t)
{
	struct timespec ts;
	clockid_t clock;

	if (pthread_getcpuclockid(t->tid, &clock) != 0 || clock_gettime(clock, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Does it wait for a CPU? The third word of its stat file, behind the name in parentheses. */
static bool
is_runnable(struct script_thread *t)
{
	char text[128];
	const char *p;
	ssize_t n = pread(atomic_load(&t->stat_fd), text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	p = strrchr(text, ')');
	return p != NULL && p[1] == ' ' && p[2] == 'R';
}

static bool
is_stuck(struct script_thread *t, uint64_t now)
{
	uint64_t slice = atomic_load_explicit(&t->slice, memory_order_acquire);
	uint64_t beats = counter_get(&t->beats);

	if ((slice & 1) == 0 || slice != t->seen_slice || beats != t->seen_beats) {
		t->seen_slice = slice;
		t->seen_beats = beats;
		t->seen_us = now;
		t->seen_cpu_us = cpu_us_of(t);
		return false;
	}
	uint64_t limit = (uint64_t)sched.spec.stuck_ms * 1000;
	if (now - t->seen_us < limit)
		return false;
	return !is_runnable(t) || cpu_us_of(t) - t->seen_cpu_us >= limit / 2;
}

static void
forget(const struct script_thread *t, struct script_gen *g, uint32_t i)
{
	if (g->state[i] != NULL && g->state[i]->thread == t)
		g->state[i] = NULL;
}

/*
 * In every generation: an old one still has calls, and is asked to close what it lists. Of the thread's
 * place only: what others list is theirs.
 */
void
watch_forget(const struct script_thread *t)
{
	for (struct script_gen *g = sched.gens; g != NULL; g = g->next) {
		if (t->id == 0)
			forget(t, g, 0);
		forget(t, g, t->id + 1u);
	}
}

static bool
has_states(const struct script_gen *g, uint16_t id)
{
	return g->state[id + 1] != NULL || (id == 0 && g->state[0] != NULL);
}

/*
 * What the thread was told and had not come round to is told to its successor: the states that no thread
 * ever ran are still listed.
 */
static void
hand_over(const struct script_thread *old, struct script_thread *succ)
{
	for (struct script_gen *g = sched.gens; g != NULL; g = g->next) {
		if (!g->retiring && succ != NULL)
			task_publish(g, succ);
		else if (g->retiring && succ != NULL && has_states(g, old->id))
			task_retire(g, succ);
		else if (g->retiring)
			atomic_store_explicit(&g->closed[old->id], true, memory_order_release);
	}
}

/* A thread on rings of its own; NULL: there can be none. */
static struct script_thread *
successor(const struct script_thread *old, struct call_spare **sp)
{
	uint16_t pair = (uint16_t)(sched.n + sched.nspare);
	struct script_thread *t = NULL;
	bool ok = sched.nspare < SCRIPT_SPARE;

	for (uint16_t w = 0; w < sched.spec.nlcores; w++)
		sp[w] = NULL;
	for (uint16_t w = 0; w < sched.spec.nlcores && ok; w++) {
		sp[w] = call_spare_new(w, pair, sched.spec.call_slots, sched.spec.lc[w]->socket);
		ok = sp[w] != NULL;
	}
	ok = ok && sched_thread_new(old->id, pair, &t) == 0;
	if (ok) {
		t->boot = sched.gens;
		while (t->boot != NULL && t->boot->retiring)
			t->boot = t->boot->next;
		ok = sched_thread_run(t) == 0;
	}
	if (ok) {
		sched.nspare++;
		return t;
	}
	for (uint16_t w = 0; w < sched.spec.nlcores; w++) {
		if (sp[w] != NULL)
			call_spare_free(sp[w]);
	}
	if (t != NULL)
		sched_thread_free(t, &(int){ 0 }); // it never ran
	return NULL;
}

static void
say(const struct script_thread *t, bool replaced)
{
	char text[256];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	sl_buf_printf(&b, "script thread %u is stuck in a C function for more than %u ms: ", t->id,
		sched.spec.stuck_ms);
	sl_buf_addc(&b,
		replaced ? "it is abandoned, and another takes over with fresh states"
			 : "it is abandoned, and none takes over: policies answer its calls"
			   " from now on");
	script_emit(SL_ALERT, sl_buf_str(&b));
}

/* Moves in their order: one whose turn has not come waits for the next tick. */
static void
tell_workers(void)
{
	for (uint16_t w = 0; w < sched.spec.nlcores; w++) {
		struct script_moves *v = &sched.moves[w];

		while (v->out < v->in && sched.spec.tell(sched.spec.tell_ctx, w, &v->m[v->out]))
			v->out++;
	}
}

void
watch_fini(void)
{
	for (uint16_t w = 0; w < sched.spec.nlcores; w++) {
		struct script_moves *v = &sched.moves[w];

		for (; v->out < v->in; v->out++) {
			if (v->m[v->out].w[3] != 0)
				call_spare_free((struct call_spare *)(uintptr_t)v->m[v->out].w[3]);
		}
	}
}

static void
abandon(struct script_thread *t)
{
	struct call_spare *sp[LCORE_MAX];
	uint64_t slice = t->seen_slice;
	struct script_thread *succ;

	if (!atomic_compare_exchange_strong_explicit(
		    &t->slice, &slice, SLICE_GONE, memory_order_acq_rel, memory_order_acquire))
		return; // it came back this moment
	watch_forget(t);
	t->last_gen = sched.published;
	counter_inc(&t->cnt->abandoned);
	atomic_store_explicit(&t->cnt->left, true, memory_order_relaxed);
	t->next = sched.abandoned;
	sched.abandoned = t;
	succ = successor(t, sp);
	sched.thread[t->id] = succ;
	hand_over(t, succ);
	for (uint16_t w = 0; w < sched.spec.nlcores; w++) {
		struct script_moves *v = &sched.moves[w];

		v->m[v->in++] = (struct xmsg){ .w = { XMSG_SCRIPT_MOVED, t->id,
						       succ != NULL ? succ->pair : UINT64_MAX,
						       (uintptr_t)(succ != NULL ? sp[w] : NULL) } };
	}
	tell_workers();
	io_socks_cut(sched.spec.socks, t->poll); // it will not close them
	say(t, succ != NULL);
}

uint32_t
script_stuck(void)
{
	uint32_t n = 0;

	for (struct script_thread *t = sched.abandoned; t != NULL; t = t->next)
		n += !atomic_load_explicit(&t->exited, memory_order_acquire);
	return n;
}

bool
script_gen_is_held(const struct script_gen *g)
{
	for (struct script_thread *t = sched.abandoned; t != NULL; t = t->next) {
		if (g->number != 0 && g->number <= t->last_gen &&
			!atomic_load_explicit(&t->exited, memory_order_acquire))
			return true;
	}
	return false;
}

void
script_watch(void)
{
	uint64_t now = script_now_us();

	if (sched.spec.tell == NULL || sched.spec.stuck_ms == 0)
		return;
	tell_workers();
	for (uint16_t i = 0; i < sched.n; i++) {
		if (sched.thread[i] != NULL && is_stuck(sched.thread[i], now))
			abandon(sched.thread[i]);
	}
	// who came back has closed what it had; the io thread's last word of that may come after its end
	for (struct script_thread *t = sched.abandoned; t != NULL; t = t->next) {
		if (atomic_load_explicit(&t->exited, memory_order_acquire))
			notes_run(t);
	}
}
