// SPDX-License-Identifier: BSD-3-Clause
/* What a worker's thread asks of the kernel's scheduler: nothing but the length of its turns changes. */
#include "control/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static struct attr
now(void)
{
	struct attr a;

	assert_int_equal(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0), 0);
	return a;
}

static void
test_short_turns(void **state sl_unused)
{
	struct attr a;

	assert_int_equal(setpriority(PRIO_PROCESS, 0, 7), 0);
	thread_short_turns();
	a = now();
	assert_int_equal(a.policy, SCHED_OTHER);
	assert_int_equal(a.nice, 7);
	assert_int_equal(prctl(PR_GET_TIMERSLACK), 1000);
	// older kernels do not tell: 0
	if (a.runtime != 0)
		assert_int_equal(a.runtime, 100000);
}

/* Who was started as SCHED_BATCH or under a policy of real time stays so. */
static void
test_other_policy(void **state sl_unused)
{
	struct sched_param p = { 0 };
	struct attr was;

	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &p), 0);
	was = now();
	thread_short_turns();
	assert_int_equal(now().policy, SCHED_BATCH);
	assert_int_equal(now().runtime, was.runtime);
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &p), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_other_policy), // first: turns stay short
		cmocka_unit_test(test_short_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
