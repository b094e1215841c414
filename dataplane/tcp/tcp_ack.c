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

void
tcp_undo(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r)
{
	if (r->undo_cwnd == 0)
		return;
	stat_inc(lc, STAT_TCP_UNDO);
	tc->flags &= ~(TF_RECOVERY | TF_RTX_FORCE);
	tc->cwnd = sl_max(tc->cwnd, r->undo_cwnd);
	tc->ssthresh = sl_max(tc->ssthresh, r->undo_ssthresh);
	r->undo_cwnd = 0;
	if (tcp_cc_algos[tc->cc]->undo != NULL)
		tcp_cc_algos[tc->cc]->undo(lc, tc);
}

/* A segment of the front is acknowledged that the peer had not reported. */
static void
arrived(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r, const struct pkt *p,
	const struct tcp_seg *s)
{
	tcp_rack_arrived(lc, tc, r, p, s);
	// RFC 3522: the ACK echoes a time before the retransmission, so it is the original's
	// (after a timeout it may as well be that only the first ACK was lost). The window comes back
	// when that is so of all that was sent again: beside one real loss it stays reduced. The echo
	// is of the first segment that the ACK covers (RFC 7323 4.3). A tail loss probe whose original was
	// only late says nothing of reordering (RFC 8985 6.2).
	if (p->tx_count == 2 && (p->tx_flags & TXF_RETX) && p->seq == tc->snd_una &&
		(tc->flags & (TF_TS | TF_LOSS)) == TF_TS && (s->opts & TCP_OPT_TS) &&
		seq_lt(s->tsecr, (uint32_t)(p->tx_us / 1000) + lc->tcp->ts_off)) {
		r->reord = true;
		tcp_rack_dsack(tc, r);
		if (r->undo_ts > 0 && --r->undo_ts == 0)
			tcp_undo(lc, tc, r);
	}
}

/* When what an ACK covers was sent; 0: nothing of the kind. */
struct sent {
	uint64_t once_us;  // newest segment that was sent once, and not reported before
	uint64_t again_us; // newest retransmission
};

/* Frees what lies before ack. */
static struct sent
clean_queue(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s)
{
	uint32_t ack = s->ack;
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);
	struct rte_mbuf *m;
	struct sent sent = { 0, 0 };

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
		if (unlikely(r != NULL) && !(p->tx_flags & TXF_SACKED))
			arrived(lc, tc, r, p, s);
		if (p->tx_count > 1)
			sent.again_us = sl_max(sent.again_us, p->tx_us);
		else if (!(p->tx_flags & TXF_SACKED))
			sent.once_us = p->tx_us;
		tc->sndq = p->next;
		if (tc->sndq == NULL)
			tc->sndq_tail = NULL;
		tc->sndq_segs--;
		lc->retained -= CHAIN_TRUESIZE;
		rte_pktmbuf_free_seg(m);
	}
	return sent;
}

static inline bool
is_overtaken(const struct tcp_conn *tc, const struct tcp_seg *s)
{
	return (tc->flags & TF_TS) && seq_lt(s->tsval, tc->ts_recent) && !(tc->flags & TF_TS_OLD);
}

static void
window_update(struct tcp_conn *tc, const struct tcp_seg *s, uint32_t acked)
{
	uint32_t wnd = (uint32_t)s->wnd << tc->snd_scale;

	// RFC 9293 3.10.7.4 keeps SND.WL1/WL2 so that old segments do not win. Whatever advances
	// SND.UNA is newer; with the same numbers the last to come counts, be its window larger or
	// smaller, unless its timestamp says that a later one overtook it.
	if (acked == 0 && (seq_lt(s->seq, tc->snd_wl1) || unlikely(is_overtaken(tc, s))))
		return;
	if (unlikely(seq_lt(s->ack + wnd, tc->snd_nxt)))
		tc->flags |= TF_SHRUNK;
	else
		tc->flags &= ~TF_SHRUNK;
	tc->snd_wl1 = s->seq;
	tc->snd_wnd = wnd;
	if (s->wnd > tc->max_wnd)
		tc->max_wnd = s->wnd;
}

/*
 * The window was taken back to nothing while something is on its way, or it opens again after that. What
 * lies behind its edge is no reason to give up, as long as the peer answers (RFC 9293 3.8.6, SHLD-17); but
 * a connection that nobody owns any more waits no longer than others. When there is room again the rest does
 * not wait for a timer that was backed off.
 */
static sl_cold void
shrunk_to_nothing(struct lcore *lc, struct tcp_conn *tc)
{
	if (tc->snd_wnd == 0) {
		if (!(tc->flags & TF_ORPHAN))
			tc->retries = 0;
		return;
	}
	if (tc->backoff == 0)
		return;
	tc->backoff = 0;
	tcp_mark_all_lost(tc);
	tc->flags |= TF_RTX_FORCE;
	tcp_timer_update(lc, tc, true);
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
	struct tcp_rec *r = tcp_rec_get(lc, tc);

	tc->recover = tc->snd_nxt;
	tc->flags |= TF_RECOVERY | TF_RTX_FORCE;
	if (r != NULL) {
		r->tlp = false;
		r->undo_cwnd = tc->cwnd;
		r->undo_ssthresh = tc->ssthresh;
		r->undo_dsack = r->undo_ts = 0;
		if (!tcp_cc_algos[tc->cc]->paced)
			tcp_prr_start(tc, r);
	}
	tcp_cc_algos[tc->cc]->loss(lc, tc);
	if (r == NULL)
		tc->cwnd = tc->ssthresh;
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

/* SACK: marks what is lost; returns when to look again, us, or 0. */
static uint64_t
detect_by_sack(struct lcore *lc, struct tcp_conn *tc, uint32_t *newly)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);
	uint64_t wait_us = 0;

	*newly = r != NULL ? tcp_rack_detect(lc, tc, r, &wait_us) : tcp_sack_mark_lost(tc);
	if (*newly > 0 && !(tc->flags & (TF_RECOVERY | TF_LOSS)))
		enter_recovery(lc, tc);
	return wait_us;
}

static uint64_t
detect_loss(struct lcore *lc, struct tcp_conn *tc, uint32_t *newly)
{
	const struct tcp_rec *r;
	uint64_t wait_us = 0;

	*newly = 0;
	if (tc->flags & TF_SACK)
		wait_us = detect_by_sack(lc, tc, newly);
	// duplicate ACKs count where there is no SACK, or none that says anything
	r = tcp_rec(lc->tcp, tc);
	if (tc->dupacks >= TCP_DUPTHRESH && !(tc->flags & (TF_RECOVERY | TF_LOSS)) &&
		(r == NULL || !r->reord || !(tc->flags & TF_SACK)) &&
		seq_geq(tc->snd_una, tc->recover)) {
		tcp_mark_head_lost(tc);
		enter_recovery(lc, tc);
	}
	return wait_us;
}

static void
arm_reo(struct lcore *lc, struct tcp_conn *tc, uint64_t wait_us)
{
	sl_tick at = tick_add(lc->now, (uint32_t)(wait_us / 1000) + 1);

	if (tc->tmode != TM_RTX || !tick_is_before(at, tc->rtx_at))
		return;
	tc->flags = (tc->flags & ~TF_TLP) | TF_REO;
	tc->rtx_at = at;
	wheel_arm(&lc->wheel, &tc->timer, tick_first(at, tc->delack_at));
}

void
tcp_reo_timeout(struct lcore *lc, struct tcp_conn *tc)
{
	uint32_t newly;
	uint64_t wait_us = detect_by_sack(lc, tc, &newly);

	// nothing arrived: one retransmission
	if ((tc->flags & (TF_RECOVERY | TF_PACED)) == TF_RECOVERY && tc->rec != TCP_NONE)
		tcp_prr_acked(tc, tcp_rec(lc->tcp, tc), 0, false);
	tcp_timer_update(lc, tc, true);
	if (wait_us != 0)
		arm_reo(lc, tc, wait_us);
	tcp_touch(lc->tcp, tc);
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
		if (tc->flags & TF_RECOVERY) {
			struct tcp_rec *r = tcp_rec(lc->tcp, tc);
			tcp_cc_algos[tc->cc]->recovered(lc, tc);
			if (r != NULL)
				tcp_rack_recovered(r);
		}
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

/* A round-trip sample, if the ACK gives one. */
static uint32_t
rtt(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s, const struct sent *sent)
{
	uint32_t us = 0;

	if (likely(sent->again_us == 0)) {
		if (sent->once_us != 0)
			us = (uint32_t)sl_max(lc->now_us - sent->once_us, (uint64_t)1);
	} else if ((tc->flags & TF_TS) && (s->opts & TCP_OPT_TS)) {
		// Karn: only an echo of the retransmission itself says which one arrived. Segments
		// behind it waited for it, so their age is no round trip either.
		uint32_t again = (uint32_t)(sent->again_us / 1000) + lc->tcp->ts_off, ms;
		if (seq_geq(s->tsecr, again) && tcp_ts_age(lc, s, &ms))
			us = sl_max(1u, ms) * 1000;
	}
	if (us == 0)
		return 0;
	tcp_rtt_sample(tc, us);
	if (tc->rec != TCP_NONE)
		tcp_rack_rtt(lc, tcp_rec(lc->tcp, tc), us);
	tc->backoff = 0; // RFC 6298 5.7: a sample ends the back-off
	return us;
}

/* RFC 5681 3.1, RFC 7661: no growth beyond what is used. To be asked before the ACK counts. */
static inline bool
uses_window(const struct tcp_conn *tc)
{
	uint32_t flight = tc->snd_nxt - tc->snd_una;

	return flight + tc->mss > tc->cwnd || (tc->cwnd < tc->ssthresh && 2 * flight > tc->cwnd);
}

/* New data was acknowledged; returns a round-trip sample, or 0. */
static uint32_t
advance(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s, uint32_t acked)
{
	struct sent sent;
	bool had = tc->sndq != NULL, limited = uses_window(tc);
	bool growing = !(tc->flags & TF_RECOVERY);
	uint32_t us;

	sent = clean_queue(lc, tc, s);
	tc->snd_una = s->ack;
	us = rtt(lc, tc, s, &sent);
	progress(lc, tc, acked);
	if (growing && limited)
		tcp_cc_algos[tc->cc]->acked(lc, tc, acked);
	if (had)
		tell_user(lc, tc);
	if ((tc->flags & TF_FIN_SENT) && s->ack == tc->snd_end + 1)
		fin_acked(lc, tc);
	return us;
}

/* The blocks of an ACK; returns bytes newly reported. */
static sl_cold uint32_t
sack_input(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s)
{
	struct tcp_rec *r = tcp_rec_get(lc, tc);

	if (r != NULL && tcp_is_dsack(tc, s)) {
		// a probe that was not needed tells of no reordering, and of no needless recovery
		bool probe = r->tlp_retrans && s->sack[0].to == r->tlp_end;
		stat_inc(lc, STAT_TCP_DSACK_IN);
		r->dsack = true;
		if (!probe)
			tcp_rack_dsack(tc, r);
		// each retransmission of the recovery was one too many
		if (!probe && r->undo_dsack > 0) {
			// a block may tell of several
			uint32_t n = (s->sack[0].to - s->sack[0].from + tc->mss - 1) / tc->mss;
			n = sl_max(n, 1u);
			r->undo_dsack -= sl_min(n, r->undo_dsack);
			if (r->undo_dsack == 0)
				tcp_undo(lc, tc, r);
		}
	}
	return tcp_sack_update(lc, tc, r, s);
}

/* The reduction of the window in recovery, for connections that have a block. */
static void
reduce(struct lcore *lc, struct tcp_conn *tc, int32_t delivered, bool safe)
{
	if ((tc->flags & (TF_RECOVERY | TF_PACED)) == TF_RECOVERY)
		tcp_prr_acked(tc, tcp_rec(lc->tcp, tc), (uint32_t)sl_max(delivered, 0), safe);
}

/* Probes, for the same. */
static void
after_ack(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s, uint32_t acked)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	if (r->tlp)
		tcp_tlp_acked(lc, tc, r, s, acked == 0);
	if (r->mss_full != 0)
		tcp_pmtu_grow(lc, tc, r);
	r->dsack = false;
}

enum tcp_verdict
tcp_ack_input(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s, enum drop *why)
{
	uint64_t wait_us = 0;
	uint32_t acked = s->ack - tc->snd_una, wnd_before = tc->snd_wnd, newly = 0, lost = 0;
	uint32_t max_wnd = (uint32_t)tc->max_wnd << tc->snd_scale, sacked = tc->sacked, us = 0;
	bool old = false;

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
	if (seq_lt(s->ack, tc->snd_una)) { // old: overtaken on the way, no news but of SACK
		if (s->nsack == 0 || !(tc->flags & TF_SACK))
			return TV_OK;
		old = true;
		acked = 0;
	} else {
		window_update(tc, s, acked);
		if (unlikely(wnd_before == 0 || tc->snd_wnd == 0) && acked == 0 && tc->tmode == TM_RTX)
			shrunk_to_nothing(lc, tc);
	}
	if (tc->tmode > TM_RTX)
		tc->dupacks = 0; // the peer lives: probes never give up (RFC 9293 3.8.6.1)
	if (unlikely(s->nsack > 0) && (tc->flags & TF_SACK))
		newly = sack_input(lc, tc, s);
	if (acked > 0) {
		us = advance(lc, tc, s, acked);
		if (tc->state == TCP_CLOSED || tc->state == TCP_TIME_WAIT)
			return TV_OK;
	} else if (!old && tc->tmode == TM_RTX && is_dupack(tc, s, wnd_before)) {
		if (tc->dupacks < UINT8_MAX)
			tc->dupacks++;
		if (!(tc->flags & TF_SACK))
			reno_dupack(tc);
	} else if (newly == 0 && wnd_before == tc->snd_wnd) {
		// nothing arrived, nothing is lost: in recovery nothing more may leave either
		if (unlikely(tc->rec != TCP_NONE))
			after_ack(lc, tc, s, 0);
		return TV_OK; // most data segments of the peer end here
	}
	if (tcp_cc_algos[tc->cc]->delivered != NULL) {
		// without SACK `sacked` is a guess, and may have been too high
		int32_t bytes = (int32_t)(acked + tc->sacked - sacked);
		tcp_cc_algos[tc->cc]->delivered(lc, tc, (uint32_t)sl_max(bytes, 0), us);
	}
	if (unlikely(newly > 0 || tc->dupacks > 0 || tc->sacked > 0 ||
		    (tc->flags & (TF_RECOVERY | TF_LOSS))))
		wait_us = detect_loss(lc, tc, &lost);
	if (unlikely(tc->sacked > 0) && !(tc->flags & TF_SACK))
		reno_clamp(tc);
	if (unlikely(tc->rec != TCP_NONE)) {
		reduce(lc, tc, (int32_t)(acked + tc->sacked - sacked), acked > 0 && lost == 0);
		after_ack(lc, tc, s, acked);
	}
	if (unlikely(newly > 0 && acked == 0)) // a hole may stand for long, and what left behind it made room
		tell_user(lc, tc);
	if (acked > 0 || (newly > 0 && (tc->flags & TF_TLP)))
		tcp_timer_update(lc, tc, true);
	if (unlikely(wait_us != 0))
		arm_reo(lc, tc, wait_us);
	tcp_touch(lc->tcp, tc);
	return TV_OK;
}

/*
 * Frees what lies before ack, and moves SND.UNA there, of a connection in which nothing is marked or
 * reported: what advance() comes to then.
 */
static inline uint32_t
advance_plain(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s)
{
	uint32_t ack = s->ack, acked = ack - tc->snd_una, us;
	bool limited = uses_window(tc);
	struct sent sent = { 0, 0 };
	struct rte_mbuf *m;

	while ((m = tc->sndq) != tc->sndq_next) {
		struct pkt *p = pkt_of(m);
		uint32_t cut = ack - p->seq;

		if ((int32_t)cut <= 0)
			break;
		if (unlikely(cut < p->pay_len)) {
			p->seq += cut;
			p->pay_off += (uint16_t)cut;
			p->pay_len -= (uint16_t)cut;
			break;
		}
		if (unlikely(p->tx_count > 1))
			sent.again_us = sl_max(sent.again_us, p->tx_us);
		else
			sent.once_us = p->tx_us;
		tc->sndq = p->next;
		tc->sndq_segs--;
		lc->retained -= CHAIN_TRUESIZE;
		rte_pktmbuf_free_seg(m);
	}
	if (tc->sndq == NULL)
		tc->sndq_tail = NULL;
	tc->snd_una = ack;
	us = rtt(lc, tc, s, &sent);
	tc->retries = 0;
	if (limited)
		tcp_cc_algos[tc->cc]->acked(lc, tc, acked);
	tell_user(lc, tc);
	return us;
}

/*
 * The segment that was expected next: what tcp_ack_input() does where nothing is lost, reported,
 * closing or waiting. tcp_is_predicted() has said that it is one.
 */
void
tcp_ack_predicted(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s)
{
	const struct tcp_cc *cc = tcp_cc_algos[tc->cc];
	uint32_t acked = s->ack - tc->snd_una, wnd_before = tc->snd_wnd, us = 0;

	window_update(tc, s, acked);
	if (acked == 0 && wnd_before == tc->snd_wnd)
		return;
	if (acked > 0)
		us = advance_plain(lc, tc, s);
	if (cc->delivered != NULL)
		cc->delivered(lc, tc, acked, us);
	if (acked > 0)
		tcp_timer_update(lc, tc, true);
	tcp_touch(lc->tcp, tc);
}
