// SPDX-License-Identifier: BSD-3-Clause
/*
 * Segments that became smaller because the path is narrower than the interface, and when larger ones are
 * tried again.
 *
 * Runs on: the worker that owns the connection. What is remembered stands in its tcp_rec; without one (pool
 * empty) the connection keeps the smaller size.
 * Follows: RFC 1191 6.3 and RFC 8201 5.3: ten minutes after the last news of a narrow path. If the larger
 * size does not pass, that is seen as the first time (tcp_in.c, tcp_timer.c), and the next try comes
 * after twice the time, for a black hole costs two timeouts.
 * Not here: probing by packets of its own (RFC 4821, 8899).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define GROW_MS      600000u
#define GROW_TRIES   5 // then the time stays: more than five hours

void
tcp_pmtu_reduce(struct lcore *lc, struct tcp_conn *tc, uint16_t mss)
{
	struct tcp_rec *r = tcp_rec_get(lc, tc);

	if (r != NULL) {
		if (tc->mss > r->mss_full)
			r->mss_full = tc->mss;
		r->mss_at = tick_add(lc->now, GROW_MS << r->mss_tries);
	}
	tc->mss = mss;
}

void
tcp_pmtu_grow(const struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r)
{
	if (!tick_is_expired(r->mss_at, lc->now) || (tc->flags & (TF_RECOVERY | TF_LOSS)))
		return;
	if (r->mss_tries < GROW_TRIES)
		r->mss_tries++;
	tc->mss = r->mss_full;
	// what a timeout left of the window holds a segment of the new size (RFC 5681 3.1: the loss window)
	tc->cwnd = sl_max(tc->cwnd, (uint32_t)tc->mss);
	r->mss_full = 0;
}
