// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which server next: the backend's algorithm, then backups.
 *
 * Runs on: the worker, at each request.
 */
#include "dataplane/balance/bal.h"

#include "dataplane/base/hot.h"

static uint32_t
weight_of(const struct lcore *lc, const struct server *srv)
{
	return atomic_load_explicit(&srv_run_of(lc, srv)->weight, memory_order_relaxed);
}

static const struct server *
by_algorithm(struct lcore *lc, const struct proxy *be, const struct bal_key *key,
	const struct server *avoid, bool *full)
{
	if (unlikely(be->lb == LB_HASH) && key->set)
		return hash_pick(lc, be, key->hash, avoid, full);
	return roundrobin_pick(lc, be, avoid, full);
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
lb_pick(struct lcore *lc, const struct proxy *be, const struct bal_key *key,
	const struct server *avoid, bool *full)
{
	const struct server *srv;

	*full = false;
	srv = by_algorithm(lc, be, key, avoid, full);
	if (likely(srv != NULL))
		return srv;
	if (avoid != NULL && !avoid->backup) {
		srv = by_algorithm(lc, be, key, NULL, full);
		if (srv != NULL)
			return srv;
	}
	if (any_active_up(lc, be))
		return NULL; // full
	srv = first_backup(lc, be, avoid, full);
	return srv != NULL || avoid == NULL ? srv : first_backup(lc, be, NULL, full);
}
