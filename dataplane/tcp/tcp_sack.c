// SPDX-License-Identifier: BSD-3-Clause
/*
 * Scoreboard: which sent segments the peer holds, which are lost.
 *
 * Runs on: the worker that owns the connection. The scoreboard is the send queue itself: two flags
 * per segment. Its length is bounded by the send buffer, so are the walks. Blocks outside of
 * [snd_una, snd_nxt] are ignored (a D-SACK, or an attack); a segment counts only when a block
 * covers it wholly.
 * Follows: RFC 2018, RFC 6675 IsLost(); RFC 8985 where reordering was seen, and for retransmissions
 * that were lost again.
 * Not here: tail loss probes (RFC 8985 7).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define REORD_MAX 4 // quarters of the round trip: RFC 8985 6.2 goes to SRTT

static bool
covered(const struct pkt *p, const struct tcp_sack *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (seq_geq(p->seq, b[i].from) && seq_leq(p->seq + p->pay_len, b[i].to))
			return true;
	}
	return false;
}

uint32_t
tcp_sack_update(struct tcp_conn *tc, const struct tcp_seg *s)
{
	struct tcp_sack ok[TCP_SACK_BLOCKS];
	uint32_t n = 0, top = s->ack, newly = 0, high = s->ack;

	for (uint32_t i = 0; i < s->nsack; i++) {
		struct tcp_sack b = s->sack[i];
		if (seq_gt(b.from, s->ack) && seq_lt(b.from, b.to) && seq_leq(b.to, tc->snd_nxt)) {
			ok[n++] = b;
			top = seq_max(top, b.to);
		}
	}
	if (n == 0)
		return 0;
	for (struct rte_mbuf *m = tc->sndq; tc->sacked > 0 && m != NULL && m != tc->sndq_next;
		m = pkt_of(m)->next) {
		if (pkt_of(m)->tx_flags & TXF_SACKED)
			high = pkt_of(m)->seq;
	}
	for (struct rte_mbuf *m = tc->sndq; m != NULL && m != tc->sndq_next;) {
		struct pkt *p = pkt_of(m);

		if (seq_geq(p->seq, top))
			break;
		m = p->next;
		if ((p->tx_flags & TXF_SACKED) || !covered(p, ok, n))
			continue;
		if (p->tx_count == 1 && seq_lt(p->seq, high))
			tcp_saw_reorder(tc, false);
		if ((p->tx_flags & (TXF_LOST | TXF_RETX)) == TXF_LOST)
			tc->lost -= p->pay_len;
		p->tx_flags = (uint8_t)((p->tx_flags & ~(TXF_LOST | TXF_RETX)) | TXF_SACKED);
		tc->sacked += p->pay_len;
		newly += p->pay_len;
	}
	return newly;
}

void
tcp_saw_reorder(struct tcp_conn *tc, bool spurious)
{
	// RFC 8985 7.1: the window grows by a quarter with each needless retransmission
	if (!spurious)
		tc->reord = tc->reord > 0 ? tc->reord : 1;
	else if (tc->reord < REORD_MAX)
		tc->reord++;
}

struct above {
	uint32_t bytes, segs; // sacked ones above the place of the walk
	uint64_t newest_us;   // when the last of them was sent
};

/* Is a segment lost that the peer did not report? *wait_us: perhaps, after so long. */
static bool
is_lost(const struct lcore *lc, const struct tcp_conn *tc, const struct pkt *p,
	const struct above *a, uint64_t *wait_us)
{
	bool again = p->tx_flags & TXF_RETX;
	uint64_t rtt = tc->srtt >> 3, wnd, due;

	// RFC 6675 IsLost(): DupThresh segments, or more than (DupThresh - 1) SMSS, above it
	if (!again && tc->reord == 0)
		return a->segs >= TCP_DUPTHRESH || a->bytes > (TCP_DUPTHRESH - 1u) * tc->mss;
	// RFC 8985 6.2: something sent later has arrived, and a reordering window went by. A
	// retransmission is judged so from the first.
	if (again && a->newest_us < p->tx_us) // the same moment: the higher number went later
		return false;
	wnd = rtt / 4 * (tc->reord > 0 ? tc->reord : 1u);
	due = p->tx_us + rtt + sl_max(wnd, (uint64_t)1000);
	if (lc->now_us >= due)
		return true;
	due -= lc->now_us;
	if (*wait_us == 0 || due < *wait_us)
		*wait_us = due;
	return false;
}

uint32_t
tcp_sack_mark_lost(struct lcore *lc, struct tcp_conn *tc, uint64_t *wait_us)
{
	struct above a = { .bytes = tc->sacked };
	uint32_t newly = 0;

	*wait_us = 0;
	if (a.bytes == 0)
		return 0;
	for (struct rte_mbuf *m = tc->sndq; m != NULL && m != tc->sndq_next; m = pkt_of(m)->next) {
		const struct pkt *p = pkt_of(m);
		if (!(p->tx_flags & TXF_SACKED))
			continue;
		a.segs++;
		a.newest_us = sl_max(a.newest_us, p->tx_us);
	}
	for (struct rte_mbuf *m = tc->sndq; m != NULL && a.segs > 0;) {
		struct pkt *p = pkt_of(m);

		m = p->next;
		if (p->tx_flags & TXF_SACKED) {
			a.bytes -= p->pay_len;
			a.segs--;
			continue;
		}
		if ((p->tx_flags & (TXF_LOST | TXF_RETX)) == TXF_LOST ||
			!is_lost(lc, tc, p, &a, wait_us))
			continue;
		p->tx_flags = TXF_LOST;
		tc->lost += p->pay_len;
		newly += p->pay_len;
	}
	return newly;
}

void
tcp_mark_head_lost(struct tcp_conn *tc)
{
	struct rte_mbuf *m = tc->sndq;
	struct pkt *p;

	if (m == NULL || m == tc->sndq_next)
		return;
	p = pkt_of(m);
	if ((p->tx_flags & TXF_SACKED) || (p->tx_flags & (TXF_LOST | TXF_RETX)) == TXF_LOST)
		return;
	p->tx_flags = (uint8_t)((p->tx_flags & ~TXF_RETX) | TXF_LOST);
	tc->lost += p->pay_len;
	// without SACK both sums count bytes of the same flight
	if (!(tc->flags & TF_SACK)) {
		uint32_t most = tc->snd_nxt - tc->snd_una - tc->lost;
		tc->sacked = sl_min(tc->sacked, most);
	}
}

void
tcp_mark_all_lost(struct tcp_conn *tc)
{
	// the head itself reported as held and yet not acknowledged: the peer reneged (RFC 2018 8)
	bool reneged = tc->sndq != NULL && tc->sndq != tc->sndq_next &&
		(pkt_of(tc->sndq)->tx_flags & TXF_SACKED);

	tc->lost = 0;
	if (reneged || !(tc->flags & TF_SACK))
		tc->sacked = 0;
	for (struct rte_mbuf *m = tc->sndq; m != NULL && m != tc->sndq_next;) {
		struct pkt *p = pkt_of(m);

		m = p->next;
		if (reneged)
			p->tx_flags &= (uint8_t)~TXF_SACKED;
		if (p->tx_flags & TXF_SACKED)
			continue;
		p->tx_flags = TXF_LOST;
		tc->lost += p->pay_len;
	}
}
