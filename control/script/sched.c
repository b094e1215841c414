// SPDX-License-Identifier: BSD-3-Clause
/*
 * Script threads: take calls from the rings of all workers, run coroutines in slices, answer.
 *
 * Runs on: one thread per script thread; start, stop and statistics on main.
 * New calls run before those that used up a slice, and one of the latter runs per round: a script
 * that loops delays a short one by one slice at most.
 * Idle: spins 50 us, then naps while calls came within 10 ms, then blocks. A wake-up costs the
 * packet worker a system call (13-17 us), so the thread stays awake while there is traffic.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <rte_pause.h>

#include "control/script/script_priv.h"

#define SPIN_US  50
#define NAP_US   50
#define AWAKE_US 10000 // naps instead of blocking after the last call
#define ROUND    64    // new calls between two looks at the rings
#define TIMERS   256   // and timers

/* Set by script_start() before the threads run. */
static struct {
	struct script_spec spec;
	struct script_thread *thread;
	uint16_t n;
} sched;

void
script_emit(enum sl_level level, struct sl_str text)
{
	if (sched.spec.log != NULL)
		sched.spec.log(sched.spec.log_ctx, level, text);
	else
		sl_log(level, "lua", "%.*s", SL_STR_ARG(text));
}

void
script_log(lua_State *L sl_unused, enum sl_level level, struct sl_str text)
{
	script_emit(level, text);
}

static void
answer(struct script_thread *t, struct call_slot *s)
{
	struct lcore *lc = sched.spec.lc[s->worker];
	struct xmsg m = { .w = { XMSG_CALL_DONE, (uintptr_t)s } };

	if (s->end == CALL_EXHAUSTED)
		counter_inc(&t->exhausted);
	else if (s->end == CALL_CANCELLED)
		counter_inc(&t->cancelled);
	else if (s->end == CALL_ERROR)
		counter_inc(&t->errors);
	counter_add(&t->cpu_us, s->cpu_us);
	t->place[s->worker][s->index].run = NULL;
	t->dirty[s->worker] = true;
	if (!xring_push(&lc->script[t->id].to, &m))
		sl_assert(0); // the ring has an entry for each slot
}

static void
take_call(struct script_thread *t, struct call_slot *s)
{
	struct script_state *st = script_state_for(s->model->lua, s->fn, t->id);
	struct script_run *r;

	if (st != NULL)
		st->thread = t;
	r = run_start(st, s);
	counter_inc(&t->calls);
	if (r == NULL) {
		answer(t, s);
		return;
	}
	t->place[s->worker][s->index] = (struct place){ .run = r, .seq = s->seq };
	counter_inc(&t->running);
	sl_list_add_tail(&t->fresh, &r->node);
}

/* The slot may be the worker's again: only our own notes are read. */
static void
take_cancel(struct script_thread *t, uint16_t worker, const struct xmsg *m)
{
	const struct call_slot *s = (const struct call_slot *)(uintptr_t)m->w[1];
	struct place *p = &t->place[worker][s->index];

	if (p->run == NULL || p->seq != (uint32_t)m->w[2] || p->run->kill != KILL_NONE)
		return;
	p->run->kill = KILL_CANCEL;
	if (p->run->waiting && !p->run->asked) { // it need not wait on
		wait_forget(p->run);
		sched_ready(p->run);
	}
}

/* The answer to a question: the slot is ours again. */
static void
take_told(struct script_thread *t, uint16_t worker, const struct xmsg *m)
{
	const struct call_slot *s = (const struct call_slot *)(uintptr_t)m->w[1];
	struct place *p = &t->place[worker][s->index];

	if (p->run == NULL || p->seq != (uint32_t)m->w[2] || !p->run->asked)
		return;
	p->run->asked = false;
	script_wake(&p->run->told);
}

void
sched_ask(struct script_run *r)
{
	struct script_thread *t = r->st->thread;
	struct call_slot *s = r->call.slot;
	struct xmsg m = { .w = { XMSG_CALL_ASK, (uintptr_t)s } };

	t->dirty[s->worker] = true;
	if (!xring_push(&sched.spec.lc[s->worker]->script[t->id].to, &m))
		sl_assert(0); // the ring has four entries for each slot
}

void
sched_ready(struct script_run *r)
{
	sl_list_add_tail(&r->st->thread->fresh, &r->node);
}

sl_tick
sched_tick(uint64_t us)
{
	return tick_add((sl_tick)(us / 1000), 0);
}

static void
run_timers(struct script_thread *t)
{
	// without timers nobody needs the wheel's date but who arms the next one
	if (t->wheel.armed > 0)
		wheel_advance(&t->wheel, sched_tick(script_now_us()), TIMERS, t);
}

static uint32_t
drain(struct script_thread *t)
{
	uint32_t n = 0;
	struct xmsg m;

	for (uint16_t i = 0; i < sched.spec.nlcores; i++) {
		struct xring *r = &sched.spec.lc[i]->script[t->id].from;
		while (xring_pop(r, &m)) {
			if ((m.w[0] & 0xffff) == XMSG_CALL)
				take_call(t, (struct call_slot *)(uintptr_t)m.w[1]);
			else if ((m.w[0] & 0xffff) == XMSG_CALL_CANCEL)
				take_cancel(t, i, &m);
			else if ((m.w[0] & 0xffff) == XMSG_CALL_TOLD)
				take_told(t, i, &m);
			n++;
		}
	}
	return n;
}

static void
run_one(struct script_thread *t, struct sl_list *from)
{
	struct script_run *r = sl_list_first(from, struct script_run, node);
	struct script_state *st = r->st;
	struct call_slot *s = r->call.slot;

	sl_list_del(&r->node);
	counter_inc(&t->slices);
	if (run_slice(r)) {
		if (s != NULL) {
			counter_dec(&t->running);
			answer(t, s);
		}
	} else if (!r->waiting) {
		sl_list_add_tail(&t->used, &r->node);
	}
	atomic_store_explicit(&t->tasks, st->ntasks, memory_order_relaxed);
	atomic_store_explicit(&t->memory_kb, st->used >> 10, memory_order_relaxed);
}

/* One round; false: there was nothing to do. */
static bool
round_once(struct script_thread *t)
{
	bool busy = notes_run(t) + drain(t) != 0;

	run_timers(t);
	for (uint32_t i = 0; i < ROUND && !sl_list_is_empty(&t->fresh); i++) {
		run_one(t, &t->fresh);
		busy = true;
	}
	if (!sl_list_is_empty(&t->used)) {
		run_one(t, &t->used);
		busy = true;
	}
	for (uint16_t i = 0; i < sched.spec.nlcores; i++) {
		if (t->dirty[i])
			waker_wake(&sched.spec.lc[i]->waker);
		t->dirty[i] = false;
	}
	return busy;
}

static bool
has_message(const struct script_thread *t)
{
	if (notes_waiting(t))
		return true;
	for (uint16_t i = 0; i < sched.spec.nlcores; i++) {
		if (xring_count(&sched.spec.lc[i]->script[t->id].from) != 0)
			return true;
	}
	return false;
}

/* Microseconds until a timer may be due. */
static uint64_t
until_timer(const struct script_thread *t)
{
	uint32_t ms = wheel_next_ms(&t->wheel);

	return ms != UINT32_MAX ? (uint64_t)ms * 1000 : UINT64_MAX;
}

static void
idle(struct script_thread *t)
{
	uint64_t quiet = script_now_us() - t->last_us;

	if (quiet < SPIN_US) {
		rte_pause();
		return;
	}
	if (quiet < AWAKE_US) {
		struct timespec ts = { .tv_nsec = NAP_US * 1000 };
		nanosleep(&ts, NULL);
		return;
	}
	waker_prepare(&t->waker);
	if (has_message(t) || atomic_load(&t->stop)) {
		waker_cancel(&t->waker);
		return;
	}
	waker_wait(&t->waker, until_timer(t));
	counter_inc(&t->wakeups);
	t->last_us = script_now_us();
}

static void *
thread_main(void *arg)
{
	struct script_thread *t = arg;
	char name[16];

	snprintf(name, sizeof(name), "sl-script-%u", t->id);
	pthread_setname_np(pthread_self(), name);
	prctl(PR_SET_TIMERSLACK, 1000ul); // ns; the default of 50 us doubles a nap
	// a thread's weight, not the process's: Linux counts by thread. Losing it is no failure
	if (setpriority(PRIO_PROCESS, (id_t)gettid(), sched.spec.nice) < 0)
		errno = 0;
	t->last_us = script_now_us();
	while (!atomic_load_explicit(&t->stop, memory_order_acquire)) {
		if (round_once(t))
			t->last_us = script_now_us();
		else
			idle(t);
	}
	return NULL;
}

static void
thread_fini(struct script_thread *t)
{
	if (t->joinable) {
		atomic_store_explicit(&t->stop, true, memory_order_release);
		waker_wake(&t->waker);
		pthread_join(t->tid, NULL);
	}
	for (uint16_t i = 0; i < sched.spec.nlcores; i++) {
		sched.spec.lc[i]->script[t->id].peer = NULL;
		free(t->place[i]);
	}
	waker_fini(&t->waker);
}

static int
thread_init(struct script_thread *t, uint16_t id)
{
	t->id = id;
	sl_list_init(&t->fresh);
	sl_list_init(&t->used);
	wheel_init(&t->wheel, sched_tick(script_now_us()));
	t->waker.fd = -1;
	for (uint16_t i = 0; i < sched.spec.nlcores; i++) {
		struct xpair *p = &sched.spec.lc[i]->script[id];
		t->place[i] = calloc(p->to.mask + 1, sizeof(struct place));
		if (t->place[i] == NULL)
			return -ENOMEM;
		p->peer = &t->waker;
	}
	return waker_init(&t->waker);
}

int
script_start(const struct script_spec *s)
{
	int rc = 0;

	sl_assert(sched.thread == NULL);
	if (s->nthreads > SCRIPT_MAX || s->nlcores > LCORE_MAX)
		return -EINVAL;
	sched.spec = *s;
	sched.thread = aligned_alloc(SL_CACHE_LINE, s->nthreads * sizeof(*sched.thread));
	if (sched.thread == NULL)
		return -ENOMEM;
	memset(sched.thread, 0, s->nthreads * sizeof(*sched.thread));
	for (uint16_t i = 0; i < s->nthreads && rc == 0; i++) {
		sched.n++;
		rc = thread_init(&sched.thread[i], i);
	}
	for (uint16_t i = 0; i < s->nthreads && rc == 0; i++) {
		rc = -pthread_create(&sched.thread[i].tid, NULL, thread_main, &sched.thread[i]);
		sched.thread[i].joinable = rc == 0;
	}
	if (rc < 0)
		script_stop();
	return rc;
}

void
script_publish(struct script_gen *g)
{
	for (uint16_t i = 0; i < sched.n; i++)
		task_publish(g, &sched.thread[i]);
}

void
script_stop(void)
{
	for (uint16_t i = 0; i < sched.n; i++)
		thread_fini(&sched.thread[i]);
	free(sched.thread);
	memset(&sched, 0, sizeof(sched));
}

const struct script_spec *
script_running(void)
{
	return sched.n != 0 ? &sched.spec : NULL;
}

uint16_t
script_count(void)
{
	return sched.n;
}

void
script_get_stats(uint16_t thread, struct script_stats *out)
{
	const struct script_thread *t = &sched.thread[thread];

	*out = (struct script_stats){
		.calls = counter_get(&t->calls),
		.errors = counter_get(&t->errors),
		.exhausted = counter_get(&t->exhausted),
		.cancelled = counter_get(&t->cancelled),
		.slices = counter_get(&t->slices),
		.wakeups = counter_get(&t->wakeups),
		.cpu_us = counter_get(&t->cpu_us),
		.running = (uint32_t)counter_get(&t->running),
		.tasks = (uint32_t)counter_get(&t->tasks),
		.memory_kb = (uint32_t)counter_get(&t->memory_kb),
	};
}
