// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a connection sends: retransmissions first, then new data, FIN, and an ACK if none rode.
 *
 * Runs on: the worker that owns the connection, once per loop and touched connection.
 * Follows: RFC 9293 3.8.6.2.1 (sender's silly window; Nagle is off, a proxy's writer fills its
 * segments itself), RFC 6675 5 (NextSeg, pipe against cwnd), RFC 3042 (limited transmit: a SACK or
 * duplicate ACK lowers the pipe, so new data follows by itself), RFC 5681 4.1 (idle).
 * Not here: building segments (tcp_send.c), timers (tcp_timer.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define SND_SPARE_KB 128u

uint32_t
tcp_pipe(const struct tcp_conn *tc)
{
	uint32_t out = tc->snd_nxt - tc->snd_una, gone = tc->sacked + tc->lost;

	return out > gone ? out - gone : 0;
}

static bool
cwnd_allows(const struct tcp_conn *tc, uint32_t len)
{
	uint32_t pipe = tcp_pipe(tc);

	return pipe == 0 || pipe + len <= tc->cwnd;
}

/* Must it wait for its time? */
static inline bool
paced(struct lcore *lc, struct tcp_conn *tc)
{
	return unlikely(tc->flags & TF_PACED) && tcp_pace_wait(lc, tc);
}

/* Allocation failed: once more soon, whatever timers run. */
static sl_apart void
try_again(struct lcore *lc, struct tcp_conn *tc)
{
	tcp_timer_delack(lc, tc, TCP_RETRY_MS);
}

/*
 * May m be cut, which takes a buffer more? A peer with tiny segments would have one for each of them, so it
 * waits for acknowledgements beyond half as much again as what tcp_send_space() lets in, which segments of a
 * usual size never need, and while the worker has none to spare. The front goes whatever is held, or
 * nothing would ever.
 */
static sl_apart bool
may_cut(struct lcore *lc, const struct tcp_conn *tc, const struct rte_mbuf *m)
{
	uint32_t most = 3 * sl_max(tcp_share(lc, lc->tcp->conf.snd_buf), 4096u);

	if (m == tc->sndq || ((tc->sndq_segs + 1u) * CHAIN_TRUESIZE <= most &&
				     lc->retained + CHAIN_TRUESIZE <= lc->retain_max))
		return true;
	stat_inc(lc, STAT_TCP_CUT_HELD);
	return false;
}

static sl_apart int
retransmit(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);
	uint32_t edge = tc->snd_una + tc->snd_wnd;

	for (struct rte_mbuf *m = tc->sndq; tc->lost > 0 && m != NULL && m != tc->sndq_next;
		m = pkt_of(m)->next) {
		struct pkt *p = pkt_of(m);
		uint8_t flags = RTE_TCP_ACK_FLAG;

		if ((p->tx_flags & (TXF_LOST | TXF_RETX | TXF_SACKED)) != TXF_LOST)
			continue;
		// behind the edge of a window that was taken back only one segment goes, as a probe: the
		// first of a timeout, a recovery, a partial ACK, a size that was told (RFC 9293 3.8.6,
		// MAY-7)
		if (!(tc->flags & TF_RTX_FORCE) &&
			(!cwnd_allows(tc, p->pay_len) || seq_geq(p->seq, edge) || paced(lc, tc)))
			break;
		if (p->pay_len > tc->mss) {
			if (!may_cut(lc, tc, m))
				break;
			if (tcp_sndq_split(lc, tc, m, tc->mss) < 0)
				return -ENOMEM;
		}
		if ((tc->flags & TF_FIN_SENT) && p->next == NULL)
			flags |= RTE_TCP_FIN_FLAG;
		if (tcp_sndq_emit(lc, tc, m, flags) < 0)
			return -ENOMEM;
		if (tcp_cc_algos[tc->cc]->resent != NULL)
			tcp_cc_algos[tc->cc]->resent(lc, tc, p->pay_len);
		p->tx_flags |= TXF_RETX;
		tc->lost -= p->pay_len;
		tc->flags &= ~TF_RTX_FORCE;
		if (r != NULL && r->undo_cwnd != 0) {
			r->undo_dsack++;
			r->undo_ts++;
		}
	}
	return 0;
}

/* The part of m that may go now by window and silly-window rules; 0: wait. */
static uint32_t
usable(struct tcp_conn *tc, const struct pkt *p)
{
	uint32_t edge = tc->snd_una + tc->snd_wnd, len = sl_min(p->pay_len, tc->mss);
	uint32_t wnd = seq_gt(edge, tc->snd_nxt) ? edge - tc->snd_nxt : 0;

	if (len <= wnd)
		return len;
	tc->flags |= TF_BLOCKED;
	// RFC 9293 3.8.6.2.1 (3): at least half of the largest window, or the override timeout
	if (wnd > 0 &&
		(wnd >= ((uint32_t)tc->max_wnd << tc->snd_scale) / 2 || (tc->flags & TF_WND_FORCE)))
		return wnd;
	return 0;
}

/* Was nothing sent for longer than the RTO? */
static bool
is_idle(const struct lcore *lc, const struct tcp_conn *tc)
{
	sl_tick since = tc->rtx_at;

	// no RTO is shorter than the least
	if (likely(tc->tmode == TM_NONE && lc->now - since <= lc->tcp->conf.rto_min_ms))
		return false;
	if (tc->tmode == TM_KEEP)
		since -= lc->tcp->keep[tc->keep].idle_ms;
	else if (tc->tmode != TM_NONE)
		return false;
	return lc->now - since > tcp_rto_ms(lc->tcp, tc);
}

/* The next segment of new data, len bytes of it. */
static int
send_next(struct lcore *lc, struct tcp_conn *tc, uint32_t len)
{
	struct rte_mbuf *m = tc->sndq_next;
	struct pkt *p = pkt_of(m);
	uint8_t flags = RTE_TCP_ACK_FLAG;

	if (len < p->pay_len && tcp_sndq_split(lc, tc, m, len) < 0)
		return -ENOMEM;
	if (p->next == NULL && (tc->flags & TF_FIN_QUEUED) &&
		seq_lt(tc->snd_nxt + len, tc->snd_una + tc->snd_wnd))
		flags |= RTE_TCP_FIN_FLAG;
	if (tcp_sndq_emit(lc, tc, m, flags) < 0)
		return -ENOMEM;
	tc->sndq_next = p->next;
	tc->snd_nxt += len;
	tc->flags &= ~TF_WND_FORCE;
	if (flags & RTE_TCP_FIN_FLAG) {
		tc->flags |= TF_FIN_SENT;
		tc->snd_nxt++;
	}
	return 0;
}

bool
tcp_send_one(struct lcore *lc, struct tcp_conn *tc)
{
	uint32_t len = tc->sndq_next != NULL ? usable(tc, pkt_of(tc->sndq_next)) : 0;

	if (len == 0 || (len < pkt_of(tc->sndq_next)->pay_len && !may_cut(lc, tc, tc->sndq_next)))
		return false;
	return send_next(lc, tc, len) == 0;
}

static inline int
send_each(struct lcore *lc, struct tcp_conn *tc)
{
	while (tc->sndq_next != NULL) {
		const struct pkt *p = pkt_of(tc->sndq_next);
		uint32_t len = usable(tc, p);

		if (len == 0 || !cwnd_allows(tc, len) || paced(lc, tc))
			break;
		if (unlikely(len < p->pay_len) && !may_cut(lc, tc, tc->sndq_next))
			break;
		if (send_next(lc, tc, len) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* By a port whose device cuts. */
static sl_apart int
send_joined(struct lcore *lc, struct tcp_conn *tc)
{
	int rc;

	tcp_join_begin(lc, tc);
	rc = send_each(lc, tc);
	tcp_join_end(lc, tc);
	return rc;
}

static int
send_new(struct lcore *lc, struct tcp_conn *tc)
{
	if (tc->sndq_next != NULL && tc->snd_una == tc->snd_nxt && is_idle(lc, tc))
		tcp_cc_algos[tc->cc]->idle(lc, tc);
	return unlikely(lc->tcp->tso) ? send_joined(lc, tc) : send_each(lc, tc);
}

static int
send_fin(struct lcore *lc, struct tcp_conn *tc)
{
	if ((tc->flags & (TF_FIN_QUEUED | TF_FIN_SENT)) != TF_FIN_QUEUED || tc->sndq_next != NULL)
		return 0;
	if (seq_geq(tc->snd_nxt, tc->snd_una + tc->snd_wnd)) {
		tc->flags |= TF_BLOCKED;
		return 0;
	}
	if (tcp_send_ctl(lc, tc, tc->snd_end, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG) < 0)
		return -ENOMEM;
	tc->flags |= TF_FIN_SENT;
	tc->snd_nxt++;
	return 0;
}

static sl_apart void
send_syn(struct lcore *lc, struct tcp_conn *tc)
{
	uint8_t flags = RTE_TCP_SYN_FLAG;

	if (tc->state == TCP_SYN_RECEIVED)
		flags |= RTE_TCP_ACK_FLAG;
	if (tcp_send_ctl(lc, tc, tc->snd_una, flags) < 0) {
		try_again(lc, tc);
		return;
	}
	tc->flags &= ~(TF_SYN_DUE | TF_ACK_NOW);
	if (tc->retries > 0)
		stat_inc(lc, STAT_TCP_RETRANS);
}

/*
 * Twice what may be on its way, and a little: more in the queue would not be sent sooner. So who does not
 * read (his window is closed) holds little, and who has a long path gets what it needs: two shares
 * while three quarters of the budget are free.
 */
static uint16_t
snd_buf_kb(const struct lcore *lc, const struct tcp_conn *tc)
{
	uint32_t most = lc->tcp->conf.snd_buf, use = sl_min(tc->cwnd, tc->snd_wnd), want, kb;

	use = sl_max(use, tc->snd_nxt - tc->snd_una);
	want = sl_min(most >> 10, (use >> 9) + SND_SPARE_KB);
	if (likely(tcp_share(lc, want << 10) == want << 10))
		return (uint16_t)want;
	kb = sl_max(tcp_share(lc, most) >> 10, 4u);
	if (lc->retained < lc->retain_max / 4)
		kb *= 2;
	return (uint16_t)sl_min(want, kb);
}

/*
 * Half of the calls: something came in, and what it leads to leaves with a later one. Only where the
 * timer too stands as it should.
 */
static inline bool
nothing_to_do(const struct lcore *lc, const struct tcp_conn *tc)
{
	const uint32_t any = TF_ACK_NOW | TF_FIN_QUEUED | TF_BLOCKED | TF_ORPHAN | TF_SYN_DUE;

	return tc->sndq_next == NULL && tc->lost == 0 && (tc->flags & any) == 0 &&
		tc->state == TCP_ESTABLISHED && tc->keep == 0 &&
		tc->tmode == (tc->snd_una != tc->snd_nxt ? TM_RTX : TM_NONE) &&
		!tcp_window_due(lc, tc);
}

void
tcp_output(struct lcore *lc, struct tcp_conn *tc)
{
	uint32_t nxt = tc->snd_nxt;
	int rc = 0;

	if (tc->state == TCP_CLOSED || tc->state == TCP_TIME_WAIT)
		return;
	if (unlikely(tc->state < TCP_ESTABLISHED)) {
		if (tc->flags & TF_SYN_DUE)
			send_syn(lc, tc);
		else if ((tc->flags & TF_ACK_NOW) && tc->state == TCP_SYN_RECEIVED)
			(void)tcp_send_ctl(lc, tc, tc->snd_nxt, RTE_TCP_ACK_FLAG);
		return;
	}
	tc->snd_kb = snd_buf_kb(lc, tc);
	if (nothing_to_do(lc, tc))
		return;
	tc->flags &= ~TF_BLOCKED;
	if (unlikely(tc->lost > 0))
		rc = retransmit(lc, tc);
	if (likely(rc == 0))
		rc = send_new(lc, tc);
	if (likely(rc == 0))
		rc = send_fin(lc, tc);
	if (!(tc->flags & TF_ACK_NOW) && tcp_window_due(lc, tc))
		tc->flags |= TF_ACK_NOW;
	if (tc->flags & TF_ACK_NOW)
		rc |= tcp_send_ctl(lc, tc, tc->snd_nxt, RTE_TCP_ACK_FLAG);
	if (unlikely(rc != 0))
		try_again(lc, tc);
	if (unlikely(tc->flags & TF_PACED))
		tcp_pace_end(lc, tc);
	// RFC 8985 7.2: new data moves the date of the probe
	tcp_timer_update(lc, tc, (tc->flags & TF_TLP) && tc->snd_nxt != nxt);
}

void
tcp_challenge(struct lcore *lc, struct tcp_conn *tc)
{
	if (!tcp_limit_ok(lc, &lc->tcp->challenge_limit, 1000))
		return;
	stat_inc(lc, STAT_TCP_CHALLENGE);
	tc->flags |= TF_ACK_NOW;
	tcp_touch(lc->tcp, tc);
}
