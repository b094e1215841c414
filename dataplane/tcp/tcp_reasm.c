// SPDX-License-Identifier: BSD-3-Clause
/*
 * Payload: the receive queue and the out-of-order queue.
 *
 * Runs on: the worker that owns the connection.
 * The out-of-order queue is a list of disjoint pieces in sequence order, linked through struct pkt
 * (seq, pay_off, pay_len, TXF_FIN). Those that follow each other without a gap are a run, whose first one
 * knows its last one and when the newest came, so that the work per segment is by gaps, not by pieces.
 * Bounds: pieces lie in the advertised window, all buffers of a connection cost at most twice rcv_buf, and
 * there are at most runs_most() runs. The worker's budget (lc->retain_max) refuses payload;
 * nothing is lost then, the peer sends it again.
 * Follows: RFC 9293 3.10.7.4 seventh and eighth, RFC 2018 4 (which blocks are reported), RFC 9293
 * 3.8.6.3 (when an acknowledgement waits).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define RUNS      256u
#define RUN_SHIFT 13 // a run for each 8 KiB of a large buffer: what a sixth of lost segments makes of it

static inline uint32_t
runs_most(const struct tcp_lcore *tl)
{
	return sl_max(RUNS, tl->conf.rcv_buf >> RUN_SHIFT);
}

static inline uint32_t
run_end(struct rte_mbuf *first)
{
	const struct pkt *p = pkt_of(pkt_of(first)->last);

	return p->seq + p->pay_len;
}

static inline struct rte_mbuf *
run_next(struct rte_mbuf *first)
{
	return pkt_of(pkt_of(first)->last)->next;
}

void
tcp_ooo_free(struct lcore *lc, struct tcp_conn *tc)
{
	struct rte_mbuf *m = tc->ooo;

	while (m != NULL) {
		struct rte_mbuf *next = pkt_of(m)->next;
		rte_pktmbuf_free(m);
		lc->retained -= CHAIN_TRUESIZE;
		m = next;
	}
	tc->ooo = NULL;
	tc->ooo_segs = 0;
}

/* b, the came-th to arrive, gets its place among the n newest of at most max; returns how many there are. */
static uint32_t
insert_block(struct tcp_sack *out, uint32_t *came, uint32_t n, uint32_t max, struct tcp_sack b,
	uint32_t when)
{
	uint32_t i = n;

	if (n < max)
		n++;
	else if ((int32_t)(when - came[--i]) < 0)
		return n;
	for (; i > 0 && (int32_t)(when - came[i - 1]) > 0; i--) {
		out[i] = out[i - 1];
		came[i] = came[i - 1];
	}
	out[i] = b;
	came[i] = when;
	return n;
}

/*
 * RFC 2018 4: the block that holds the newest piece first, then those that were reported last: each is
 * told of in several ACKs, and the loss of one does not hide it.
 */
uint32_t
tcp_ooo_blocks(const struct tcp_conn *tc, struct tcp_sack *out, uint32_t max)
{
	uint32_t n = 0, came[TCP_SACK_BLOCKS];

	if (max == 0)
		return 0;
	for (struct rte_mbuf *m = tc->ooo; m != NULL; m = run_next(m)) {
		// a FIN has a number too: its sender wants to know of it
		uint32_t fin = (pkt_of(pkt_of(m)->last)->tx_flags & TXF_FIN) != 0;
		struct tcp_sack b = { pkt_of(m)->seq, run_end(m) + fin };

		n = insert_block(out, came, n, max, b, pkt_of(m)->came);
	}
	return n;
}

/* Copies the payload into the tail buffer if that is cheaper than keeping m. */
static bool
coalesce(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint32_t len)
{
	struct rte_mbuf *tail = tc->rxq.tail;
	bool tight;

	if (tail == NULL || rte_mbuf_refcnt_read(tail) != 1)
		return false;
	tight = tc->rxq.segs * CHAIN_TRUESIZE > lc->tcp->conf.rcv_buf;
	if (len > TCP_COPY_MAX && !tight)
		return false;
	// up to the payload unit, so that the piece still leaves as one segment
	if (!tight && tail->data_len + len > lc->tcp->payload_mss)
		return false;
	if (len > rte_pktmbuf_tailroom(tail))
		return false;
	memcpy(rte_pktmbuf_mtod_offset(tail, void *, tail->data_len),
		rte_pktmbuf_mtod(m, const void *), len);
	pkt_changed(tail);
	tail->data_len += (uint16_t)len;
	tail->pkt_len = tail->data_len;
	tc->rxq.len += len;
	rte_pktmbuf_free(m);
	return true;
}

/* In-order payload: m's data is exactly it. charged: it stood in the out-of-order queue. */
static void
append(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, bool charged)
{
	uint32_t len = m->data_len;

	tc->rcv_nxt += len;
	if (coalesce(lc, tc, m, len)) {
		if (charged)
			lc->retained -= CHAIN_TRUESIZE;
		return;
	}
	if (!charged)
		lc->retained += CHAIN_TRUESIZE;
	m->next = NULL;
	m->nb_segs = 1;
	chain_push(&tc->rxq, m);
}

static void
cut_front(struct rte_mbuf *m, uint32_t n)
{
	struct pkt *p = pkt_of(m);

	p->seq += n;
	p->pay_off += (uint16_t)n;
	p->pay_len -= (uint16_t)n;
}

/* Moves what became contiguous to the receive queue: runs, each as a whole. */
static sl_apart void
pull_ooo(struct lcore *lc, struct tcp_conn *tc)
{
	bool fin = false;

	while (tc->ooo != NULL) {
		struct rte_mbuf *m = tc->ooo;
		struct pkt *p = pkt_of(m);

		if (seq_gt(p->seq, tc->rcv_nxt))
			break;
		tc->ooo = p->next;
		tc->ooo_segs--;
		if (p->tx_flags & TXF_FIN)
			fin = seq_geq(p->seq + p->pay_len, tc->rcv_nxt);
		if (seq_leq(p->seq + p->pay_len, tc->rcv_nxt)) {
			lc->retained -= CHAIN_TRUESIZE;
			rte_pktmbuf_free(m);
			continue;
		}
		if (seq_lt(p->seq, tc->rcv_nxt))
			cut_front(m, tc->rcv_nxt - p->seq);
		m->data_off = p->pay_off;
		m->data_len = p->pay_len;
		m->pkt_len = p->pay_len;
		append(lc, tc, m, true);
	}
	if (fin) {
		tcp_ooo_free(lc, tc); // nothing can lie behind a FIN
		tcp_fin_input(lc, tc);
	}
}

/* Does the piece go on where the one before it, the last to arrive, ends? */
static bool
goes_on(const struct tcp_conn *tc, struct rte_mbuf *before, uint32_t from)
{
	const struct pkt *q;

	if (before == NULL)
		return false;
	q = pkt_of(pkt_of(before)->last);
	return q->seq == tc->ooo_last && q->seq + q->pay_len == from;
}

/* The run at which ours ends or in which it lies, frees those that it covers wholly. */
static struct rte_mbuf *
drop_covered(struct lcore *lc, struct tcp_conn *tc, struct pkt *p, struct rte_mbuf *at, uint32_t end)
{
	while (at != NULL && seq_leq(run_end(at), end)) {
		struct rte_mbuf *behind = run_next(at);

		if (run_end(at) == end)
			p->tx_flags |= pkt_of(pkt_of(at)->last)->tx_flags & TXF_FIN;
		while (at != behind) {
			struct rte_mbuf *next = pkt_of(at)->next;
			rte_pktmbuf_free(at);
			tc->ooo_segs--;
			lc->retained -= CHAIN_TRUESIZE;
			at = next;
		}
	}
	return at;
}

/* m, which is p, between two runs: of which it becomes a part, where it touches them. */
static void
link_piece(struct tcp_conn *tc, struct rte_mbuf *before, struct rte_mbuf *m, struct rte_mbuf *at)
{
	struct pkt *p = pkt_of(m);
	struct rte_mbuf *first = m;
	uint32_t came = p->came;

	p->next = at;
	p->last = m;
	if (before == NULL) {
		tc->ooo = m;
	} else {
		struct rte_mbuf *last = pkt_of(before)->last;

		if (run_end(before) == p->seq)
			first = before;
		pkt_of(last)->next = m;
	}
	if (at != NULL && pkt_of(at)->seq == p->seq + p->pay_len)
		p->last = pkt_of(at)->last;
	pkt_of(first)->last = p->last;
	pkt_of(first)->came = came;
}

/* Puts the piece where it belongs; what others hold already is cut away. Takes m. */
static sl_apart void
insert_ooo(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, const struct tcp_seg *s)
{
	struct rte_mbuf *before = NULL, *at = tc->ooo;
	struct pkt *p = pkt_of(m);
	uint32_t end = s->seq + s->len, runs = 0;

	while (at != NULL && seq_leq(pkt_of(at)->seq, s->seq)) {
		before = at;
		at = run_next(at);
		runs++;
	}
	if ((before == NULL || seq_lt(run_end(before), s->seq)) &&
		(at == NULL || seq_lt(end, pkt_of(at)->seq))) {
		for (struct rte_mbuf *more = at; more != NULL; more = run_next(more))
			runs++;
		if (unlikely(runs >= runs_most(lc->tcp))) {
			tc->flags |= TF_ACK_NOW;
			pkt_drop(lc, m, DROP_TCP_OOO_FULL);
			return;
		}
	}
	*p = (struct pkt){ 0 };
	p->seq = s->seq;
	p->pay_off = m->data_off;
	p->pay_len = s->len;
	p->tx_flags = s->flags & RTE_TCP_FIN_FLAG ? TXF_FIN : 0;
	p->came = ++lc->tcp->ooo_came;
	// every segment out of order is answered (RFC 5681 4.2). One ACK tells of a run of them by its
	// first SACK block; another place needs another ACK, or it might never be reported.
	if ((tc->flags & TF_ACK_NOW) && (!(tc->flags & TF_SACK) || !goes_on(tc, before, s->seq)))
		(void)tcp_send_ctl(lc, tc, tc->snd_nxt, RTE_TCP_ACK_FLAG);
	tc->flags |= TF_ACK_NOW;
	tc->ooo_last = s->seq;
	if (before != NULL) {
		uint32_t run = run_end(before);
		if (seq_geq(run, end)) { // nothing new but perhaps a FIN
			if (run == end)
				pkt_of(pkt_of(before)->last)->tx_flags |= p->tx_flags;
			tcp_came_twice(lc, tc, s->seq, end);
			stat_inc(lc, STAT_TCP_DUP);
			pkt_drop(lc, m, DROP_TCP_DUP);
			return;
		}
		if (seq_gt(run, p->seq))
			cut_front(m, run - p->seq);
	}
	// runs that the new piece covers wholly are replaced, the last one may cut it
	at = drop_covered(lc, tc, p, at, end);
	if (at != NULL && seq_lt(pkt_of(at)->seq, end)) {
		p->pay_len = (uint16_t)(pkt_of(at)->seq - p->seq);
		p->tx_flags = 0;
	}
	link_piece(tc, before, m, at);
	tc->ooo_segs++;
	lc->retained += CHAIN_TRUESIZE;
	stat_inc(lc, STAT_TCP_OOO);
}

void
tcp_fin_input(struct lcore *lc, struct tcp_conn *tc)
{
	if (tc->flags & TF_FIN_RCVD)
		return;
	tc->rcv_nxt++;
	tc->rcv_adv = seq_max(tc->rcv_adv, tc->rcv_nxt);
	tc->flags |= TF_FIN_RCVD | TF_ACK_NOW;
	tcp_touch(lc->tcp, tc);
	if (!(tc->flags & TF_ORPHAN))
		tcp_raise(lc->tcp, tc, TCP_EV_EOF);
	switch ((enum tcp_state)tc->state) {
	case TCP_SYN_RECEIVED:
	case TCP_ESTABLISHED:
		tc->state = TCP_CLOSE_WAIT;
		break;
	case TCP_FIN_WAIT_1: // our FIN is not acknowledged yet, else tcp_ack.c had moved on
		tc->state = TCP_CLOSING;
		break;
	case TCP_FIN_WAIT_2:
		tcp_timewait_enter(lc, tc);
		break;
	default:
		break;
	}
}

/*
 * Would this piece exceed what the connection or the worker may hold? Pieces behind a hole get a
 * quarter less of the budget than those that fill it, or holes would fill it for ever; the last
 * sixteenth is for connections that hold nothing: their requests can be refused, not only lost.
 */
static bool
refused(struct lcore *lc, struct tcp_conn *tc, bool in_order, enum drop *why)
{
	uint32_t held = (tc->rxq.segs + tc->ooo_segs) * CHAIN_TRUESIZE;
	uint32_t max = lc->retain_max;

	*why = DROP_RX_BUDGET;
	if (!in_order)
		max -= max / 4;
	else if (tc->rxq.segs > 0)
		max -= max / 16;
	if (unlikely(lc->retained + CHAIN_TRUESIZE > max)) {
		if (!in_order || tc->rxq.segs > 0 || tc->ooo == NULL)
			return true;
		// RFC 2018 8: what was only announced by SACK may be dropped again
		stat_add(lc, STAT_TCP_OOO_SHED, tc->ooo_segs);
		tcp_ooo_free(lc, tc);
		return lc->retained + CHAIN_TRUESIZE > max;
	}
	// one connection's pieces: at most half of what is left, whatever its buffer. A quarter was less
	// than the window that had been offered (payload, in buffers of twice its size).
	*why = DROP_TCP_OOO_FULL;
	if (in_order)
		return false;
	max = sl_max((max - lc->retained) / 2, 32u * CHAIN_TRUESIZE);
	return held + CHAIN_TRUESIZE > sl_min(max, 2 * lc->tcp->conf.rcv_buf);
}

void
tcp_data_input(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, struct tcp_seg *s)
{
	bool in_order = s->seq == tc->rcv_nxt, fin = s->flags & RTE_TCP_FIN_FLAG;
	enum drop why = DROP_TCP_DUP;

	tcp_touch(lc->tcp, tc);
	if (unlikely(tc->flags & TF_FIN_RCVD) || unlikely(s->len == 0 && !fin)) {
		// behind the FIN, or nothing left after trimming
		tc->flags |= TF_ACK_NOW;
		stat_inc(lc, STAT_TCP_DUP);
		pkt_drop(lc, m, why);
		return;
	}
	// out of order a FIN alone is kept, and costs a buffer as well
	if ((s->len > 0 || !in_order) && unlikely(refused(lc, tc, in_order, &why))) {
		tc->flags |= TF_ACK_NOW;
		pkt_drop(lc, m, why);
		return;
	}
	m->data_off += s->off;
	m->data_len = s->len;
	m->pkt_len = s->len;
	if (s->len > tc->rcv_mss)
		tc->rcv_mss = s->len;
	if (unlikely(!in_order)) {
		insert_ooo(lc, tc, m, s);
		return;
	}
	if (s->len > 0) {
		append(lc, tc, m, false);
		tcp_raise(lc->tcp, tc, TCP_EV_READABLE);
		// a filled gap is acknowledged at once (RFC 5681 4.2), and every second full segment
		if (unlikely(tc->ooo != NULL)) {
			tc->flags |= TF_ACK_NOW;
			if (!fin)
				pull_ooo(lc, tc);
		} else if (tc->rcv_nxt - tc->last_ack >= 2u * tc->rcv_mss) {
			tc->flags |= TF_ACK_NOW;
		} else {
			tcp_timer_delack(lc, tc, lc->tcp->conf.delack_ms);
		}
	} else {
		rte_pktmbuf_free(m);
	}
	if (unlikely(fin)) {
		tcp_ooo_free(lc, tc);
		tcp_fin_input(lc, tc);
	}
}
