// SPDX-License-Identifier: BSD-3-Clause
/*
 * The two batches of a loop: handlers of connections that have events, output of touched ones.
 *
 * Runs on: the worker that owns the connections. A connection stands in each list at most once
 * (TF_EV, TF_OUT). A TCB is freed only at the end of tcp_run_output() and only when it stands in
 * neither list, so a handler may close or abort any connection at any time.
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

static void
run_one(struct lcore *lc, struct tcp_conn *tc, uint8_t events)
{
	if (tc->flags & (TF_DEAD | TF_ORPHAN))
		return;
	if (tc->flags & TF_ACCEPT) {
		tc->flags &= ~TF_ACCEPT;
		if (tc->err != 0) { // reset before anybody saw it
			tcp_conn_release(lc, tc);
			return;
		}
		void *user = tc->h->accept(lc, tc->user, tc);
		if (tc->flags & (TF_DEAD | TF_ORPHAN))
			return;
		if (user == NULL) {
			tcp_abort(lc, tc);
			return;
		}
		tc->user = user;
		stat_inc(lc, STAT_TCP_ACCEPTS);
	}
	if (events != 0)
		tc->h->event(lc, tc, tc->user, events);
	if ((events & TCP_EV_CLOSED) && !(tc->flags & TF_DEAD))
		tcp_conn_release(lc, tc);
}

#define AHEAD 6u // events; the objects of a connection are found through each other, in three steps

/* Of many connections each is cold: their lines come while the events before are worked on. */
static inline void
look_ahead(const struct tcp_lcore *tl, uint32_t i)
{
	for (uint32_t step = 0; step < 3; step++) {
		uint32_t k = i + AHEAD - 2 * step;
		const struct tcp_conn *tc;

		if (k >= tl->nev)
			continue;
		tc = conn_at(tl, tl->ev[k]);
		if (tc->flags & (TF_DEAD | TF_ORPHAN | TF_ACCEPT))
			continue;
		if (step == 0)
			__builtin_prefetch(tc->user);
		else if (tc->h->prefetch != NULL)
			tc->h->prefetch(tc->user, step);
	}
}

void
tcp_run_events(struct lcore *lc)
{
	struct tcp_lcore *tl = lc->tcp;

	// handlers may append: CLOSED once per connection, so twice max_conns are room enough
	for (uint32_t i = 0; i < tl->nev; i++) {
		struct tcp_conn *tc = conn_at(tl, tl->ev[i]);
		uint8_t events = tc->events;

		look_ahead(tl, i);
		tc->flags &= ~TF_EV;
		tc->events = 0;
		run_one(lc, tc, events);
	}
	tl->nev = 0;
}

void
tcp_run_output(struct lcore *lc)
{
	struct tcp_lcore *tl = lc->tcp;
	uint32_t n = tl->nout, keep = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t idx = tl->out[i];
		struct tcp_conn *tc = conn_at(tl, idx);

		if (tc->flags & TF_DEAD) {
			if (tc->flags & TF_EV)
				tl->out[keep++] = idx;
			else
				pool_free(&tl->conns, tc);
			continue;
		}
		tc->flags &= ~TF_OUT;
		tcp_output(lc, tc);
		// output that ended a connection appended it; those come now
		n = tl->nout;
	}
	tl->nout = keep;
}
