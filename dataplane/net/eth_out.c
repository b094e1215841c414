// SPDX-License-Identifier: BSD-3-Clause
/*
 * Frames out: Ethernet header, VLAN tag, the transmit array of each port and its flush.
 *
 * Runs on: workers, each on its own queues. The array collects a loop's frames; one burst per port
 * and loop. What the device does not take stays at the front for the next loop; when the array
 * is full the newest frame is dropped and counted. Nobody spins.
 */
#include "dataplane/lcore/capture.h"
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define COMPLETE_AFTER 64 // flushes without a frame until the driver is asked to complete

void
eth_prepend(
	const struct port *p, struct rte_mbuf *m, const struct rte_ether_addr *dst, uint16_t type)
{
	uint16_t n = p->vlan != 0 ? 18 : 14;
	uint8_t *h;

	m->data_off -= n;
	m->data_len += n;
	m->pkt_len += n;
	h = rte_pktmbuf_mtod(m, uint8_t *);
	if (dst != NULL)
		memcpy(h, dst->addr_bytes, 6);
	memcpy(h + 6, p->mac.addr_bytes, 6);
	if (p->vlan != 0) {
		h[12] = 0x81;
		h[13] = 0x00;
		h[14] = (uint8_t)(p->vlan >> 8);
		h[15] = (uint8_t)p->vlan;
	}
	h[n - 2] = (uint8_t)(type >> 8);
	h[n - 1] = (uint8_t)type;
	m->l2_len = n;
}

/* Drivers that cut frames complete their headers first, or refuse one. */
static sl_apart void
prepare(struct lcore *lc, const struct port_queue *q, struct txq *t)
{
	while (t->ready < t->n) {
		struct rte_mbuf **m = &t->m[t->ready];
		uint16_t n = (uint16_t)(t->n - t->ready);
		uint16_t ok = rte_eth_tx_prepare(q->ethdev, q->queue, m, n);

		t->ready += ok;
		if (likely(ok == n))
			return;
		pkt_drop(lc, m[ok], DROP_TX_REFUSED);
		memmove(m + ok, m + ok + 1, (size_t)(n - ok - 1) * sizeof(*m));
		t->n--;
	}
}

void
tx_flush(struct lcore *lc, const struct port *p)
{
	const struct port_queue *q = &p->q[lc->id];
	struct txq *t = &lc->net->tx[p->id];
	uint16_t sent;

	if (unlikely(port_is_gone(p))) { // nothing is asked of its driver any more
		while (t->n > 0)
			pkt_drop(lc, t->m[--t->n], DROP_TX_LINK_DOWN);
		t->ready = 0;
		t->owed = false;
		return;
	}
	if (t->n == 0) {
		// buffers of finished transmissions come back only when the driver is called
		if (t->owed && ++t->idle >= COMPLETE_AFTER) {
			rte_eth_tx_burst(q->ethdev, q->queue, t->m, 0);
			t->owed = false;
		}
		return;
	}
	if (unlikely(p->offloads & PORT_O_TX_TSO))
		prepare(lc, q, t);
	sent = rte_eth_tx_burst(q->ethdev, q->queue, t->m, t->n);
	stat_add(lc, STAT_TX_PACKETS, sent);
	t->n -= sent;
	if (unlikely(t->n > 0))
		memmove(t->m, t->m + sent, t->n * sizeof(t->m[0]));
	t->ready = t->n;
	t->owed = true;
	t->idle = 0;
}

/* The next flush calls the driver, with a frame or without. */
void
tx_poll(struct lcore *lc, const struct port *p)
{
	struct txq *t = &lc->net->tx[p->id];

	t->owed = true;
	t->idle = COMPLETE_AFTER;
}

void
eth_queue(struct lcore *lc, const struct port *p, struct rte_mbuf *m)
{
	struct txq *t = &lc->net->tx[p->id];
	struct capture *capture;

	if (unlikely(!atomic_load_explicit(&p->link_up, memory_order_relaxed))) {
		pkt_drop(lc, m, DROP_TX_LINK_DOWN);
		return;
	}
	if (unlikely(t->n == TXQ_MAX))
		tx_flush(lc, p);
	if (unlikely(t->n == TXQ_MAX)) {
		pkt_drop(lc, m, DROP_TX_FULL);
		return;
	}
	stat_add(lc, STAT_TX_BYTES, m->pkt_len);
	capture = capture_of(lc);
	if (unlikely(capture != NULL))
		capture_frame(lc, capture, p->id, m, true);
	t->m[t->n++] = m;
}

void
eth_out(struct lcore *lc, const struct port *p, struct rte_mbuf *m,
	const struct rte_ether_addr *dst, uint16_t type)
{
	eth_prepend(p, m, dst, type);
	eth_queue(lc, p, m);
}

void
net_flush(struct lcore *lc)
{
	struct net_lcore *nl = lc->net;

	if (unlikely(nl->nwait > 0))
		wait_check(lc);
	for (uint16_t i = 0; i < lc->ports->n; i++) {
		const struct port *p = &lc->ports->port[i];
		if (!has_queue(lc, p) && !port_is_gone(p)) // that has none, but maybe frames
			continue;
		if (unlikely(nl->shared->ntaps > 0)) // first: it is little, and worth more
			tap_flush(lc, p);
		tx_flush(lc, p);
	}
}

uint32_t
net_pending(const struct lcore *lc)
{
	uint32_t n = lc->net->shared->ntaps > 0 ? tap_pending(lc) : 0;

	for (uint16_t i = 0; i < lc->ports->n; i++)
		n += lc->net->tx[i].n;
	return n;
}
