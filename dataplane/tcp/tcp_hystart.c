// SPDX-License-Identifier: BSD-3-Clause
/*
 * Slow start: how fast it goes, and when it ends before something is lost.
 *
 * Runs on: the worker that owns the connection.
 * Follows: RFC 5681 3.1 with bytes counted (RFC 3465; after a timeout one segment per ACK), and
 * RFC 9406 (HyStart++) before the first loss: when a round's least RTT has grown by an eighth of
 * the round's before, growth goes on at a quarter (conservative slow start); after five such
 * rounds, of which the first is the rest of one, it ends, or goes on in full if the RTT came down again.
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define SLOW_START_MOST 256u // segments per ACK
#define RTT_MIN_US      4000u
#define RTT_MAX_US      16000u
#define SAMPLES         8
#define CSS_DIVISOR     4
#define CSS_ROUNDS      5

static bool
applies(const struct tcp_conn *tc)
{
	return tc->ssthresh == TCP_SSTHRESH_NONE;
}

void
tcp_hystart_init(const struct tcp_conn *tc, struct tcp_rec *r)
{
	r->hy = (struct tcp_hystart){ .end = tc->snd_nxt, .last = UINT32_MAX, .cur = UINT32_MAX };
}

static void
next_round(struct tcp_conn *tc, struct tcp_hystart *h)
{
	h->end = tc->snd_nxt;
	h->last = h->cur;
	h->cur = UINT32_MAX;
	h->samples = 0;
	// 4.2: the round in the middle of which it began counts
	if (h->base != 0 && ++h->rounds >= CSS_ROUNDS) {
		tc->ssthresh = tc->cwnd; // congestion avoidance
		h->base = 0;
	}
}

void
tcp_hystart_sample(struct tcp_conn *tc, struct tcp_rec *r, uint32_t rtt_us)
{
	struct tcp_hystart *h = &r->hy;

	if (!applies(tc))
		return;
	if (seq_geq(tc->snd_una, h->end))
		next_round(tc, h);
	if (rtt_us == 0)
		return;
	h->cur = sl_min(h->cur, rtt_us);
	if (h->samples < UINT16_MAX)
		h->samples++;
	if (h->samples < SAMPLES || h->cur == UINT32_MAX)
		return;
	if (h->base != 0) {
		if (h->cur < h->base)
			h->base = 0; // it was jitter
	} else if (h->last != UINT32_MAX) {
		uint32_t thresh = sl_max(h->last / 8, RTT_MIN_US);
		thresh = sl_min(thresh, RTT_MAX_US);
		if (h->cur >= h->last + thresh) {
			h->base = h->cur;
			h->rounds = 0;
		}
	}
}

void
tcp_hystart_delivered(
	struct lcore *lc, struct tcp_conn *tc, uint32_t bytes sl_unused, uint32_t rtt_us)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	if (r != NULL)
		tcp_hystart_sample(tc, r, rtt_us);
}

uint32_t
tcp_slow_start(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes)
{
	const struct tcp_rec *r = tcp_rec(lc->tcp, tc);
	// receivers that answer once per burst (so do we) acknowledge many segments at once: RFC
	// 3465's L = 2, and 8 of RFC 9406, would make slow start linear there
	uint32_t most = tc->flags & TF_LOSS ? tc->mss : SLOW_START_MOST * tc->mss;
	uint32_t n = sl_min(bytes, most);

	return r != NULL && r->hy.base != 0 && applies(tc) ? n / CSS_DIVISOR : n;
}
