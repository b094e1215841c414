// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a call may use: instructions, CPU time of the whole call, CPU time of one slice.
 *
 * Runs on: script threads, in the count hook of the running coroutine.
 * Follows: HAProxy's session-timeout and burst-timeout in CPU time; the instruction count is ours
 * and deterministic: the same script ends at the same count whatever the machine does.
 * A limit that was hit sticks: the hook then fires at every instruction, so pcall gets nowhere
 * (HAProxy lets pcall swallow it, and its watchdog ends the process).
 * A coroutine that a script makes pays in advance, first FRESH instructions, then as many as it has used so
 * far: a script that only makes short ones cannot get away with what each of them has left of a slice.
 * Without such a limit, calls of functions that were quick so far are counted only if they run for long
 * (tick.c).
 * Not here: the deadline of the waiting request (dataplane/proxy/call.c).
 */
#include <time.h>

#include "control/script/script_priv.h"

#define JOIN_PARTS 10
#define FRESH      100   // instructions that a new coroutine costs: making one takes as long
#define QUICK      32    // calls in a row from which on a function counts as quick
#define RUNAWAY    10000 // us of CPU time more than it waited, from which on it has its share

static uint64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t
script_now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t
script_cpu_us(void)
{
	return clock_us(CLOCK_THREAD_CPUTIME_ID);
}

/*
 * The CPU clock is a system call, the monotonic one is not. Most calls end before their first full
 * slice and never pay for it; from then on the CPU clock counts. What passed before is no reason to end a
 * call: a thread that was kept from its CPU, or a machine that stood still, has used none.
 */
static uint64_t
run_clock(const struct script_run *r)
{
	return clock_us(r->cpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC);
}

void
budget_slice_begin(struct script_run *r)
{
	r->slice_instr = 0;
	r->start_us = run_clock(r);
}

void
budget_slice_end(struct script_run *r)
{
	uint64_t now = run_clock(r);

	uint64_t us = now > r->start_us ? now - r->start_us : 0;
	r->cost_us += us;
	if (!r->cpu && us > BUDGET_FIRST_US) { // it was in C, or others had the CPU: exactly from now on
		r->cpu = true;
		us = BUDGET_FIRST_US;
	}
	r->cpu_us += us;
	r->since_us += us;
}

/* A wait forgives as much as it takes: 9 ms of work and 1 ms of sleep, over and over, is work. */
void
budget_wait_begin(struct script_run *r, uint64_t ms)
{
	r->wait_us = script_now_us();
	// not while others have the CPU, and all of it after a while
	r->wait_max_us = sl_min(ms + 1, (uint64_t)INT32_MAX) * 1000;
	r->since_us = sl_min(r->since_us, (uint64_t)2 * RUNAWAY);
}

void
budget_wait_end(struct script_run *r)
{
	uint64_t us = sl_min(script_now_us() - r->wait_us, r->wait_max_us);

	r->since_us -= sl_min(r->since_us, us);
}

bool
budget_is_runaway(const struct script_run *r)
{
	return r->since_us >= RUNAWAY && r->kill == KILL_NONE;
}

const char *
budget_why(enum script_kill why)
{
	switch (why) {
	case KILL_TIMEOUT:
		return "execution timeout";
	case KILL_BURST:
		return "burst timeout";
	case KILL_INSTR:
		return "instruction limit";
	case KILL_CANCEL:
		return "cancelled";
	default:
		return "done";
	}
}

static uint32_t
slice_of(const struct script_gen *g)
{
	return g->max_instr != 0 && g->max_instr < g->slice ? (uint32_t)g->max_instr : g->slice;
}

/* How finely coroutines that a script makes are counted. */
static uint32_t
part_of(const struct script_gen *g)
{
	return sl_max(slice_of(g) / JOIN_PARTS, 1u);
}

static bool
is_over(const struct script_run *r)
{
	const struct script_gen *g = r->call.gen;

	return g->max_instr != 0 && r->instr >= g->max_instr && r->kind != 't';
}

static enum script_kill
check(struct script_run *r)
{
	const struct script_gen *g = r->call.gen;

	if (is_over(r))
		return KILL_INSTR; // of a call: a task has no end
	if (r->instr - r->looked < part_of(g))
		return KILL_NONE; // the clock is a system call, and young coroutines come here often
	r->looked = r->instr;
	uint64_t now = run_clock(r);
	uint64_t us = now > r->start_us ? now - r->start_us : 0;
	if (!r->cpu) { // the wall says nothing of CPU time: judged from the next look on
		uint64_t cpu = clock_us(CLOCK_THREAD_CPUTIME_ID);

		us = sl_min(us, (uint64_t)BUDGET_FIRST_US);
		r->cpu = true;
		r->start_us = cpu > us ? cpu - us : 0;
		return KILL_NONE;
	}
	uint32_t all_ms = r->kind == 't'     ? g->task_ms
		: script_is_service(r->kind) ? g->service_ms
					     : g->session_ms;
	if (all_ms != 0 && r->cpu_us + us >= (uint64_t)all_ms * 1000)
		return KILL_TIMEOUT;
	if (g->burst_ms != 0 && us >= (uint64_t)g->burst_ms * 1000)
		return KILL_BURST;
	return KILL_NONE;
}

static void
charge(struct script_run *r, uint32_t n)
{
	r->instr += n;
	r->slice_instr += n;
	counter_add(&r->st->thread->cnt->instructions, n);
}

static void
budget_hook(lua_State *L, lua_Debug *ar sl_unused)
{
	struct script_state *st = script_state_of(L);
	struct script_run *r = st->running;

	if (r == NULL)
		return; // a coroutine of a call, resumed by code outside of calls
	bool late = !r->counted;
	if (r->kill == KILL_NONE) {
		uint32_t n = (uint32_t)lua_gethookcount(L), part = part_of(st->gen);

		if (n == 1 && slice_of(st->gen) > 1) { // budget_count()'s: in slices from now on
			lua_sethook(L, budget_hook, LUA_MASKCOUNT, (int)slice_of(st->gen));
		} else if (n < part) { // a young coroutine: pays for what comes
			n = sl_min(2 * n, part);
			lua_sethook(L, budget_hook, LUA_MASKCOUNT, (int)n);
		}
		r->counted = true;
		charge(r, n);
		counter_inc(&st->thread->beats);
		r->kill = check(r);
	}
	if (r->kill != KILL_NONE) {
		budget_raise(r, L, r->kill);
		return;
	}
	if (r->preempt && (late || r->slice_instr >= slice_of(st->gen)) && st->blocked == 0 &&
		lua_isyieldable(L)) {
		st->chain = true;
		lua_yield(L, 0);
	}
}

int
budget_raise(struct script_run *r, lua_State *L, enum script_kill why)
{
	r->kill = why;
	lua_sethook(L, budget_hook, LUA_MASKCOUNT, 1);
	lua_pushstring(L, budget_why(why));
	return lua_error(L);
}

/* Its function's place; NULL: a task. */
static uint8_t *
quick_of(const struct script_run *r)
{
	return r->call.slot != NULL ? &r->st->quick[r->call.slot->fn & ~CALL_FN_PER_THREAD] : NULL;
}

static bool
is_quick(const struct script_run *r)
{
	const uint8_t *quick = quick_of(r);

	return quick != NULL && *quick >= QUICK && r->st->gen->max_instr == 0 &&
		r->st->thread->ticks;
}

void
budget_start(struct script_run *r)
{
	r->kill = KILL_NONE;
	r->instr = r->looked = 0;
	r->cpu_us = r->cost_us = 0;
	r->since_us = 0;
	r->cpu = false;
	r->counted = !is_quick(r);
	if (r->counted)
		lua_sethook(r->co, budget_hook, LUA_MASKCOUNT, (int)slice_of(r->st->gen));
	else
		lua_sethook(r->co, NULL, 0, 0);
}

void
budget_end(struct script_run *r)
{
	uint8_t *quick = quick_of(r);

	if (quick == NULL || !r->counted)
		return;
	*quick = r->instr < slice_of(r->st->gen) ? (uint8_t)sl_min(*quick + 1, QUICK) : 0;
}

void
budget_count(lua_State *L)
{
	if (lua_gethook(L) != budget_hook)
		lua_sethook(L, budget_hook, LUA_MASKCOUNT, 1);
}

void
budget_join(struct script_state *st, lua_State *L, lua_State *co)
{
	struct script_run *r = st->running;
	uint32_t part = part_of(st->gen);

	if (r == NULL)
		return;
	if (!r->counted) {
		if (lua_gethook(co) != NULL)
			lua_sethook(co, NULL, 0, 0);
		return;
	}
	if (lua_status(co) == LUA_OK) { // its first instructions; it has its maker's hook
		part = sl_min(part, (uint32_t)FRESH);
		charge(r, part);
		lua_sethook(co, budget_hook, LUA_MASKCOUNT, r->kill == KILL_NONE ? (int)part : 1);
		if (is_over(r) || r->slice_instr >= slice_of(st->gen))
			lua_sethook(L, budget_hook, LUA_MASKCOUNT, 1); // when it goes on
		return;
	}
	// an own count that runs on is kept: many short resumes add up
	if (lua_gethook(co) != budget_hook || lua_gethookcount(co) == 1)
		lua_sethook(co, budget_hook, LUA_MASKCOUNT, (int)part);
}
