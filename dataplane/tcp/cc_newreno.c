// SPDX-License-Identifier: BSD-3-Clause
/*
 * NewReno: slow start and congestion avoidance with byte counting.
 *
 * Runs on: the worker that owns the connection.
 * Follows: RFC 5681 (windows), RFC 6928 (initial window of ten), RFC 3465 (counting bytes, after
 * a timeout L = 1), RFC 6582 (leaving recovery).
 * Not here: which segments are lost and what is sent again (tcp_sack.c, tcp_out.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define SLOW_START_MOST 32 // segments per ACK

/* RFC 6928 2: min(10 MSS, max(2 MSS, 14600)). */
static uint32_t
initial_window(const struct tcp_conn *tc)
{
	uint32_t mss = tc->mss, most = sl_max(2 * mss, 14600u);

	return sl_min(10 * mss, most);
}

static void
newreno_init(struct lcore *lc sl_unused, struct tcp_conn *tc)
{
	tc->cwnd = initial_window(tc);
	// RFC 6928 2: a lost SYN means one segment to begin with
	if (tc->retries > 0)
		tc->cwnd = tc->mss;
	tc->ssthresh = UINT32_MAX / 2;
	tc->cc_priv = 0;
}

static void
newreno_acked(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes)
{
	uint32_t mss = tc->mss, most = 2 * lc->tcp->conf.snd_buf;

	if (tc->cwnd < tc->ssthresh) {
		// receivers that answer once per burst (so do we) acknowledge many segments at once:
		// RFC 3465's L = 2 would make slow start linear there
		tc->cwnd += sl_min(bytes, tc->flags & TF_LOSS ? mss : SLOW_START_MOST * mss);
	} else {
		tc->cc_priv += bytes;
		if (tc->cc_priv >= tc->cwnd) {
			tc->cc_priv -= tc->cwnd;
			tc->cwnd += mss;
		}
	}
	if (tc->cwnd > most)
		tc->cwnd = sl_max(most, 2 * mss);
}

/* RFC 5681 (4): half of what is in flight, at least two segments. */
static uint32_t
half_flight(const struct tcp_conn *tc)
{
	return sl_max((tc->snd_nxt - tc->snd_una) / 2, 2u * tc->mss);
}

static void
newreno_loss(struct lcore *lc sl_unused, struct tcp_conn *tc)
{
	tc->ssthresh = half_flight(tc);
	tc->cwnd = tc->ssthresh;
	tc->cc_priv = 0;
}

static void
newreno_recovered(struct lcore *lc sl_unused, struct tcp_conn *tc)
{
	// RFC 6582 3.2 (3) option 1: no burst after leaving recovery
	uint32_t flight = tc->snd_nxt - tc->snd_una, most = sl_max(flight, (uint32_t)tc->mss);

	tc->cwnd = sl_min(tc->ssthresh, most + tc->mss);
	tc->cc_priv = 0;
}

static void
newreno_rto(struct lcore *lc sl_unused, struct tcp_conn *tc, bool first)
{
	if (first)
		tc->ssthresh = half_flight(tc);
	tc->cwnd = tc->mss;
	tc->cc_priv = 0;
}

static void
newreno_idle(struct lcore *lc sl_unused, struct tcp_conn *tc)
{
	tc->cwnd = sl_min(tc->cwnd, initial_window(tc));
}

const struct tcp_cc tcp_cc_newreno = {
	.name = "newreno",
	.init = newreno_init,
	.acked = newreno_acked,
	.loss = newreno_loss,
	.recovered = newreno_recovered,
	.rto = newreno_rto,
	.idle = newreno_idle,
};

const struct tcp_cc *const tcp_cc_algos[] = {
	[TCP_CC_NEWRENO] = &tcp_cc_newreno,
	[TCP_CC_WESTWOOD] = &tcp_cc_westwood,
};
