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
 * The state is a block of a pool, taken when the window limits the connection for the first time:
 * short answers never need one. Without a block (pool empty) the connection goes on with NewReno.
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define MIN_RTT_MS 10000 // the least RTT is of the last ten to twenty seconds: routes change

static struct tcp_path *
path_of(struct lcore *lc, const struct tcp_conn *tc)
{
	return tc->cc_priv == TCP_NONE ? NULL : pool_at(&lc->tcp->paths, tc->cc_priv);
}

static void
westwood_init(struct lcore *lc, struct tcp_conn *tc)
{
	tcp_cc_newreno.init(lc, tc);
	tc->cc_priv = TCP_NONE;
}

static void
westwood_fini(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_path *p = path_of(lc, tc);

	if (p != NULL)
		pool_free(&lc->tcp->paths, p);
	tc->cc_priv = TCP_NONE;
}

static struct tcp_path *
path_get(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_path *p = path_of(lc, tc);

	if (p != NULL)
		return p;
	p = pool_new(&lc->tcp->paths);
	if (p == NULL) {
		tc->cc = TCP_CC_NEWRENO;
		tc->cc_priv = 0;
		return NULL;
	}
	tc->cc_priv = pool_index(&lc->tcp->paths, p);
	p->round_us = lc->now_us;
	p->round_end = tc->snd_nxt;
	p->min_rtt[0] = p->min_rtt[1] = tc->srtt != 0 ? tc->srtt >> 3 : UINT32_MAX;
	p->min_rtt_until = tick_add(lc->now, MIN_RTT_MS);
	return p;
}

static void
westwood_acked(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes)
{
	struct tcp_path *p = path_get(lc, tc);
	uint32_t idx = tc->cc_priv;

	if (p == NULL) {
		tcp_cc_newreno.acked(lc, tc, bytes);
		return;
	}
	tc->cc_priv = p->growth; // the same counting, kept in the block
	tcp_cc_newreno.acked(lc, tc, bytes);
	p->growth = tc->cc_priv;
	tc->cc_priv = idx;
}

/* Bytes per second: the best of the last full rounds and, if that is more, of the running one. */
static uint64_t
rate_of(const struct lcore *lc, const struct tcp_path *p)
{
	uint64_t now = 0, us = lc->now_us - p->round_us, full = sl_max(p->rate[0], p->rate[1]);

	if (us >= p->min_rtt[0] && us > 0)
		now = (uint64_t)p->delivered * 1000000 / us;
	return sl_max(now, full);
}

static void
westwood_delivered(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes, uint32_t rtt_us)
{
	struct tcp_path *p = path_of(lc, tc);
	uint64_t us;

	if (likely(p == NULL))
		return;
	if (rtt_us != 0) {
		p->min_rtt[0] = sl_min(p->min_rtt[0], rtt_us);
		p->min_rtt[1] = sl_min(p->min_rtt[1], rtt_us);
		if (tick_is_expired(p->min_rtt_until, lc->now)) {
			p->min_rtt[0] = p->min_rtt[1];
			p->min_rtt[1] = rtt_us;
			p->min_rtt_until = tick_add(lc->now, MIN_RTT_MS);
		}
	}
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

/* RFC 5681 (4): half of what is in flight, at least two segments. */
static uint32_t
half_flight(const struct tcp_conn *tc)
{
	return sl_max((tc->snd_nxt - tc->snd_una) / 2, 2u * tc->mss);
}

/* 3/2 of what the path holds without a queue; at least two segments, at most the flight's double. */
static uint32_t
path_window(const struct lcore *lc, const struct tcp_conn *tc, const struct tcp_path *p)
{
	uint32_t flight = tc->snd_nxt - tc->snd_una;
	uint64_t w;

	if (p->min_rtt[0] == UINT32_MAX)
		return half_flight(tc);
	w = rate_of(lc, p) * p->min_rtt[0] / 1000000;
	w += w / 2;
	w = sl_min(w, 2ull * flight);
	w = sl_max(w, 2ull * tc->mss);
	return (uint32_t)w;
}

static void
westwood_loss(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_path *p = path_get(lc, tc);

	if (p == NULL) {
		tcp_cc_newreno.loss(lc, tc);
		return;
	}
	p->resent = 0;
	p->flight = tc->snd_nxt - tc->snd_una;
	p->growth = 0;
	tc->ssthresh = path_window(lc, tc, p);
	tc->cwnd = tc->ssthresh;
}

static void
westwood_resent(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes)
{
	struct tcp_path *p = path_of(lc, tc);
	uint32_t half;

	if (p == NULL || !(tc->flags & TF_RECOVERY))
		return;
	p->resent += bytes;
	if (p->resent <= p->flight / 4 || p->flight == 0)
		return;
	half = sl_max(p->flight / 2, 2u * tc->mss);
	tc->ssthresh = sl_min(tc->ssthresh, half);
	tc->cwnd = sl_min(tc->cwnd, tc->ssthresh);
	p->flight = 0; // once a recovery
}

static void
westwood_recovered(struct lcore *lc sl_unused, struct tcp_conn *tc)
{
	tc->cwnd = tc->ssthresh;
}

static void
westwood_rto(struct lcore *lc, struct tcp_conn *tc, bool first)
{
	struct tcp_path *p = path_of(lc, tc);

	if (first)
		tc->ssthresh = p != NULL ? path_window(lc, tc, p) : half_flight(tc);
	tc->cwnd = tc->mss;
	if (p != NULL)
		p->growth = 0;
}

static void
westwood_idle(struct lcore *lc, struct tcp_conn *tc)
{
	tcp_cc_newreno.idle(lc, tc);
}

const struct tcp_cc tcp_cc_westwood = {
	.name = "westwood",
	.init = westwood_init,
	.fini = westwood_fini,
	.acked = westwood_acked,
	.delivered = westwood_delivered,
	.loss = westwood_loss,
	.resent = westwood_resent,
	.recovered = westwood_recovered,
	.rto = westwood_rto,
	.idle = westwood_idle,
};
