// SPDX-License-Identifier: BSD-3-Clause
/*
 * Scoreboard: which sent segments the peer holds, which are lost.
 *
 * Runs on: the worker that owns the connection. The scoreboard is the send queue itself: two flags
 * per segment. Its length is bounded by the send buffer, so are the walks. Blocks outside of
 * [snd_una, snd_nxt] are ignored (an attack, or a D-SACK); a segment counts only when a block
 * covers it wholly.
 * Follows: RFC 2018, RFC 2883 4 (D-SACK), RFC 6675 IsLost() for connections without a tcp_rec.
 * Not here: loss by time (tcp_rack.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

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
tcp_sack_update(
	struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r, const struct tcp_seg *s)
{
	struct tcp_sack ok[TCP_SACK_BLOCKS];
	uint32_t n = 0, top = s->ack, newly = 0;

	for (uint32_t i = 0; i < s->nsack; i++) {
		struct tcp_sack b = s->sack[i];
		if (seq_gt(b.from, s->ack) && seq_lt(b.from, b.to) && seq_leq(b.to, tc->snd_nxt)) {
			ok[n++] = b;
			top = seq_max(top, b.to);
		} else if (!seq_lt(b.from, b.to) || seq_gt(b.to, tc->snd_nxt)) { // no receiver's
			stat_inc(lc, STAT_TCP_SACK_BAD);
		}
	}
	if (n == 0)
		return 0;
	for (struct rte_mbuf *m = tc->sndq; m != NULL && m != tc->sndq_next;) {
		struct pkt *p = pkt_of(m);

		if (seq_geq(p->seq, top))
			break;
		m = p->next;
		if ((p->tx_flags & TXF_SACKED) || !covered(p, ok, n))
			continue;
		if (r != NULL)
			tcp_rack_arrived(lc, tc, r, p, s);
		if ((p->tx_flags & (TXF_LOST | TXF_RETX)) == TXF_LOST)
			tc->lost -= p->pay_len;
		p->tx_flags = (uint8_t)((p->tx_flags & ~(TXF_LOST | TXF_RETX)) | TXF_SACKED);
		tc->sacked += p->pay_len;
		newly += p->pay_len;
	}
	return newly;
}

bool
tcp_is_dsack(const struct tcp_conn *tc, const struct tcp_seg *s)
{
	struct tcp_sack b = s->sack[0];

	// a window below is as old as a duplicate can be; beyond, somebody makes it up. Below the ACK that
	// brings it, not below what was acknowledged before: that ACK may be the first to cover it.
	if (!seq_lt(b.from, b.to) || s->ack - b.from > (1u << 30))
		return s->nsack > 1 && seq_geq(b.from, s->sack[1].from) &&
			seq_leq(b.to, s->sack[1].to) && seq_lt(b.from, b.to) &&
			seq_leq(b.to, tc->snd_nxt) && seq_gt(b.from, s->ack);
	return seq_leq(b.to, s->ack);
}

void
tcp_mark_lost(struct tcp_conn *tc, struct pkt *p)
{
	if ((p->tx_flags & TXF_SACKED) || (p->tx_flags & (TXF_LOST | TXF_RETX)) == TXF_LOST)
		return;
	p->tx_flags = TXF_LOST;
	tc->lost += p->pay_len;
}

uint32_t
tcp_sack_mark_lost(struct tcp_conn *tc)
{
	uint32_t bytes = tc->sacked, segs = 0, before = tc->lost;

	for (struct rte_mbuf *m = tc->sndq; bytes > 0 && m != NULL && m != tc->sndq_next;
		m = pkt_of(m)->next)
		segs += pkt_of(m)->tx_flags & TXF_SACKED;
	for (struct rte_mbuf *m = tc->sndq; m != NULL && segs > 0; m = pkt_of(m)->next) {
		struct pkt *p = pkt_of(m);

		if (p->tx_flags & TXF_SACKED) {
			bytes -= p->pay_len;
			segs--;
			continue;
		}
		// RFC 6675 IsLost(): DupThresh segments, or more than (DupThresh - 1) SMSS, above
		if (p->tx_flags == 0 &&
			(segs >= TCP_DUPTHRESH || bytes > (TCP_DUPTHRESH - 1u) * tc->mss))
			tcp_mark_lost(tc, p);
	}
	return tc->lost - before;
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
