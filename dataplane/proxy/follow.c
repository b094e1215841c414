// SPDX-License-Identifier: BSD-3-Clause
/*
 * From one generation of the configuration to the next, on a worker: slots that have another owner
 * begin anew, idle connections come along, and those of a generation that is to end are ended.
 *
 * Runs on: the worker. A busy connection follows by itself with its next request (session.c); here are
 * those that may be silent for long. The walk goes over the pool of sessions a few at a time, so that a
 * loop stays short whatever the number of connections.
 */
#include "dataplane/proxy/px.h"

#include "dataplane/base/hot.h"

#define FOLLOW_LOOK 256u // places of the pool looked at in a loop
#define FOLLOW_WORK 16u  // sessions that something was done about

static_assert(MODEL_GENERATIONS == LCORE_GENERATIONS && MODEL_GENERATIONS <= 64, "places");

static void
zero(struct px_counters *c)
{
#define X(sym, name, help) atomic_store_explicit(&c->sym, 0, memory_order_relaxed);
	PX_COUNTERS(X)
#undef X
}

static sl_cold void
adopt_proxy(struct lcore *lc, const struct proxy *p, uint64_t served)
{
	// since + 1 > served: the slot was given after the generation that was served here
	if (p->since >= served)
		zero(&lc->px_cnt[p->slot]);
	if (p->be_since >= served)
		zero(&lc->px_cnt[p->be_slot]);
	for (uint32_t i = 0; i < p->nbinds; i++)
		if (p->binds[i].since >= served)
			zero(&lc->bind_cnt[p->binds[i].slot]);
	for (uint32_t i = 0; i < p->nservers; i++) {
		const struct server *s = &p->servers[i];

		if (s->since >= served)
			zero(&lc->srv_cnt[s->slot]);
		if (s->since >= served || s->moved >= served)
			idle_flush(lc, s->slot);
	}
}

sl_cold void
px_adopt(struct lcore *lc, const struct model *m, uint64_t served)
{
	if (m->changed < served || served == 0)
		return;
	for (uint32_t i = 0; i < m->nproxies; i++)
		adopt_proxy(lc, m->proxies[i], served);
}

void
px_end(struct lcore *lc, uint32_t place)
{
	if (place >= MODEL_GENERATIONS)
		return;
	lc->px->ending |= 1ull << place;
	px_follow_start(lc);
}

static bool
visit(struct lcore *lc, struct session *ses)
{
	const struct model *m = ses->bind->model;

	if (unlikely((lc->px->ending >> m->place & 1) != 0)) {
		session_kill(ses);
		return true;
	}
	if (m == lc->model || ses->stream != NULL)
		return false;
	session_follow(ses);
	return true;
}

bool
px_follow(struct lcore *lc)
{
	struct px_lcore *px = lc->px;
	uint32_t work = 0;

	for (uint32_t i = 0; i < FOLLOW_LOOK && work < FOLLOW_WORK; i++) {
		uint32_t at = px->follow_at;

		if (at == px->sessions.nr) {
			px->ending = 0;
			lc->following = false;
			return false;
		}
		px->follow_at++;
		if (pool_is_live(&px->sessions, at))
			work += visit(lc, pool_at(&px->sessions, at));
	}
	return true;
}
