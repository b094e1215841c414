// SPDX-License-Identifier: BSD-3-Clause
/*
 * Westwood+: NewReno's growth, but a loss sets the window to what the path was seen to deliver.
 *
 * Runs on: the worker that owns the connection.
 * Follows: the published Westwood+ algorithm: on loss, ssthresh = delivery rate × least RTT, in the
 * place of half the flight. Where losses are random the window stays; where they come from a full
 * queue the RTT has grown, and the product is below the flight by what stood in the queue. Two
 * changes of ours: the product is taken times 3/2, so that a path with random loss is probed for
 * more (slow start ended early there), while a queue as long as the path still costs a quarter of
 * the flight, CUBIC's share; and when more than a quarter of a flight had to be sent again, the
 * flight is halved as RFC 5681 says, because such loss is congestion.
 * Without a tcp_rec the connection goes on with NewReno.
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

static void
westwood_init(struct lcore *lc, struct tcp_conn *tc)
{
	tcp_cc_newreno.init(lc, tc);
}

static void
westwood_rec(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r)
{
	r->ww.round_us = lc->now_us;
	r->ww.round_end = tc->snd_nxt;
}

static void
westwood_acked(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes)
{
	tcp_cc_newreno.acked(lc, tc, bytes);
}

/* Bytes per second: the best of the last full rounds and, if that is more, of the running one. */
static uint64_t
rate_of(const struct lcore *lc, const struct tcp_rec *r)
{
	const struct tcp_westwood *p = &r->ww;
	uint64_t now = 0, us = lc->now_us - p->round_us, full = sl_max(p->rate[0], p->rate[1]);

	if (us >= r->min_rtt[0] && us > 0)
		now = (uint64_t)p->delivered * 1000000 / us;
	return sl_max(now, full);
}

static void
westwood_delivered(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes, uint32_t rtt_us)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);
	struct tcp_westwood *p;
	uint64_t us;

	if (likely(r == NULL))
		return;
	tcp_hystart_sample(tc, r, rtt_us);
	p = &r->ww;
	p->delivered += bytes;
	us = lc->now_us - p->round_us;
	if (seq_lt(tc->snd_una, p->round_end) || us == 0)
		return;
	// a round: what was in flight at its start has arrived
	p->rate[1] = p->rate[0];
	p->rate[0] = (uint64_t)p->delivered * 1000000 / us;
	p->delivered = 0;
	p->round_us = lc->now_us;
	p->round_end = tc->snd_nxt;
}

/* 3/2 of what the path holds without a queue; at least two segments, at most the flight's double. */
static uint32_t
path_window(const struct lcore *lc, const struct tcp_conn *tc, const struct tcp_rec *r)
{
	uint32_t flight = tcp_cc_flight(tc);
	uint64_t w, rate = rate_of(lc, r);

	if (r->min_rtt[0] == UINT32_MAX || rate == 0) // nothing is known of the path yet
		return tcp_half_flight(tc);
	w = rate * r->min_rtt[0] / 1000000;
	w += w / 2;
	w = sl_min(w, 2ull * flight);
	w = sl_max(w, 2ull * tc->mss);
	return (uint32_t)w;
}

static void
westwood_loss(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec_get(lc, tc);

	if (r == NULL) {
		tcp_cc_newreno.loss(lc, tc);
		return;
	}
	r->ww.resent = 0;
	r->ww.flight = tcp_cc_flight(tc);
	r->part = 0;
	tc->ssthresh = path_window(lc, tc, r);
}

static void
westwood_resent(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);
	struct tcp_westwood *p;
	uint32_t half;

	if (r == NULL || !(tc->flags & TF_RECOVERY))
		return;
	p = &r->ww;
	p->resent += bytes;
	if (p->resent <= p->flight / 4 || p->flight == 0)
		return;
	half = sl_max(p->flight / 2, 2u * tc->mss);
	tc->ssthresh = sl_min(tc->ssthresh, half);
	tc->cwnd = sl_min(tc->cwnd, tc->ssthresh);
	p->flight = 0; // once a recovery
}

static void
westwood_recovered(struct lcore *lc, struct tcp_conn *tc)
{
	if (tcp_rec(lc->tcp, tc) != NULL)
		tc->cwnd = tc->ssthresh;
	else
		tcp_cc_newreno.recovered(lc, tc);
}

static void
westwood_rto(struct lcore *lc, struct tcp_conn *tc, bool first)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	if (first)
		tc->ssthresh = r != NULL ? path_window(lc, tc, r) : tcp_half_flight(tc);
	tc->cwnd = tc->mss;
	if (r != NULL)
		r->part = 0;
}

static void
westwood_idle(struct lcore *lc, struct tcp_conn *tc)
{
	tcp_cc_newreno.idle(lc, tc);
}

const struct tcp_cc tcp_cc_westwood = {
	.name = "westwood",
	.init = westwood_init,
	.rec = westwood_rec,
	.acked = westwood_acked,
	.delivered = westwood_delivered,
	.loss = westwood_loss,
	.resent = westwood_resent,
	.recovered = westwood_recovered,
	.rto = westwood_rto,
	.idle = westwood_idle,
};
