// SPDX-License-Identifier: BSD-3-Clause
/*
 * From a valid IP packet to the worker that owns its flow: hash, owner, mesh, checksum.
 *
 * Runs on: workers. The software hash is the truth by which all workers agree on the owner; the
 * device's hash is used in its place once it was found equal for a number of packets of a family. A frame
 * crosses the mesh at most once: the receiver takes it whatever it thinks of the owner.
 */
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define HASH_TESTS 64 // packets of a port, worker and family that must agree

static uint32_t
hash_of(struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m, const uint8_t *ip,
	const uint8_t *tcp, bool v6)
{
	struct rss_seen *seen = &lc->net->rss[rx->p->id];
	struct ip_addr remote, local;
	uint32_t hash;
	bool device = (rx->p->offloads & PORT_O_RSS_HASH) &&
		(m->ol_flags & RTE_MBUF_F_RX_RSS_HASH) &&
		!atomic_load_explicit(&seen->bad[v6], memory_order_relaxed);

	if (device && seen->tests[v6] >= HASH_TESTS)
		return m->hash.rss;
	if (v6) {
		addr_set6(&remote, ip + 8);
		addr_set6(&local, ip + 24);
	} else {
		addr_set4(&remote, ip + 12);
		addr_set4(&local, ip + 16);
	}
	hash = port_hash(rx->p, &remote, &local, (uint16_t)(tcp[0] << 8 | tcp[1]),
		(uint16_t)(tcp[2] << 8 | tcp[3]));
	if (device) {
		seen->tests[v6]++;
		if (hash != m->hash.rss)
			atomic_store_explicit(&seen->bad[v6], true, memory_order_relaxed);
	}
	return hash;
}

/*
 * NONE is what a virtual device says of a frame that never was on a cable: its sum was left to a card
 * and is not there, its bytes are right.
 */
static bool
is_verified(const struct rx *rx, const struct rte_mbuf *m)
{
	uint64_t said = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	return (rx->p->offloads & PORT_O_RX_L4CSUM) &&
		(said == RTE_MBUF_F_RX_L4_CKSUM_GOOD || said == RTE_MBUF_F_RX_L4_CKSUM_NONE);
}

/* Also keeps the payload's sum, if it has to be taken. */
static inline bool
csum_ok(const struct rx *rx, struct rte_mbuf *m, const uint8_t *ip, const uint8_t *tcp, uint16_t len,
	bool v6)
{
	const uint8_t *src = ip + (v6 ? 8 : 12), *dst = ip + (v6 ? 24 : 16);
	uint32_t head = sl_min((tcp[12] >> 4) * 4u, (uint32_t)len);
	struct pkt *pk = pkt_of(m);
	uint64_t sum;

	pk->sum_len = 0;
	if (is_verified(rx, m))
		return true;
	sum = csum_pseudo(src, dst, v6, IPPROTO_TCP, len);
	sum = likely(head == 32) ? sum + csum_32(tcp) : csum_add(tcp, head, sum);
	if (len > head) {
		pk->sum = csum_fold(csum_add(tcp + head, len - head, 0));
		pk->sum_off = (uint16_t)(tcp + head - (const uint8_t *)m->buf_addr);
		pk->sum_len = (uint16_t)(len - head);
		sum += pk->sum; // a header's sum is far from wrapping
	}
	return csum_is_good(sum);
}

static inline bool
to_owner(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m)
{
	struct rss_seen *seen = &lc->net->rss[rx->p->id];
	uint16_t owner = port_owner(rx->p, rx->hash);

	if (rx->p->mode == PORT_RSS)
		counter_inc(owner == lc->id ? &seen->own : &seen->stray);
	return mesh_forward(lc, rx, m, owner);
}

void
net_spread_add(const struct lcore *lc, uint16_t port, struct net_spread *sum)
{
	struct rss_seen *seen;

	if (lc->net == NULL) // not attached
		return;
	seen = &lc->net->rss[port];
	sum->own += counter_get(&seen->own);
	sum->stray += counter_get(&seen->stray);
	for (uint32_t f = 0; f < 2; f++)
		sum->hash_bad[f] |= atomic_load_explicit(&seen->bad[f], memory_order_relaxed);
}

void
tcp_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len, bool v6)
{
	struct net_lcore *nl = lc->net;
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	struct pkt *pk = pkt_of(m);

	// 1. a whole fixed header
	if (unlikely(len < 20)) {
		pkt_drop(lc, m, DROP_TCP_SHORT);
		return;
	}
	// 2. ours
	if (rx->p->mode != PORT_SINGLE) {
		if (!rx->hashed)
			rx->hash = hash_of(lc, rx, m, d + rx->l3, d + l4, v6);
		rx->hashed = true;
		if (!rx->foreign && to_owner(lc, rx, m))
			return;
	}
	// 3. checksum
	if (unlikely(!csum_ok(rx, m, d + rx->l3, d + l4, len, v6))) {
		pkt_drop(lc, m, DROP_TCP_CSUM);
		return;
	}
	pk->l3 = rx->l3;
	pk->l4 = l4;
	pk->l4_len = len;
	pk->port = (uint8_t)rx->p->id;
	pk->rx_flags = (v6 ? PKT_F_V6 : 0) | PKT_F_CSUM_OK | (rx->hashed ? PKT_F_HASH : 0);
	pk->hash = rx->hashed ? rx->hash : 0;
	nl->batch[nl->nbatch++] = m;
	if (nl->nbatch == NET_BATCH)
		net_deliver(lc);
}

bool
mesh_forward(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, uint16_t to)
{
	struct xmsg x = { { XMSG_FRAME, (uint64_t)(uintptr_t)m,
		(uint64_t)rx->hash << 32 | (uint64_t)rx->hashed << 16 | rx->p->id, 0 } };

	if (to == lc->id || to >= lc->nlcores)
		return false;
	if (lcore_mesh_push(lc, to, &x))
		stat_inc(lc, STAT_MESH_OUT);
	else
		pkt_drop(lc, m, DROP_MESH_FULL);
	return true;
}

bool
mesh_to_neigh(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m)
{
	return !rx->foreign && mesh_forward(lc, rx, m, neigh_owner(rx->p));
}

void
net_input_foreign(struct lcore *lc, const struct xmsg *msg, uint16_t from)
{
	struct rte_mbuf *orig = (struct rte_mbuf *)(uintptr_t)msg->w[1];
	uint16_t port = (uint16_t)msg->w[2];
	struct xmsg home = { { XMSG_FRAME_HOME, msg->w[1], 0, 0 } };
	struct rte_mbuf *m = lcore_mbuf(lc);
	bool sent;

	stat_inc(lc, STAT_MESH_IN);
	if (m != NULL) {
		// both pools have buffers of one size and headroom
		memcpy(rte_pktmbuf_mtod(m, void *), rte_pktmbuf_mtod(orig, void *), orig->data_len);
		m->data_len = orig->data_len;
		m->pkt_len = orig->data_len;
		m->ol_flags = orig->ol_flags;
		m->vlan_tci = orig->vlan_tci;
	}
	sent = lcore_mesh_push(lc, from, &home);
	sl_assert(sent); // the limits of lcore_mesh_push() keep room for it
	(void)sent;
	if (m == NULL) {
		drop_count(lc, DROP_NO_MBUF);
		return;
	}
	struct rx rx = { .p = &lc->ports->port[port],
		.np = net_port(lc, port),
		.foreign = true,
		.hashed = (msg->w[2] >> 16) & 1,
		.hash = (uint32_t)(msg->w[2] >> 32) };
	eth_in(lc, &rx, m);
}

void
net_message(struct lcore *lc, const struct xmsg *msg, uint16_t from)
{
	struct ip_addr ip;
	uint16_t port = (uint16_t)msg->w[1];

	switch ((enum xmsg_type)(msg->w[0] & 0xffff)) {
	case XMSG_FRAME_HOME:
		lc->worker[from].frames--;
		rte_pktmbuf_free_seg((struct rte_mbuf *)(uintptr_t)msg->w[1]);
		return;
	case XMSG_NEIGH_WANT:
		if (port >= lc->ports->n)
			return;
		memset(&ip, 0, sizeof(ip));
		ip.q[0] = msg->w[2];
		ip.q[1] = msg->w[3];
		ip.family = (uint8_t)(msg->w[1] >> 16);
		neigh_want(lc, &lc->ports->port[port], &ip, msg->w[1] >> 24 & 1);
		return;
	default:
		return;
	}
}
