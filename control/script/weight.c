// SPDX-License-Identifier: BSD-3-Clause
/*
 * How much of a contended CPU a script thread gets: less, as long as its scripts run for long.
 *
 * Runs on: the script thread; the kernel counts weights by thread.
 * Scripts that wait for others, such as a server on this machine, are better not interrupted by each of
 * them; scripts that only compute let everybody else go first.
 */
#include <sys/resource.h>
#include <unistd.h>

#include "control/script/script_priv.h"

/* Of CPU time without a wait, that is measured: a run's first slice counts by the wall, up to its bound. */
#define LONG_US (BUDGET_FIRST_US + 1000)
#define STAY_US 500000 // so long it has less

static bool
set(int nice)
{
	if (setpriority(PRIO_PROCESS, (id_t)gettid(), nice) == 0)
		return true;
	errno = 0;
	return false;
}

void
weight_allow(const struct script_spec *s)
{
	rlim_t want = (rlim_t)(20 - s->nice); // as setrlimit(2) counts
	struct rlimit lim;

	if (s->nice_long <= s->nice || getrlimit(RLIMIT_NICE, &lim) < 0 || lim.rlim_cur >= want)
		return;
	lim.rlim_cur = want;
	lim.rlim_max = sl_max(lim.rlim_max, want);
	if (setrlimit(RLIMIT_NICE, &lim) < 0)
		errno = 0;
}

void
weight_begin(struct script_thread *t)
{
	set(script_sched.spec.nice); // losing it is no failure
	t->light_us = 0;
}

void
weight_used(struct script_thread *t, const struct script_run *r)
{
	const struct script_spec *s = &script_sched.spec;

	if (!r->cpu || r->since_us < LONG_US || s->nice_long <= s->nice)
		return;
	if (t->light_us == 0 && !set(s->nice_long))
		return;
	t->light_us = script_now_us() + STAY_US;
}

void
weight_rest(struct script_thread *t)
{
	if (script_now_us() < t->light_us)
		return;
	// who may not (weight_allow() could not, and CAP_SYS_NICE is gone) stays as it is
	t->light_us = set(script_sched.spec.nice) ? 0 : UINT64_MAX;
}
