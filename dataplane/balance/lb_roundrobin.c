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

static const struct server *
richest(struct lcore *lc, const struct proxy *be, const struct server *avoid, bool *full)
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

/* HAProxy without "option allbackups": the first backup that is up, when nobody else is. */
static const struct server *
first_backup(struct lcore *lc, const struct proxy *be, const struct server *avoid, bool *full)
{
	for (uint32_t i = 0; i < be->nservers; i++) {
		const struct server *srv = &be->servers[i];

		if (srv->backup && srv != avoid && weight_of(lc, srv) > 0 &&
			srv_has_room(lc, srv, full))
			return srv;
	}
	return NULL;
}

static bool
any_active_up(const struct lcore *lc, const struct proxy *be)
{
	for (uint32_t i = 0; i < be->nservers; i++)
		if (!be->servers[i].backup && weight_of(lc, &be->servers[i]) > 0 &&
			srv_is_up(lc, &be->servers[i]))
			return true;
	return false;
}

const struct server *
lb_pick(struct lcore *lc, const struct proxy *be, const struct server *avoid, bool *full)
{
	const struct server *srv;

	*full = false;
	srv = richest(lc, be, avoid, full);
	if (likely(srv != NULL))
		return srv;
	if (avoid != NULL && !avoid->backup) {
		srv = richest(lc, be, NULL, full);
		if (srv != NULL)
			return srv;
	}
	if (any_active_up(lc, be))
		return NULL; // full
	srv = first_backup(lc, be, avoid, full);
	return srv != NULL || avoid == NULL ? srv : first_backup(lc, be, NULL, full);
}
