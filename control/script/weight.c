// SPDX-License-Identifier: BSD-3-Clause
/*
 * How much of a contended CPU a script thread gets: what nobody else wants, as long as its scripts run for
 * long.
 *
 * Runs on: the script thread; the kernel counts weights by thread.
 * Scripts that wait for others, such as a server on this machine, are better not interrupted by each of
 * them; scripts that only compute let everybody else go first. SCHED_IDLE and not a high nice value: to the
 * kernel a CPU with such threads only is an idle one, to which it sends who wakes up.
 */
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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

/* Who may not come back does not go. */
static bool
may_come_back(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct cap[_LINUX_CAPABILITY_U32S_3];
	struct rlimit lim;

	if (getrlimit(RLIMIT_NICE, &lim) == 0 && lim.rlim_cur >= (rlim_t)(20 - script_sched.spec.nice))
		return true;
	return syscall(SYS_capget, &head, cap) == 0 && (cap[0].effective & (1u << CAP_SYS_NICE)) != 0;
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
	if (!script_sched.spec.idle_long || !r->cpu || r->since_us < LONG_US)
		return;
	// who was started under another policy keeps it
	if (t->light_us == 0 &&
		(sched_getscheduler(0) != SCHED_OTHER || !may_come_back() || !set(SCHED_IDLE)))
		return;
	t->light_us = script_now_us() + STAY_US;
}

void
weight_rest(struct script_thread *t)
{
	if (script_now_us() < t->light_us)
		return;
	// should it fail all the same: no look at the clock again and again
	t->light_us = set(SCHED_OTHER) ? 0 : UINT64_MAX;
}
