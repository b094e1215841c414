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

const struct server *
roundrobin_pick(struct lcore *lc, const struct proxy *be, const struct server *avoid, bool *full)
{
	const struct server *best = NULL;
	const struct srv_run *runs = lc->bal->shared->srv;
	int32_t *rr = lc->bal->rr, most = INT32_MIN;
	int32_t sum = 0;

	for (uint32_t i = 0; i < be->nservers; i++) {
		const struct server *srv = &be->servers[i];
		const struct srv_run *r = &runs[srv->slot];
		int32_t w = (int32_t)atomic_load_explicit(&r->weight, memory_order_relaxed);
		int32_t credit;

		if (srv->backup || w == 0 || srv == avoid || !srv_run_has_room(r, full))
			continue;
		credit = rr[srv->slot] += w;
		sum += w;
		if (credit > most || best == NULL) {
			best = srv;
			most = credit;
		}
	}
	if (best != NULL)
		rr[best->slot] -= sum;
	return best;
}
