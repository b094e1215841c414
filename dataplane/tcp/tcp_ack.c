// SPDX-License-Identifier: BSD-3-Clause
/*
 * Acknowledgements of what we sent: freeing it, the send window, round-trip samples, loss.
 *
 * Runs on: the worker that owns the connection.
 * Follows: RFC 9293 3.10.7.4 fifth step, RFC 5961 5 (which ACKs are plausible), RFC 5681 and 6582
 * (duplicate ACKs, recovery, partial ACKs), RFC 6675 (the same with SACK), RFC 6298 5.
 * Not here: the scoreboard (tcp_sack.c), what is sent in consequence (tcp_out.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

/* Frees what lies before ack; returns the RTT of the newest segment sent once, or 0. */
static uint32_t
clean_queue(struct lcore *lc, struct tcp_conn *tc, uint32_t ack)
{
	struct rte_mbuf *m;
	uint64_t sent_us = 0;

	while ((m = tc->sndq) != NULL && m != tc->sndq_next) {
		struct pkt *p = pkt_of(m);
		uint32_t cut = sl_min((uint32_t)p->pay_len, ack - p->seq);

		if (seq_geq(p->seq, ack))
			break;
		if (p->tx_flags & TXF_SACKED)
			tc->sacked -= cut;
		else if ((p->tx_flags & (TXF_LOST | TXF_RETX)) == TXF_LOST)
			tc->lost -= cut;
		if (cut < p->pay_len) {
			p->seq += cut;
			p->pay_off += (uint16_t)cut;
			p->pay_len -= (uint16_t)cut;
			break;
		}
		if (p->tx_count == 1) // Karn: never from what was sent twice
			sent_us = p->tx_us;
		tc->sndq = p->next;
		if (tc->sndq == NULL)
			tc->sndq_tail = NULL;
		tc->sndq_segs--;
		lc->retained -= CHAIN_TRUESIZE;
		rte_pktmbuf_free_seg(m);
	}
	return sent_us != 0 ? (uint32_t)sl_max((uint64_t)1, lc->now_us - sent_us) : 0;
}

static void
window_update(struct tcp_conn *tc, const struct tcp_seg *s, uint32_t acked)
{
	uint32_t wnd = (uint32_t)s->wnd << tc->snd_scale;

	// RFC 9293 keeps SND.WL1/WL2 so that old segments do not win. Whatever advances
	// SND.UNA is newer; with the same numbers only a larger window can be.
	if (acked == 0 && !seq_gt(s->seq, tc->snd_wl1) &&
		!(s->seq == tc->snd_wl1 && wnd > tc->snd_wnd))
		return;
	if (seq_lt(s->ack + wnd, tc->snd_una + tc->snd_wnd))
		tc->flags |= TF_SHRUNK;
	tc->snd_wl1 = s->seq;
	tc->snd_wnd = wnd;
	if (s->wnd > tc->max_wnd)
		tc->max_wnd = s->wnd;
}

/* RFC 5681 2: what counts as a duplicate. */
static bool
is_dupack(const struct tcp_conn *tc, const struct tcp_seg *s, uint32_t wnd_before)
{
	return tc->snd_una != tc->snd_nxt && s->len == 0 && !(s->flags & RTE_TCP_FIN_FLAG) &&
		(uint32_t)s->wnd << tc->snd_scale == wnd_before;
}

static void
enter_recovery(struct lcore *lc, struct tcp_conn *tc)
{
	tc->recover = tc->snd_nxt;
	tc->flags |= TF_RECOVERY | TF_RTX_FORCE;
	tcp_cc_algos[tc->cc]->loss(lc, tc);
	stat_inc(lc, STAT_TCP_FAST_RETRANS);
}

/* Without SACK duplicate ACKs stand for segments that left the network. */
static void
reno_dupack(struct tcp_conn *tc)
{
	uint32_t most = tc->snd_nxt - tc->snd_una;

	most = most > tc->mss + tc->lost ? most - tc->mss - tc->lost : 0;
	tc->sacked = sl_min(tc->sacked + tc->mss, most);
}

/* The estimate never exceeds what is out. */
static void
reno_clamp(struct tcp_conn *tc)
{
	uint32_t out = tc->snd_nxt - tc->snd_una;

	tc->sacked = sl_min(tc->sacked, out > tc->lost ? out - tc->lost : 0u);
}

static void
detect_loss(struct lcore *lc, struct tcp_conn *tc, uint32_t newly)
{
	bool sack = tc->flags & TF_SACK;

	if (sack && newly == 0 && !(tc->flags & TF_RECOVERY) && tc->dupacks < TCP_DUPTHRESH)
		return;
	if (tc->flags & TF_LOSS) {
		if (sack)
			tcp_sack_mark_lost(tc); // all is marked already but what was sent since
		return;
	}
	if (sack && tcp_sack_mark_lost(tc) > 0 && !(tc->flags & TF_RECOVERY)) {
		enter_recovery(lc, tc);
		return;
	}
	if (tc->dupacks >= TCP_DUPTHRESH && !(tc->flags & TF_RECOVERY) &&
		seq_gt(tc->snd_una, tc->recover - 1)) {
		tcp_mark_head_lost(tc);
		enter_recovery(lc, tc);
	}
}

/* SND.UNA advanced while in recovery or after a timeout. */
static void
progress(struct lcore *lc, struct tcp_conn *tc, uint32_t acked)
{
	bool sack = tc->flags & TF_SACK;

	tc->dupacks = 0;
	tc->retries = 0;
	if (!(tc->flags & (TF_RECOVERY | TF_LOSS))) {
		if (!sack)
			tc->sacked = 0;
		return;
	}
	if (seq_geq(tc->snd_una, tc->recover)) {
		if (tc->flags & TF_RECOVERY)
			tcp_cc_algos[tc->cc]->recovered(lc, tc);
		tc->flags &= ~(TF_RECOVERY | TF_LOSS | TF_RTX_FORCE);
		if (!sack)
			tc->sacked = 0;
		return;
	}
	if (sack || !(tc->flags & TF_RECOVERY))
		return;
	// RFC 6582 3.2 (3): a partial ACK shows the next hole
	tc->sacked -= sl_min(tc->sacked, acked > tc->mss ? acked - tc->mss : 0u);
	tcp_mark_head_lost(tc);
	tc->flags |= TF_RTX_FORCE;
}

/* Our FIN was acknowledged. */
static void
fin_acked(struct lcore *lc, struct tcp_conn *tc)
{
	switch ((enum tcp_state)tc->state) {
	case TCP_FIN_WAIT_1:
		tc->state = TCP_FIN_WAIT_2;
		break;
	case TCP_CLOSING:
		tcp_timewait_enter(lc, tc);
		break;
	case TCP_LAST_ACK:
		tcp_conn_done(lc, tc);
		break;
	default:
		break;
	}
}

static void
tell_user(struct lcore *lc, struct tcp_conn *tc)
{
	uint8_t ev = 0;

	if (tc->flags & TF_ORPHAN)
		return;
	if (tc->sndq == NULL)
		ev |= TCP_EV_ACKED | TCP_EV_WRITABLE;
	if ((tc->flags & TF_SHORT) && tcp_send_space(tc) >= tcp_snd_buf(tc) / 2)
		ev |= TCP_EV_WRITABLE;
	if (ev & TCP_EV_WRITABLE)
		tc->flags &= ~TF_SHORT;
	if (ev != 0)
		tcp_raise(lc->tcp, tc, ev);
}

static uint32_t
rtt(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s, uint32_t us)
{
	if (us == 0 && (tc->flags & TF_TS) && (s->opts & TCP_OPT_TS)) {
		// RFC 7323 4.1: after a retransmission the echo says which one was meant
		uint32_t ms = tcp_ts_now(lc) - s->tsecr;
		us = ms < 60000 ? sl_max(1u, ms) * 1000 : 0;
	}
	if (us == 0)
		return 0;
	tcp_rtt_sample(tc, us);
	tc->backoff = 0; // RFC 6298 5.7: a sample ends the back-off
	return us;
}

/* New data was acknowledged; returns a round-trip sample, or 0. */
static uint32_t
advance(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s, uint32_t acked)
{
	uint32_t flight = tc->snd_nxt - tc->snd_una, us;
	bool had = tc->sndq != NULL;
	bool limited =
		flight + tc->mss > tc->cwnd || (tc->cwnd < tc->ssthresh && 2 * flight > tc->cwnd);
	bool growing = !(tc->flags & TF_RECOVERY);

	us = clean_queue(lc, tc, s->ack);
	tc->snd_una = s->ack;
	us = rtt(lc, tc, s, us);
	progress(lc, tc, acked);
	// RFC 5681 3.1, RFC 7661: no growth beyond what is used
	if (growing && limited)
		tcp_cc_algos[tc->cc]->acked(lc, tc, acked);
	if (had)
		tell_user(lc, tc);
	if ((tc->flags & TF_FIN_SENT) && s->ack == tc->snd_end + 1)
		fin_acked(lc, tc);
	return us;
}

enum tcp_verdict
tcp_ack_input(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s, enum drop *why)
{
	uint32_t acked = s->ack - tc->snd_una, wnd_before = tc->snd_wnd, newly = 0;
	uint32_t max_wnd = (uint32_t)tc->max_wnd << tc->snd_scale, sacked = tc->sacked, us = 0;

	if (unlikely(tc->state == TCP_SYN_RECEIVED)) { // simultaneous open
		if (s->ack != tc->snd_nxt) {
			tcp_send_reset(lc, s);
			*why = DROP_TCP_BAD_ACK;
			return TV_DROP;
		}
		tc->snd_una = s->ack;
		tc->state = tc->flags & TF_FIN_QUEUED ? TCP_FIN_WAIT_1 : TCP_ESTABLISHED;
		tc->snd_wnd = (uint32_t)s->wnd << (tc->flags & TF_WSCALE ? tc->snd_scale : 0);
		tcp_conn_start(lc, tc, tc->rcv_mss);
		tc->tmode = TM_NONE;
		tcp_raise(lc->tcp, tc, TCP_EV_CONNECTED);
		tcp_touch(lc->tcp, tc);
		return TV_OK;
	}
	// what was never sent, or was acknowledged long ago (RFC 5961 5.2)
	if (unlikely(seq_gt(s->ack, tc->snd_nxt) || seq_lt(s->ack, tc->snd_una - max_wnd))) {
		tcp_challenge(lc, tc);
		*why = DROP_TCP_BAD_ACK;
		return TV_DROP;
	}
	if (seq_lt(s->ack, tc->snd_una))
		return TV_OK; // old: overtaken on the way, no news
	window_update(tc, s, acked);
	if (tc->tmode == TM_PERSIST)
		tc->dupacks = 0; // the peer lives: probes never give up (RFC 9293 3.8.6.1)
	if (s->nsack > 0 && (tc->flags & TF_SACK))
		newly = tcp_sack_update(tc, s);
	if (acked > 0) {
		us = advance(lc, tc, s, acked);
		if (tc->state == TCP_CLOSED || tc->state == TCP_TIME_WAIT)
			return TV_OK;
	} else if (tc->tmode != TM_PERSIST && is_dupack(tc, s, wnd_before)) {
		if (tc->dupacks < UINT8_MAX)
			tc->dupacks++;
		if (!(tc->flags & TF_SACK))
			reno_dupack(tc);
	} else if (newly == 0 && wnd_before == tc->snd_wnd) {
		return TV_OK; // most data segments of the peer end here
	}
	if (tcp_cc_algos[tc->cc]->delivered != NULL) {
		// without SACK `sacked` is a guess, and may have been too high
		int32_t bytes = (int32_t)(acked + tc->sacked - sacked);
		tcp_cc_algos[tc->cc]->delivered(lc, tc, (uint32_t)sl_max(bytes, 0), us);
	}
	if (unlikely(newly > 0 || tc->dupacks > 0 || (tc->flags & TF_RECOVERY)))
		detect_loss(lc, tc, newly);
	if (unlikely(tc->sacked > 0) && !(tc->flags & TF_SACK))
		reno_clamp(tc);
	if (acked > 0)
		tcp_timer_update(lc, tc, true);
	tcp_touch(lc->tcp, tc);
	return TV_OK;
}
