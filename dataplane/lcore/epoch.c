// SPDX-License-Identifier: BSD-3-Clause
/*
 * Generations and quiescence: how main takes something away from running workers.
 *
 * Runs on: epoch_quiescent/offline/online on the worker; the rest on main. A worker announces once
 * per loop that it holds no pointer into the published model, then reads the pointer afresh. Main
 * publishes, notes every worker's counter, and knows that nobody sees the old model any more when
 * each counter has changed or says "offline". The counter's store and the pointer's store are
 * sequentially consistent, so a worker that announced after main's look also sees the new pointer.
 */
#include "dataplane/lcore/lcore.h"

void
epoch_quiescent(struct lcore *lc)
{
	atomic_store(&lc->quiescent, ++lc->epoch);
	lc->model = atomic_load(&lc->published);
}

void
epoch_offline(struct lcore *lc)
{
	lc->model = NULL;
	atomic_store(&lc->quiescent, UINT64_MAX);
}

void
epoch_online(struct lcore *lc)
{
	epoch_quiescent(lc);
}

void
epoch_publish(struct lcore **lc, uint16_t n, const struct model *m)
{
	for (uint16_t i = 0; i < n; i++)
		atomic_store(&lc[i]->published, m);
}

void
epoch_snapshot(struct lcore **lc, uint16_t n, uint64_t *since)
{
	for (uint16_t i = 0; i < n; i++)
		since[i] = atomic_load(&lc[i]->quiescent);
}

bool
epoch_passed(struct lcore **lc, uint16_t n, const uint64_t *since)
{
	for (uint16_t i = 0; i < n; i++) {
		uint64_t q = atomic_load(&lc[i]->quiescent);
		if (q != UINT64_MAX && q == since[i])
			return false;
	}
	return true;
}
