// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a worker does when there is nothing to do: spin, then pause, then nap.
 *
 * Runs on: the worker. This is one of the two places of the data plane with a system call (the
 * other is lcore/wake.c): on soft ports the kernel needs the CPU to produce the next packet, and on
 * a small machine the other threads do. A nap ends by itself before the next timer, and by any
 * push into one of the worker's rings; while napping the worker is offline for generations.
 * Not with `busy-polling`; early on a CPU that others want (worker_priv.h). While scripts work for requests
 * of this worker it stays awake for longer, because their answers would have to end the nap by a system call;
 * in place of pauses it lets others go first, who may be those for whom the scripts wait. If there are such,
 * the CPU counts as wanted: they get more of it from a worker that sleeps, and the kernel wakes them there.
 */
#include "dataplane/worker/worker_priv.h"

#include <sched.h>

#include <rte_pause.h>

#include "dataplane/conn/host.h"

#include "dataplane/base/hot.h"

uint64_t
worker_idle_us(const struct lcore *lc)
{
	uint32_t ms = wheel_next_ms(&lc->wheel);

	if (lc->following || net_pending(lc) > 0)
		return 0;
	// up to the next millisecond of the wheel, or of net's tick
	ms = sl_min(ms, (uint32_t)NET_TICK_MS);
	return (uint64_t)ms * 1000;
}

/* Something was pushed after the last look. */
static bool
ring_waits(const struct lcore *lc)
{
	for (uint16_t i = 0; i < lc->nlcores; i++)
		if (lc->worker[i].in != NULL && xring_count(lc->worker[i].in) > 0)
			return true;
	for (uint16_t i = 0; i < lc->nscripts; i++)
		if (xring_count(&lc->script[i].to) > 0)
			return true;
	return net_pending(lc) > 0 || xring_count(&lc->main.to) > 0 || xring_count(&lc->io.to) > 0;
}

static void
nap(struct lcore *lc, uint32_t us)
{
	waker_prepare(&lc->waker);
	if (ring_waits(lc) || atomic_load_explicit(&lc->stop, memory_order_relaxed)) {
		waker_cancel(&lc->waker);
		return;
	}
	stat_inc(lc, STAT_NAPS);
	epoch_offline(lc);
	waker_wait(&lc->waker, us);
	epoch_online(lc);
	worker_serve(lc); // nothing of the model before may be looked at any more
}

/* How many empty iterations come before a nap. */
static uint32_t
patience(struct lcore *lc, uint32_t empty)
{
	if (empty > 1 && lc->idle_us != 0 && lc->now_us - lc->idle_us > PREEMPTED_US)
		lc->contended_us = lc->now_us + CONTENDED_US;
	lc->idle_us = lc->now_us;
	return lc->now_us < lc->contended_us ? IDLE_CONTENDED : IDLE_PAUSE;
}

/* Scripts work for this worker. Nobody else on this CPU: it comes back at once. */
static void
stay(struct lcore *lc, uint32_t empty)
{
	if (empty > IDLE_YIELD && lc->idle_us != 0 && lc->now_us - lc->idle_us > GIVEN_US)
		lc->contended_us = lc->now_us + CONTENDED_US;
	lc->idle_us = 0; // what others took was given
	if (empty < IDLE_YIELD)
		return;
	lc->idle_us = lc->now_us;
	sched_yield();
}

void
worker_idle(struct lcore *lc, uint32_t *empty, bool busy_polling)
{
	uint32_t us, naps;

	if (busy_polling)
		return;
	if (lc->calls_out > 0 && lc->now_us >= lc->contended_us && *empty + 1 < IDLE_CALLS) {
		stay(lc, ++*empty);
		return;
	}
	naps = patience(lc, ++*empty);
	if (*empty < naps) {
		if (*empty >= IDLE_SPIN)
			rte_pause();
		return;
	}
	// without a port nothing comes that does not wake
	us = (uint32_t)worker_idle_us(lc);
	if (lc->ports->n > 0 || host_pending(lc))
		us = sl_min(us, NAP_MAX_US);
	if (us >= NAP_MIN_US)
		nap(lc, us);
	lc->idle_us = 0; // it did not have the CPU because it did not want it
}
