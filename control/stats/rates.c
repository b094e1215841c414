// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rates and maxima by sampling.
 *
 * Runs on: main, every 250 ms; costs a walk over the counters of all proxies, servers and listeners.
 */
#include "control/stats/rates.h"

#include <stdlib.h>
#include <time.h>

static void
look(struct rate_window *w, uint32_t at, uint64_t value)
{
	uint32_t oldest = (at + 1) % (RATES_STEPS + 1);

	w->seen[at] = value;
	// less: the slot has another owner by now
	w->rate = value >= w->seen[oldest] ? (uint32_t)(value - w->seen[oldest]) : 0;
	w->max = sl_max(w->max, w->rate);
}

static void
look_set(struct rates *r, enum stats_set set, struct rates_of *of, uint32_t n, uint64_t wall)
{
	for (uint32_t i = 0; i < n; i++) {
		struct px_sums c;
		uint32_t last = (r->at + RATES_STEPS) % (RATES_STEPS + 1);

		stats_sum_px_raw(r->lc, r->nlc, set, i, &c);
		if (c.cum_conn != of[i].sess.seen[last])
			of[i].last_session = wall;
		look(&of[i].sess, r->at, c.cum_conn);
		look(&of[i].req, r->at, c.cum_req);
		of[i].cur_max = sl_max(of[i].cur_max, (uint32_t)c.cur_conn);
	}
}

static void
on_tick(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct rates *r = t->data;
	uint64_t wall = (uint64_t)time(NULL);

	r->at = (r->at + 1) % (RATES_STEPS + 1);
	look_set(r, STATS_PROXY, r->px, r->npx, wall);
	look_set(r, STATS_SERVER, r->srv, r->nsrv, wall);
	look_set(r, STATS_LISTENER, r->bind, r->nbind, wall);
	look(&r->conn, r->at, stats_accepts(r->lc, r->nlc));
	look(&r->bytes_out, r->at, stats_bytes_out(r->lc, r->nlc));
}

static struct rates_of *
zeros(uint32_t n)
{
	return calloc(sl_max(n, 1u), sizeof(struct rates_of));
}

struct rates *
rates_new(struct ev_loop *ev, struct lcore *const *lc, uint16_t nlc, uint32_t npx, uint32_t nsrv,
	uint32_t nbind)
{
	struct rates *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	*r = (struct rates){ .ev = ev,
		.lc = lc,
		.nlc = nlc,
		.px = zeros(npx),
		.srv = zeros(nsrv),
		.bind = zeros(nbind),
		.npx = npx,
		.nsrv = nsrv,
		.nbind = nbind };
	if (r->px == NULL || r->srv == NULL || r->bind == NULL) {
		free(r->px);
		free(r->srv);
		free(r->bind);
		free(r);
		return NULL;
	}
	ev_timer_init(&r->timer, on_tick, 1. / RATES_STEPS, 1. / RATES_STEPS);
	r->timer.data = r;
	ev_timer_start(ev, &r->timer);
	return r;
}

void
rates_free(struct rates *r)
{
	if (r == NULL)
		return;
	ev_timer_stop(r->ev, &r->timer);
	free(r->px);
	free(r->srv);
	free(r->bind);
	free(r);
}

static void
clear(struct rates_of *of, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		of[i].sess.max = of[i].req.max = of[i].cur_max = 0;
}

void
rates_clear_max(struct rates *r)
{
	clear(r->px, r->npx);
	clear(r->srv, r->nsrv);
	clear(r->bind, r->nbind);
	r->conn.max = r->bytes_out.max = 0;
}

void
rates_forget(struct rates *r, enum stats_set set, uint32_t slot)
{
	struct rates_of *of = set == STATS_PROXY ? r->px : set == STATS_SERVER ? r->srv : r->bind;
	uint32_t n = set == STATS_PROXY ? r->npx : set == STATS_SERVER ? r->nsrv : r->nbind;

	if (slot < n)
		memset(&of[slot], 0, sizeof(of[slot]));
}
