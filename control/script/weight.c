// SPDX-License-Identifier: BSD-3-Clause
/*
 * How much of a contended CPU a script thread gets: what nobody else wants, as long as its scripts run for
 * long.
 *
 * Runs on: the script thread; the kernel counts weights by thread.
 * Scripts that wait for others, such as a server on this machine, are better not interrupted by each of
 * them; scripts that only compute let everybody else go first. SCHED_IDLE and not a high nice value: to the
 * kernel a CPU with such threads only is an idle one, to which it sends who wakes up.
 * script_settled() is main's.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/script/script_priv.h"

/* Of CPU time without a wait, that is measured: a run's first slice counts by the wall, up to its bound. */
#define LONG_US (BUDGET_FIRST_US + 1000)
#define STAY_US 500000 // so long it has less

static bool
set(int policy)
{
	const struct sched_param p = { 0 };

	if (sched_setscheduler(0, policy, &p) == 0)
		return true;
	errno = 0;
	return false;
}

/* The way back counts as taking a nice value (sched(7)): a limit allows it when rights have been given up. */
void
weight_allow(const struct script_spec *s)
{
	rlim_t want = (rlim_t)(20 - s->nice); // as setrlimit(2) counts
	struct rlimit lim;

	if (!s->idle_long || getrlimit(RLIMIT_NICE, &lim) < 0 || lim.rlim_cur >= want)
		return;
	lim.rlim_cur = want;
	lim.rlim_max = sl_max(lim.rlim_max, want);
	if (setrlimit(RLIMIT_NICE, &lim) < 0)
		errno = 0;
}

static void *
go_and_come(void *ctx)
{
	*(bool *)ctx = set(SCHED_IDLE) && set(SCHED_OTHER);
	return NULL;
}

/* Who may not come back does not go. A thread of its own tries it: not all that it takes can be asked for. */
void
script_settled(void)
{
	bool may = false;
	pthread_t t;

	if (!script_sched.spec.idle_long || pthread_create(&t, NULL, go_and_come, &may) != 0)
		return;
	pthread_join(t, NULL);
	atomic_store(&script_sched.may_idle, may);
}

void
weight_begin(struct script_thread *t)
{
	if (setpriority(PRIO_PROCESS, (id_t)gettid(), script_sched.spec.nice) < 0)
		errno = 0; // losing it is no failure
	t->light_us = 0;
}

void
weight_used(struct script_thread *t, const struct script_run *r)
{
	if (!r->cpu || r->since_us < LONG_US || !atomic_load(&script_sched.may_idle))
		return;
	// who was started under another policy keeps it
	if (t->light_us == 0 && (sched_getscheduler(0) != SCHED_OTHER || !set(SCHED_IDLE)))
		return;
	t->light_us = script_now_us() + STAY_US;
}

void
weight_back(struct script_thread *t)
{
	// should it fail all the same: no system call in every round
	if (t->light_us != 0)
		t->light_us = set(SCHED_OTHER) ? 0 : UINT64_MAX;
}

void
weight_rest(struct script_thread *t)
{
	if (script_now_us() >= t->light_us)
		weight_back(t);
}

uint64_t
weight_until(const struct script_thread *t)
{
	uint64_t now;

	if (t->light_us == 0 || t->light_us == UINT64_MAX)
		return UINT64_MAX;
	now = script_now_us();
	return t->light_us > now ? t->light_us - now : 0;
}
