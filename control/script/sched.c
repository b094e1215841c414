// SPDX-License-Identifier: BSD-3-Clause
/*
 * Script threads: take calls from the rings of all workers, run coroutines in slices, answer.
 *
 * Runs on: one thread per script thread; start, stop and statistics on main.
 * New calls run before those that used up a slice, and one of the latter runs per round: a script
 * that loops delays a short one by one slice at most.
 * Idle: lets others on its CPU go first, such as those for whom scripts wait, then spins 50 us, then naps
 * while calls came within 10 ms, then blocks. A wake-up costs the packet worker a system call (13-17 us), so
 * the thread stays awake while there is traffic; but not on a CPU that others want all the time: there it
 * blocks at once.
 * A server that answers wakes nobody and interrupts nobody as long as this thread is only behind it in the
 * kernel's queue: it serves what all scripts asked, and then all its answers are here.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_pause.h>

#include "control/io/sock.h"
#include "control/script/script_priv.h"

#define YIELDS   8
#define SPIN_US  50
#define NAP_US   50
#define AWAKE_US 10000  // naps instead of blocking after the last call
#define TAKEN_US 300    // so much later than expected: others had the CPU
#define BUSY_US  500000 // so long it counts as wanted by others
#define ROUND    64     // new calls between two looks at the rings
#define TOGETHER 8      // of these between two sched_give()
#define TIMERS   256    // and timers
#define ROUNDS   4      // busy ones between two looks at sockets for which something is to come
#define SELDOM   256    // and where there are only idle ones, if any
#define STOP_MS  500    // what all threads together have to end
#define BACK_MS  50     // of it for one that was stuck

struct script_sched script_sched;
#define sched script_sched

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
		counter_inc(&t->cnt->exhausted);
	else if (s->end == CALL_CANCELLED)
		counter_inc(&t->cnt->cancelled);
	else if (s->end == CALL_ERROR)
		counter_inc(&t->cnt->errors);
	counter_add(&t->cnt->cpu_us, s->cpu_us);
	t->place[s->worker][s->index].run = NULL;
	t->dirty[s->worker] = true;
	if (!xring_push(&lc->script[t->pair].to, &m))
		sl_assert(0); // the ring has an entry for each slot
}

static void
take_call(struct script_thread *t, struct call_slot *s)
{
	struct script_state *st = script_state_for(s->model->lua, s->fn, t->id);
	struct script_run *r;

	atomic_store_explicit(&s->taken, true, memory_order_release);
	if (st != NULL && st->thread == NULL)
		sched_own(t, st);
	r = run_start(st, s, t->pair);
	if (t->gone)
		return;
	counter_inc(&t->cnt->calls);
	if (r == NULL) {
		answer(t, s);
		return;
	}
	t->place[s->worker][s->index] = (struct place){ .run = r, .seq = s->seq };
	counter_inc(&t->cnt->running);
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
	if (!xring_push(&sched.spec.lc[s->worker]->script[t->pair].to, &m))
		sl_assert(0); // the ring has four entries for each slot
}

static void
put_runaway(struct script_thread *t, struct script_run *r)
{
	counter_add(&t->cnt->runaways, !r->runaway);
	r->runaway = true;
	sl_list_add_tail(&t->runaway, &r->node);
}

void
sched_ready(struct script_run *r)
{
	if (budget_is_runaway(r))
		put_runaway(r->st->thread, r);
	else
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
		struct xring *r = &sched.spec.lc[i]->script[t->pair].from;
		while (!t->gone && xring_pop(r, &m)) {
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

void
sched_own(struct script_thread *t, struct script_state *st)
{
	st->thread = t;
	sl_list_add_tail(&t->states, &st->node);
}

/*
 * Whoever runs Lua, and finalizers are Lua, is between the two: main may take the thread's place away
 * meanwhile.
 */
void
sched_enter(struct script_thread *t)
{
	uint64_t at = atomic_load_explicit(&t->slice, memory_order_relaxed);

	sl_assert(!t->gone && (at & 1) == 0);
	counter_inc(&t->beats);
	atomic_store_explicit(&t->slice, at + 1, memory_order_release);
}

/* false: it did. Then the run, its slot, the rings and the lists of states are nobody's any more. */
bool
sched_leave(struct script_thread *t)
{
	uint64_t at = atomic_load_explicit(&t->slice, memory_order_relaxed);

	t->gone = at == SLICE_GONE ||
		!atomic_compare_exchange_strong_explicit(
			&t->slice, &at, at + 1, memory_order_acq_rel, memory_order_acquire);
	return !t->gone;
}

static void
wake_workers(struct script_thread *t)
{
	for (uint16_t i = 0; i < sched.spec.nlcores; i++) {
		if (t->dirty[i])
			waker_wake(&sched.spec.lc[i]->waker);
		t->dirty[i] = false;
	}
}

void
sched_give(struct script_thread *t)
{
	io_poll_flush(t->poll);
	wake_workers(t);
}

void
sched_reap(struct script_state *st)
{
	struct script_gen *g = st->gen;
	struct script_thread *t = st->thread;

	if (!st->retired || st->active > 0)
		return;
	g->state[st->id] = NULL;
	sl_list_del(&st->node);
	sched_give(t); // who was answered need not wait for finalizers
	sched_enter(t);
	vm_free(st);
	if (!sched_leave(t))
		return; // main has seen to the rest
	if ((t->id != 0 || g->state[0] == NULL) && g->state[t->id + 1] == NULL)
		atomic_store_explicit(&g->closed[t->id], true, memory_order_release);
}

/* false: its place was taken away. */
static bool
slice(struct script_thread *t, struct script_run *r, bool *ended)
{
	sched_enter(t);
	*ended = run_slice(r);
	return sched_leave(t);
}

/* Where a run that goes on waits for its next turn. */
static void
put_back(struct script_thread *t, struct script_run *r)
{
	if (r->waiting)
		return;
	if (budget_is_runaway(r))
		put_runaway(t, r);
	else
		sl_list_add_tail(&t->used, &r->node);
}

static void
run_one(struct script_thread *t, struct sl_list *from)
{
	struct script_run *r = sl_list_first(from, struct script_run, node);
	struct script_state *st = r->st;
	struct call_slot *s = r->call.slot;
	bool ended, runaway = r->runaway;
	uint64_t begin = runaway ? script_cpu_us() : 0;

	sl_list_del(&r->node);
	counter_inc(&t->cnt->slices);
	if (!slice(t, r, &ended))
		return;
	if (runaway)
		counter_add(&t->cnt->runaway_us, script_cpu_us() - begin);
	if (runaway && (ended || r->waiting)) {
		counter_dec(&t->cnt->runaways);
		if (!ended)
			r->runaway = false;
	}
	if (!ended) {
		weight_used(t, r);
		put_back(t, r);
	} else if (s != NULL) {
		weight_used(t, r);
		counter_dec(&t->cnt->running);
		answer(t, s);
	}
	atomic_store_explicit(&t->cnt->tasks, st->ntasks, memory_order_relaxed);
	atomic_store_explicit(&t->cnt->memory_kb, (st->used + st->held) >> 10, memory_order_relaxed);
	if (ended)
		sched_reap(st);
}

/*
 * One of those that run on and on, if their share of the time allows it. In time of the CPU: where others
 * have it most of the time, the share of what is left must not become next to nothing.
 */
static void
run_runaway(struct script_thread *t)
{
	struct script_run *r;
	uint64_t from;
	uint32_t share;

	if (sl_list_is_empty(&t->runaway))
		return;
	if (script_now_us() < t->runaway_us)
		return;
	from = script_cpu_us();
	r = sl_list_first(&t->runaway, struct script_run, node);
	share = r->st->gen->share;
	run_one(t, &t->runaway);
	t->runaway_us = script_now_us() + (script_cpu_us() - from) * (100 - share) / share;
}

/* A look at the sockets is a system call: when there is nothing else to do, and now and then. */
static bool
run_sockets(struct script_thread *t)
{
	bool wait = io_poll_waiting(t->poll) > 0;

	if ((!wait || !sl_list_is_empty(&t->fresh)) && ++t->unpolled < (wait ? ROUNDS : SELDOM))
		return false;
	t->unpolled = 0;
	return io_poll_run(t->poll) != 0;
}

/* One round; false: there was nothing to do but for runaways. */
static bool
round_once(struct script_thread *t)
{
	bool busy = notes_run(t) != 0;

	if (!t->gone)
		busy |= drain(t) != 0;
	if (t->gone)
		return true;
	busy |= run_sockets(t) && notes_run(t) != 0;
	if (t->gone)
		return true;
	run_timers(t);
	for (uint32_t i = 0; i < ROUND && !sl_list_is_empty(&t->fresh) && !t->gone; i++) {
		run_one(t, &t->fresh);
		busy = true;
		if (i % TOGETHER == TOGETHER - 1 && !t->gone)
			sched_give(t);
	}
	if (!sl_list_is_empty(&t->used) && !t->gone) {
		run_one(t, &t->used);
		busy = true;
	}
	if (!t->gone)
		run_runaway(t);
	if (!t->gone)
		sched_give(t);
	return busy;
}

static bool
has_message(const struct script_thread *t)
{
	if (notes_waiting(t))
		return true;
	for (uint16_t i = 0; i < sched.spec.nlcores; i++) {
		if (xring_count(&sched.spec.lc[i]->script[t->pair].from) != 0)
			return true;
	}
	return false;
}

/* Microseconds until a timer may be due, or a runaway may run. */
static uint64_t
until_due(const struct script_thread *t)
{
	uint32_t ms = wheel_next_ms(&t->wheel);
	uint64_t us = ms != UINT32_MAX ? (uint64_t)ms * 1000 : UINT64_MAX;

	if (!sl_list_is_empty(&t->runaway)) {
		uint64_t now = script_now_us();
		us = sl_min(us, t->runaway_us > now ? t->runaway_us - now : 0);
	}
	return sl_min(us, weight_until(t));
}

/* Looks whether the CPU was taken away since the last idle moment, which was to last for `us`. */
static bool
is_wanted(struct script_thread *t, uint64_t now, uint64_t us)
{
	if (t->idle_us != 0 && now - t->idle_us > us + TAKEN_US)
		t->wanted_us = now + BUSY_US;
	t->idle_us = now;
	return now < t->wanted_us;
}

static void
idle(struct script_thread *t)
{
	uint64_t now, quiet;
	bool wanted;

	if (t->yields < YIELDS) {
		t->yields++;
		t->idle_us = 0; // what others take is given
		sched_yield();
		return;
	}
	now = script_now_us();
	quiet = now - t->last_us;
	wanted = is_wanted(t, now, 0);
	if (quiet < SPIN_US && !wanted) {
		rte_pause();
		return;
	}
	if (quiet < AWAKE_US && !wanted) {
		io_poll_wait(t->poll, NAP_US);
		is_wanted(t, script_now_us(), NAP_US);
		return;
	}
	t->idle_us = 0;
	waker_prepare(&t->waker);
	if (has_message(t) || atomic_load(&t->stop)) {
		waker_cancel(&t->waker);
		return;
	}
	io_poll_wait(t->poll, until_due(t));
	counter_inc(&t->cnt->wakeups);
	if (has_message(t))
		t->last_us = script_now_us();
}

/* Main took its place away while it was in Lua: all that is left is to let go. */
static void
let_go(struct script_thread *t)
{
	notes_run(t);
	while (!sl_list_is_empty(&t->states)) {
		struct script_state *st = sl_list_first(&t->states, struct script_state, node);

		sl_list_del(&st->node);
		vm_free(st);
	}
	io_poll_flush(t->poll);
	notes_run(t);
}

static void *
thread_main(void *arg)
{
	struct script_thread *t = arg;
	char name[16];

	snprintf(name, sizeof(name), "sl-script-%u", t->id);
	pthread_setname_np(pthread_self(), name);
	prctl(PR_SET_TIMERSLACK, 1000ul); // ns; the default of 50 us doubles a nap
	weight_begin(t);
	tick_begin(t);
	atomic_store(&t->stat_fd, open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC));
	t->last_us = script_now_us();
	if (t->boot != NULL) {
		gen_remake(t->boot, t);
		task_adopt(t->boot, t);
	}
	while (!atomic_load_explicit(&t->stop, memory_order_acquire) && !t->gone) {
		if (unlikely(t->light_us != 0))
			weight_rest(t);
		if (round_once(t)) {
			t->last_us = script_now_us();
			t->idle_us = 0;
			t->yields = 0;
		} else if (!t->gone) {
			idle(t);
		}
	}
	if (t->gone)
		let_go(t);
	tick_end(t);
	atomic_store_explicit(&t->exited, true, memory_order_release);
	return NULL;
}

int
sched_thread_new(uint16_t id, uint16_t pair, struct script_thread **out)
{
	struct script_thread *t =
		aligned_alloc(SL_CACHE_LINE, SL_ALIGN_UP(sizeof(*t), (size_t)SL_CACHE_LINE));

	int rc;

	if (t == NULL)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	t->id = id;
	t->pair = pair;
	t->cnt = &sched.count[pair];
	atomic_store_explicit(&t->cnt->serves, (uint16_t)(id + 1), memory_order_release);
	sl_list_init(&t->fresh);
	sl_list_init(&t->used);
	sl_list_init(&t->runaway);
	sl_list_init(&t->states);
	wheel_init(&t->wheel, sched_tick(script_now_us()));
	t->waker.fd = -1;
	atomic_init(&t->stat_fd, -1);
	*out = t;
	for (uint16_t i = 0; i < sched.spec.nlcores; i++) {
		struct xpair *p = &sched.spec.lc[i]->script[pair];
		t->place[i] = calloc(p->to.mask + 1, sizeof(struct place));
		if (t->place[i] == NULL)
			return -ENOMEM;
		p->peer = &t->waker;
	}
	rc = waker_init(&t->waker);
	return rc < 0 ? rc : io_poll_new(&t->waker, &t->poll);
}

int
sched_thread_run(struct script_thread *t)
{
	pthread_attr_t attr;
	int rc = -pthread_attr_init(&attr);

	if (rc < 0)
		return rc;
	// successors are started by main, which has a CPU of its own
	if (sched.spec.cpus != NULL)
		rc = -pthread_attr_setaffinity_np(&attr, sizeof(*sched.spec.cpus), sched.spec.cpus);
	if (rc == 0)
		rc = -pthread_create(&t->tid, &attr, thread_main, t);
	pthread_attr_destroy(&attr);
	t->joinable = rc == 0;
	return rc;
}

/*
 * Whether it has ended, within what is left of *ms milliseconds. One that is still in C then is
 * abandoned (control/script/watch.c): it keeps what it has.
 */
static bool
ends(struct script_thread *t, int *ms)
{
	const struct timespec one = { .tv_nsec = 1000000 };
	uint64_t slice;

	// one that was abandoned before may be about to come back, but is not waited for
	int least = atomic_load(&t->slice) == SLICE_GONE ? *ms - BACK_MS : 0;

	for (; *ms > sl_max(least, 0) && !atomic_load(&t->exited); (*ms)--)
		nanosleep(&one, NULL);
	for (;;) {
		if (atomic_load(&t->exited))
			return true;
		slice = atomic_load_explicit(&t->slice, memory_order_acquire);
		if (slice == SLICE_GONE)
			return false;
		if ((slice & 1) == 0)
			return true; // between two slices, where it sees that it shall end
		if (atomic_compare_exchange_strong_explicit(&t->slice, &slice, SLICE_GONE,
			    memory_order_acq_rel, memory_order_acquire))
			return false;
	}
}

static void
ask_to_end(struct script_thread *t)
{
	atomic_store_explicit(&t->stop, true, memory_order_release);
	waker_wake(&t->waker);
}

void
sched_thread_free(struct script_thread *t, int *ms)
{
	if (t->joinable) {
		ask_to_end(t);
		if (!ends(t, ms)) {
			watch_forget(t);
			return;
		}
		pthread_join(t->tid, NULL);
	}
	for (uint16_t i = 0; i < sched.spec.nlcores; i++) {
		if (sched.spec.lc[i]->script[t->pair].peer == &t->waker)
			sched.spec.lc[i]->script[t->pair].peer = NULL;
		free(t->place[i]);
	}
	if (atomic_load(&t->stat_fd) >= 0)
		close(atomic_load(&t->stat_fd));
	io_poll_free(t->poll);
	waker_fini(&t->waker);
	free(t);
}

int
script_start(const struct script_spec *s)
{
	int rc = 0;

	sl_assert(sched.count == NULL);
	if (s->nthreads > SCRIPT_MAX || s->nlcores > LCORE_MAX)
		return -EINVAL;
	sched.spec = *s;
	atomic_store(&sched.may_idle, false); // script_settled() says
	weight_allow(&sched.spec);
	tick_allow();
	sched.count = aligned_alloc(SL_CACHE_LINE, SCRIPT_PAIRS * sizeof(*sched.count));
	if (sched.count == NULL)
		return -ENOMEM;
	memset(sched.count, 0, SCRIPT_PAIRS * sizeof(*sched.count));
	for (uint16_t i = 0; i < s->nthreads && rc == 0; i++) {
		sched.n++;
		rc = sched_thread_new(i, i, &sched.thread[i]);
	}
	for (uint16_t i = 0; i < s->nthreads && rc == 0; i++)
		rc = sched_thread_run(sched.thread[i]);
	if (rc < 0)
		script_stop();
	return rc;
}

void
script_publish(struct script_gen *g)
{
	gen_publish(g);
	for (uint16_t i = 0; i < sched.n; i++) {
		if (sched.thread[i] != NULL)
			task_publish(g, sched.thread[i]);
	}
}

void
script_retire(struct script_gen *g)
{
	g->retiring = true;
	for (uint16_t i = 0; i < sched.n; i++) {
		if (sched.thread[i] != NULL)
			task_retire(g, sched.thread[i]);
		else // abandoned without a successor: its states went with it
			atomic_store_explicit(&g->closed[i], true, memory_order_release);
	}
}

void
script_stop(void)
{
	struct script_thread *next;
	int ms = STOP_MS;

	for (uint16_t i = 0; i < sched.n; i++) {
		if (sched.thread[i] != NULL && sched.thread[i]->joinable)
			ask_to_end(sched.thread[i]); // all at once
	}
	for (uint16_t i = 0; i < sched.n; i++) {
		if (sched.thread[i] != NULL)
			sched_thread_free(sched.thread[i], &ms);
	}
	for (struct script_thread *t = sched.abandoned; t != NULL; t = next) {
		next = t->next;
		sched_thread_free(t, &ms);
	}
	watch_fini();
	free(sched.count);
	memset(&sched, 0, sizeof(sched));
}

const struct script_spec *
script_running(void)
{
	return sched.n != 0 ? &sched.spec : NULL;
}

struct io_socks *
script_socks(void)
{
	return sched.spec.socks;
}

uint16_t
script_count(void)
{
	return sched.n;
}

void
script_get_stats(uint16_t thread, struct script_stats *out)
{
	*out = (struct script_stats){ 0 };
	for (uint32_t i = 0; i < SCRIPT_PAIRS; i++) {
		struct script_count *c = &sched.count[i];

		if (atomic_load_explicit(&c->serves, memory_order_acquire) != thread + 1)
			continue;
#define X(sym, help) out->sym += counter_get(&c->sym);
		SCRIPT_SUMS(X)
		if (!atomic_load_explicit(&c->left, memory_order_relaxed)) {
			SCRIPT_GAUGES(X)
		}
#undef X
	}
}
