// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loss by time: RACK, and the probe of a tail that nobody acknowledges.
 *
 * Runs on: the worker that owns the connection. State is a block of a pool (struct tcp_rec), taken
 * when the window limits a connection for the first time, at the first SACK, or for the first probe.
 * Without one (pool empty) the connection goes on with RFC 6675's count and without probes.
 * Follows: RFC 8985 6 (RACK) and 7 (TLP). Departures: the least RTT is of the last 10 to 20 s; and
 * a timestamp that shows a needless retransmission widens the reordering window as a D-SACK does.
 * Not here: SACK blocks (tcp_sack.c), recovery (tcp_ack.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define MIN_RTT_MS     10000
#define REO_PERSIST    16  // recoveries (RFC 8985 6.2 step 4)
#define REO_MULT_MAX   200 // SRTT bounds the window long before
#define WC_DELACK_MS   200 // RFC 8985 7.2: a lone segment's ACK may be delayed

struct tcp_rec *
tcp_rec_get(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_rec *r = tcp_rec(tl, tc);

	if (r != NULL)
		return r;
	r = pool_new(&tl->recs);
	if (r == NULL)
		return NULL;
	tc->rec = pool_index(&tl->recs, r);
	r->min_rtt[0] = r->min_rtt[1] = tc->srtt != 0 ? tc->srtt >> 3 : UINT32_MAX;
	r->min_rtt_until = tick_add(lc->now, MIN_RTT_MS);
	r->fack = tc->snd_una;
	r->reo_mult = 1;
	tcp_hystart_init(tc, r);
	if (tcp_cc_algos[tc->cc]->rec != NULL)
		tcp_cc_algos[tc->cc]->rec(lc, tc, r);
	return r;
}

void
tcp_rec_put(struct lcore *lc, struct tcp_conn *tc)
{
	if (tc->rec == TCP_NONE)
		return;
	pool_free(&lc->tcp->recs, tcp_rec(lc->tcp, tc));
	tc->rec = TCP_NONE;
}

/* RFC 8985 5.2: of two segments, was the first one sent later? */
static bool
sent_after(uint64_t us1, uint32_t end1, uint64_t us2, uint32_t end2)
{
	return us1 > us2 || (us1 == us2 && seq_gt(end1, end2));
}

void
tcp_rack_arrived(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r,
	const struct pkt *p, const struct tcp_seg *s)
{
	uint32_t end = p->seq + p->pay_len, rtt = (uint32_t)(lc->now_us - p->tx_us);

	if (tc->flags & TF_PACED)
		tcp_pace_arrived(lc, r, p);
	// step 3: what lies below something that arrived before, and was sent once, came late
	if (seq_geq(end, r->fack))
		r->fack = end;
	else if (p->tx_count == 1)
		r->reord = true;
	// step 2: which of two transmissions arrived is not known; the earlier one if it was too
	// fast, or if its timestamp came back (of what is out of order none does, RFC 7323 4.3)
	if (p->tx_count > 1) {
		if ((tc->flags & TF_TS) && (s->opts & TCP_OPT_TS) && seq_leq(end, s->ack) &&
			seq_lt(s->tsecr, (uint32_t)(p->tx_us / 1000) + lc->tcp->ts_off))
			return;
		if (rtt < r->min_rtt[0])
			return;
	}
	r->rack_rtt = rtt;
	if (sent_after(p->tx_us, end, r->rack_us, r->rack_end)) {
		r->rack_us = p->tx_us;
		r->rack_end = end;
	}
}

void
tcp_rack_rtt(const struct lcore *lc, struct tcp_rec *r, uint32_t us)
{
	r->min_rtt[0] = sl_min(r->min_rtt[0], us);
	r->min_rtt[1] = sl_min(r->min_rtt[1], us);
	if (tick_is_expired(r->min_rtt_until, lc->now)) {
		r->min_rtt[0] = r->min_rtt[1];
		r->min_rtt[1] = us;
		r->min_rtt_until = tick_add(lc->now, MIN_RTT_MS);
	}
}

/* RFC 6675's DupThresh: do so many segments stand reported? */
static bool
three_sacked(const struct tcp_conn *tc)
{
	uint32_t n = 0;

	if (tc->sacked > (TCP_DUPTHRESH - 1u) * tc->mss)
		return true;
	for (struct rte_mbuf *m = tc->sndq; tc->sacked > 0 && m != NULL && m != tc->sndq_next;
		m = pkt_of(m)->next) {
		n += pkt_of(m)->tx_flags & TXF_SACKED;
		if (n >= TCP_DUPTHRESH)
			return true;
	}
	return false;
}

/* Step 4: how long something may be late. */
static uint32_t
reo_window(const struct tcp_conn *tc, const struct tcp_rec *r)
{
	if (!r->reord && ((tc->flags & (TF_RECOVERY | TF_LOSS)) || three_sacked(tc)))
		return 0;
	if (r->min_rtt[0] == UINT32_MAX)
		return 0;
	return sl_min(r->min_rtt[0] / 4 * r->reo_mult, tc->srtt >> 3);
}

/* Step 5. */
uint32_t
tcp_rack_detect(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r, uint64_t *wait_us)
{
	uint32_t before = tc->lost;
	uint64_t wnd = reo_window(tc, r);

	*wait_us = 0;
	for (struct rte_mbuf *m = tc->sndq; m != NULL && m != tc->sndq_next;) {
		struct pkt *p = pkt_of(m);
		uint64_t due = p->tx_us + r->rack_rtt + wnd;

		m = p->next;
		// sent once, after what arrived: so was all that follows
		if (p->tx_count == 1 && p->tx_us > r->rack_us)
			break;
		if ((p->tx_flags & TXF_SACKED) ||
			(p->tx_flags & (TXF_LOST | TXF_RETX)) == TXF_LOST ||
			!sent_after(r->rack_us, r->rack_end, p->tx_us, p->seq + p->pay_len))
			continue;
		if (due <= lc->now_us)
			tcp_mark_lost(tc, p);
		else
			*wait_us = sl_max(*wait_us, due - lc->now_us);
	}
	return tc->lost - before;
}

void
tcp_rack_dsack(struct tcp_conn *tc, struct tcp_rec *r)
{
	// once a round trip
	if (r->dsack_wait && seq_lt(tc->snd_una, r->dsack_round))
		return;
	r->dsack_wait = true;
	r->dsack_round = tc->snd_nxt;
	if (r->reo_mult < REO_MULT_MAX)
		r->reo_mult++;
	r->reo_persist = REO_PERSIST;
}

void
tcp_rack_recovered(struct tcp_rec *r)
{
	if (r->reo_persist > 0 && --r->reo_persist == 0)
		r->reo_mult = 1;
}

void
tcp_rack_rto(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r)
{
	uint64_t wnd = reo_window(tc, r);
	bool first = true;

	for (struct rte_mbuf *m = tc->sndq; m != NULL && m != tc->sndq_next;) {
		struct pkt *p = pkt_of(m);

		m = p->next;
		if (p->tx_flags & TXF_SACKED)
			continue;
		if (first || p->tx_us + r->rack_rtt + wnd <= lc->now_us)
			tcp_mark_lost(tc, p);
		first = false;
	}
}

/* ---- tail loss probes ---- */

uint32_t
tcp_tlp_ms(const struct tcp_lcore *tl, const struct tcp_conn *tc, uint32_t rto_ms)
{
	uint32_t flight = tc->snd_nxt - tc->snd_una, ms = WC_DELACK_MS;
	const struct tcp_rec *r;

	// what a request or a short answer meets: the RTO is as near
	if (flight <= tc->mss && rto_ms <= ms)
		return 0;
	if (!(tc->flags & TF_SACK) || (tc->flags & (TF_RECOVERY | TF_LOSS)) || tc->sacked > 0 ||
		tc->backoff > 0 || tc->retries > 0 || tc->srtt == 0 || tc->sndq == NULL ||
		tc->state < TCP_ESTABLISHED)
		return 0;
	r = tcp_rec(tl, tc);
	if (r != NULL && r->tlp)
		return 0; // one probe at a time
	if (flight > tc->mss)
		ms = 0;
	ms += (tc->srtt >> 2) / 1000 + 1; // 2 SRTT
	return ms < rto_ms ? ms : 0;
}

/* The last segment that was sent. */
static struct rte_mbuf *
last_sent(const struct tcp_conn *tc)
{
	struct rte_mbuf *m = tc->sndq;

	if (tc->sndq_next == NULL)
		return tc->sndq_tail;
	if (m == tc->sndq_next)
		return NULL;
	while (pkt_of(m)->next != tc->sndq_next)
		m = pkt_of(m)->next;
	return m;
}

void
tcp_tlp_fire(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec_get(lc, tc);
	struct rte_mbuf *m;

	tc->flags &= ~TF_TLP;
	tc->rtx_at = tick_add(lc->now, tcp_rto_ms(lc->tcp, tc));
	if (r == NULL)
		return;
	r->tlp_retrans = false;
	if (!tcp_send_one(lc, tc)) {
		uint8_t flags = RTE_TCP_ACK_FLAG;

		m = last_sent(tc);
		if (m == NULL || pkt_of(m)->pay_len > tc->mss)
			return;
		if ((tc->flags & TF_FIN_SENT) && pkt_of(m)->next == NULL)
			flags |= RTE_TCP_FIN_FLAG;
		if (tcp_sndq_emit(lc, tc, m, flags) < 0)
			return;
		r->tlp_retrans = true;
	}
	r->tlp = true;
	r->tlp_end = tc->snd_nxt;
	stat_inc(lc, STAT_TCP_TLP);
}

void
tcp_tlp_acked(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r, const struct tcp_seg *s,
	bool again)
{
	if (seq_lt(s->ack, r->tlp_end))
		return;
	if (!r->tlp_retrans || r->dsack) {
		r->tlp = false; // new data, or the original had arrived
	} else if (seq_gt(s->ack, r->tlp_end)) {
		// the probe filled a hole: the loss counts (7.4.2)
		r->tlp = false;
		tcp_cc_algos[tc->cc]->loss(lc, tc);
		tc->cwnd = sl_min(tc->cwnd, tc->ssthresh);
	} else if (again && s->len == 0 && s->nsack == 0) {
		r->tlp = false; // the ACK of the probe alone, a duplicate
	}
}
