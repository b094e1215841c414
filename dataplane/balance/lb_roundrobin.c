// SPDX-License-Identifier: BSD-3-Clause
/*
 * Weighted round robin, smooth: of weights 3 and 1 comes a b a a, not a a a b. Each pick gives every
 * usable server its weight as credit, takes the richest and has it pay the sum. Weights and states
 * are read at each pick, so changes act at once.
 *
 * One instance per worker and server slot. Costs a walk over the backend's servers, as does the
 * question whether any is up.
 */
#include "dataplane/balance/bal.h"

#include "dataplane/base/hot.h"

static uint32_t
weight_of(const struct lcore *lc, const struct server *srv)
{
	return atomic_load_explicit(&srv_run_of(lc, srv)->weight, memory_order_relaxed);
}

const struct server *
roundrobin_pick(struct lcore *lc, const struct proxy *be, const struct server *avoid, bool *full)
{
	const struct server *best = NULL;
	int32_t *rr = lc->bal->rr;
	int32_t sum = 0;

	for (uint32_t i = 0; i < be->nservers; i++) {
		const struct server *srv = &be->servers[i];
		int32_t w = (int32_t)weight_of(lc, srv);

		if (srv->backup || w == 0 || srv == avoid || !srv_has_room(lc, srv, full))
			continue;
		rr[srv->slot] += w;
		sum += w;
		if (best == NULL || rr[srv->slot] > rr[best->slot])
			best = srv;
	}
	if (best != NULL)
		rr[best->slot] -= sum;
	return best;
}
