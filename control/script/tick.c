// SPDX-License-Identifier: BSD-3-Clause
/*
 * A count of instructions that comes late, for functions that have always ended within a slice.
 *
 * Runs on: script threads, of it on_tick() as a signal handler there.
 * As long as there is a count Lua calls its tracer at every instruction, which is a sixth of what a loop
 * over a table takes. So calls of such functions run without one (budget.c). A timer of the thread's CPU
 * clock, which the kernel looks at once a tick of its own (1 to 10 ms), gives what runs then its count,
 * and the function has to show anew that it is quick. Who waits or sleeps uses no CPU and gets no signal.
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "control/script/script_priv.h"

#define TICK_SIGNAL SIGRTMIN
#define TICK_NS     1000000

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/*
 * ThreadSanitizer lets signals wait until a function that it knows is called, and a script that loops
 * calls none.
 */
#ifdef __SANITIZE_THREAD__
#define TICKS false
#else
#define TICKS true
#endif

static _Thread_local struct script_thread *self;

static void
on_tick(int sig sl_unused)
{
	lua_State *L = self != NULL ? self->on : NULL;

	if (L != NULL)
		budget_count(L);
}

void
tick_allow(void)
{
	struct sigaction a = { .sa_handler = on_tick, .sa_flags = SA_RESTART };

	sigemptyset(&a.sa_mask);
	sigaction(TICK_SIGNAL, &a, NULL); // cannot fail: neither the signal nor the handler is odd
}

void
tick_begin(struct script_thread *t)
{
	const struct itimerspec each = { { .tv_nsec = TICK_NS }, { .tv_nsec = TICK_NS } };
	struct sigevent e = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK_SIGNAL };
	sigset_t set;

	self = t;
	e.sigev_notify_thread_id = gettid();
	sigemptyset(&set);
	sigaddset(&set, TICK_SIGNAL);
	// without a timer everything is counted from its first instruction on
	t->ticks = TICKS && pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0 &&
		timer_create(CLOCK_THREAD_CPUTIME_ID, &e, &t->timer) == 0;
	if (t->ticks)
		timer_settime(t->timer, 0, &each, NULL);
}

void
tick_end(struct script_thread *t)
{
	if (t->ticks)
		timer_delete(t->timer);
	t->ticks = false;
}
