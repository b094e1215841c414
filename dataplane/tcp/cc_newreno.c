// SPDX-License-Identifier: BSD-3-Clause
/*
 * NewReno: slow start and congestion avoidance with byte counting.
 *
 * Runs on: the worker that owns the connection.
 * Follows: RFC 5681 (windows), RFC 6928 (initial window of ten), RFC 3465 (counting bytes), RFC 6582
 * (leaving recovery). Without a tcp_rec growth is counted per ACK, RFC 5681 (3).
 * Not here: which segments are lost and what is sent again (tcp_sack.c, tcp_out.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

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
	tc->ssthresh = TCP_SSTHRESH_NONE;
}

static void
newreno_acked(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes)
{
	uint32_t mss = tc->mss, most = 2 * lc->tcp->conf.snd_buf;
	struct tcp_rec *r = tcp_rec_get(lc, tc);

	if (tc->cwnd < tc->ssthresh) {
		tc->cwnd += tcp_slow_start(lc, tc, bytes);
	} else if (r != NULL) {
		r->part += bytes;
		if (r->part >= tc->cwnd) {
			r->part -= tc->cwnd;
			tc->cwnd += mss;
		}
	} else {
		tc->cwnd += sl_max((uint32_t)((uint64_t)mss * bytes / tc->cwnd), 1u);
	}
	if (tc->cwnd > most)
		tc->cwnd = sl_max(most, 2 * mss);
}

uint32_t
tcp_cc_flight(const struct tcp_conn *tc)
{
	return sl_min(tc->snd_nxt - tc->snd_una, tc->cwnd);
}

uint32_t
tcp_half_flight(const struct tcp_conn *tc)
{
	return sl_max(tcp_cc_flight(tc) / 2, 2u * tc->mss);
}

static void
part_reset(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	if (r != NULL)
		r->part = 0;
}

static void
newreno_loss(struct lcore *lc, struct tcp_conn *tc)
{
	tc->ssthresh = tcp_half_flight(tc);
	part_reset(lc, tc);
}

static void
newreno_recovered(struct lcore *lc, struct tcp_conn *tc)
{
	// RFC 6582 3.2 (3) option 1: no burst after leaving recovery. PRR kept the flight where
	// ssthresh wants it (RFC 6937 3).
	uint32_t flight = tc->snd_nxt - tc->snd_una, most = sl_max(flight, (uint32_t)tc->mss);

	tc->cwnd = tc->flags & TF_SACK ? tc->ssthresh : sl_min(tc->ssthresh, most + tc->mss);
	part_reset(lc, tc);
}

static void
newreno_rto(struct lcore *lc, struct tcp_conn *tc, bool first)
{
	if (first)
		tc->ssthresh = tcp_half_flight(tc);
	tc->cwnd = tc->mss;
	part_reset(lc, tc);
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
	.delivered = tcp_hystart_delivered,
	.loss = newreno_loss,
	.recovered = newreno_recovered,
	.rto = newreno_rto,
	.idle = newreno_idle,
};

const struct tcp_cc *const tcp_cc_algos[] = {
	[TCP_CC_NEWRENO] = &tcp_cc_newreno,
	[TCP_CC_WESTWOOD] = &tcp_cc_westwood,
	[TCP_CC_CUBIC] = &tcp_cc_cubic,
	[TCP_CC_BBR] = &tcp_cc_bbr,
};
