// SPDX-License-Identifier: BSD-3-Clause
/*
 * The user's bytes: received ones looked at, taken or dropped; sent ones queued.
 *
 * Runs on: the worker that owns the connection.
 * Truesize of what stands in queues is charged to lc->retained on the way in and given back on the
 * way out. Reading only marks the connection; whether a window update leaves is decided once per
 * loop in tcp_output().
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

const struct chain *
tcp_rx(const struct tcp_conn *tc)
{
	return &tc->rxq;
}

const uint32_t *
tcp_flags(const struct tcp_conn *tc)
{
	return &tc->flags;
}

/*
 * The receive buffer follows the reader: each time he has read a quarter of it. Who takes all that there is
 * may be held up by the window; who leaves a quarter is the limit himself, and more would only be held.
 */
static void
follow_reader(const struct lcore *lc, struct tcp_conn *tc, uint32_t n)
{
	uint32_t at = tc->rcv_nxt - tc->rxq.len, buf = tcp_rcv_buf(lc, tc);

	if (likely(((at - n) ^ at) >> (TCP_RCV_SHIFT - 2 + tc->rcv_step) == 0))
		return;
	if (tc->rxq.len == 0) {
		if (buf < lc->tcp->conf.rcv_buf && tc->rcv_step < TCP_RCV_STEPS)
			tc->rcv_step++;
	} else if (tc->rcv_step > 0 && tc->rxq.len >= buf / 4) {
		tc->rcv_step--;
	}
}

/* After n bytes left the receive queue. */
static void
was_read(struct lcore *lc, struct tcp_conn *tc, uint32_t segs_before, uint32_t n)
{
	follow_reader(lc, tc, n);
	lc->retained -= (segs_before - tc->rxq.segs) * CHAIN_TRUESIZE;
	if (tc->flags & TF_DONE) {
		if (chain_is_empty(&tc->rxq)) {
			tc->flags &= ~TF_DONE;
			tcp_raise(lc->tcp, tc, TCP_EV_CLOSED);
		}
		return;
	}
	if (!(tc->flags & TF_FIN_RCVD))
		tcp_touch(lc->tcp, tc); // perhaps a window update
}

int
tcp_rx_take(struct lcore *lc, struct tcp_conn *tc, uint32_t n, struct chain *out)
{
	uint32_t segs = tc->rxq.segs, len = tc->rxq.len;

	if (n >= len) {
		chain_append(out, &tc->rxq);
	} else {
		int rc = chain_split(lc, &tc->rxq, n, out);
		if (rc < 0)
			return rc;
	}
	was_read(lc, tc, segs, len - tc->rxq.len);
	return 0;
}

void
tcp_rx_drop(struct lcore *lc, struct tcp_conn *tc, uint32_t n)
{
	uint32_t segs = tc->rxq.segs;

	n = sl_min(n, tc->rxq.len);
	chain_trim(lc, &tc->rxq, n);
	was_read(lc, tc, segs, n);
}

void
tcp_ack_now(struct lcore *lc, struct tcp_conn *tc)
{
	if (tc->last_ack == tc->rcv_nxt || tc->state < TCP_ESTABLISHED)
		return;
	tc->flags |= TF_ACK_NOW;
	tcp_touch(lc->tcp, tc);
}

uint32_t
tcp_send_queued(const struct tcp_conn *tc)
{
	return tc->sndq != NULL ? tc->snd_end - pkt_of(tc->sndq)->seq : 0;
}

uint32_t
tcp_send_space(const struct tcp_conn *tc)
{
	uint32_t queued = tcp_send_queued(tc), most = tcp_snd_buf(tc);

	if (queued >= most || (uint32_t)tc->sndq_segs * CHAIN_TRUESIZE >= 2 * most)
		return 0;
	return most - queued;
}

static bool
may_send(const struct tcp_conn *tc)
{
	if (tc->flags & (TF_FIN_QUEUED | TF_ORPHAN | TF_DEAD))
		return false;
	return tc->state == TCP_ESTABLISHED || tc->state == TCP_CLOSE_WAIT ||
		tc->state == TCP_SYN_SENT || tc->state == TCP_SYN_RECEIVED;
}

int
tcp_send(struct lcore *lc, struct tcp_conn *tc, struct chain *c)
{
	struct rte_mbuf *m;

	// the second: far beyond any space that was granted
	if (!may_send(tc) || (uint32_t)tc->sndq_segs + c->segs > UINT16_MAX) {
		chain_free(lc, c);
		return -EPIPE;
	}
	while ((m = chain_pop(c)) != NULL) {
		struct pkt *p = pkt_of(m);
		uint16_t len = m->data_len;

		if (len == 0) {
			rte_pktmbuf_free_seg(m);
			continue;
		}
		p->seq = tc->snd_end;
		p->pay_off = m->data_off;
		p->pay_len = len;
		p->tx_flags = p->tx_count = 0;
		p->tx_us = 0;
		p->next = NULL;
		if (tc->sndq_tail != NULL)
			pkt_of(tc->sndq_tail)->next = m;
		else
			tc->sndq = m;
		tc->sndq_tail = m;
		if (tc->sndq_next == NULL)
			tc->sndq_next = m;
		tc->sndq_segs++;
		tc->snd_end += len;
		lc->retained += CHAIN_TRUESIZE;
	}
	if (tcp_send_space(tc) < tcp_snd_buf(tc) / 2)
		tc->flags |= TF_SHORT;
	tcp_touch(lc->tcp, tc);
	return 0;
}
