// SPDX-License-Identifier: BSD-3-Clause
/*
 * Segments out: neighbour, IP header, checksums, transmit array.
 *
 * Runs on: workers. Follows: RFC 6864 (packets with DF need no identification: 0), RFC 1122, RFC
 * 8200, RFC 6437 (flow label 0: hosts may leave it). The headers stand in the headroom of the
 * segment's first buffer.
 */
#include <rte_tcp.h>

#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define TTL         64
#define TCP_CSUM_AT 16

/* The header at h, of a packet of `total` bytes; in words as they lie in memory. */
static inline void
put_ip4(const struct port *p, struct rte_mbuf *m, uint8_t *h, uint32_t src, uint32_t dst,
	uint8_t proto, uint8_t tos, uint16_t total)
{
	// so that they can be added up before they are written
	uint32_t first = 0x45u | (uint32_t)tos << 8 | (uint32_t)rte_cpu_to_be_16(total) << 16;
	uint32_t second = (uint32_t)rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG) << 16;
	uint32_t third = TTL | (uint32_t)proto << 8;

	if (p->offloads & PORT_O_TX_IPCSUM)
		m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	else
		third |= (uint32_t)csum_finish((uint64_t)first + second + third + src + dst) << 16;
	memcpy(h, &first, 4);
	memcpy(h + 4, &second, 4);
	memcpy(h + 8, &third, 4);
	memcpy(h + 12, &src, 4);
	memcpy(h + 16, &dst, 4);
}

void
ip4_prepend(const struct port *p, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t proto, uint8_t tos)
{
	m->data_off -= sizeof(struct rte_ipv4_hdr);
	m->data_len += sizeof(struct rte_ipv4_hdr);
	m->pkt_len += sizeof(struct rte_ipv4_hdr);
	m->l3_len = sizeof(struct rte_ipv4_hdr);
	put_ip4(p, m, rte_pktmbuf_mtod(m, uint8_t *), src->v4, dst->v4, proto, tos,
		(uint16_t)m->pkt_len);
}

void
ip6_prepend(struct rte_mbuf *m, const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto,
	uint8_t tos, uint8_t hops)
{
	struct rte_ipv6_hdr *h;

	m->data_off -= sizeof(*h);
	m->data_len += sizeof(*h);
	m->pkt_len += sizeof(*h);
	m->l3_len = sizeof(*h);
	h = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
	h->vtc_flow = rte_cpu_to_be_32(6u << 28 | (uint32_t)tos << 20);
	h->payload_len = rte_cpu_to_be_16((uint16_t)(m->pkt_len - sizeof(*h)));
	h->proto = proto;
	h->hop_limits = hops;
	memcpy(h->src_addr, src->b, 16);
	memcpy(h->dst_addr, dst->b, 16);
}

/* Of the bytes from `skip` on; those that were received as they leave were added up then. */
static inline uint64_t
sum_rest(struct rte_mbuf *m, uint32_t skip)
{
	const struct pkt *pk = pkt_of(m);

	if (pk->sum_len != 0 && pk->sum_len == m->data_len - skip &&
		pk->sum_off == m->data_off + skip)
		return pk->sum;
	return csum_add(rte_pktmbuf_mtod_offset(m, const void *, skip), m->data_len - skip, 0);
}

/* m begins at the TCP header. The device wants the pseudo header's sum without the length. */
static sl_apart void
tcp_tso(struct rte_mbuf *m, const struct net_flow *f, bool v6, uint16_t size)
{
	uint16_t field = csum_fold(csum_pseudo(f->laddr.b, f->raddr.b, v6, IPPROTO_TCP, 0));

	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM |
		(v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
	m->l4_len = (rte_pktmbuf_mtod_offset(m, const uint8_t *, 12)[0] >> 4) * 4;
	m->tso_segsz = size;
	memcpy(rte_pktmbuf_mtod_offset(m, void *, TCP_CSUM_AT), &field, sizeof(field));
}

/* m begins at the TCP header; the field is zero. */
static inline void
tcp_csum(const struct port *p, struct rte_mbuf *m, const struct net_flow *f, bool v6)
{
	uint64_t sum = csum_pseudo(f->laddr.b, f->raddr.b, v6, IPPROTO_TCP, m->pkt_len);
	uint32_t skip = f->summed;
	uint16_t field;
	bool odd = false;

	if (p->offloads & PORT_O_TX_TCPCSUM) {
		// the device wants the sum of the pseudo header, and adds the rest
		field = csum_fold(sum);
		m->ol_flags |=
			RTE_MBUF_F_TX_TCP_CKSUM | (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
		m->l4_len = (rte_pktmbuf_mtod_offset(m, const uint8_t *, 12)[0] >> 4) * 4;
	} else if (likely(m->next == NULL)) {
		field = csum_finish(sum + f->sum + sum_rest(m, skip)); // some 2^43 at most
	} else {
		for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
			uint64_t part = csum_add(rte_pktmbuf_mtod(s, const void *), s->data_len, 0);
			sum += odd ? csum_swap(part) : csum_fold(part);
			odd ^= s->data_len & 1;
		}
		field = csum_finish(sum);
	}
	memcpy(rte_pktmbuf_mtod_offset(m, void *, TCP_CSUM_AT), &field, sizeof(field));
}

/* A copy in one piece, for devices that send only the first segment. NULL: no buffer. */
static sl_apart struct rte_mbuf *
linearize(struct lcore *lc, struct rte_mbuf *m)
{
	struct rte_mbuf *b = m->pkt_len <= PORT_MBUF_DATA ? lcore_mbuf(lc) : NULL;

	if (b == NULL) {
		pkt_drop(lc, m, DROP_NO_MBUF);
		return NULL;
	}
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
		memcpy(rte_pktmbuf_mtod_offset(b, void *, b->data_len),
			rte_pktmbuf_mtod(s, const void *), s->data_len);
		b->data_len += s->data_len;
	}
	b->pkt_len = b->data_len;
	rte_pktmbuf_free(m);
	return b;
}

enum resolved { RES_OK, RES_WAIT, RES_DROP };

/* Destination MAC: from the flow's cached place, else by the tables. *hop: who to ask for. */
static enum resolved
resolve(struct lcore *lc, struct net_flow *f, struct rte_ether_addr *mac,
	const struct ip_addr **hop)
{
	const struct port *p = &lc->ports->port[f->port];
	struct net_port *np = net_port(lc, f->port);
	uint64_t w;
	int i;

	if (likely(f->neigh < NEIGH_ALL)) {
		struct neigh *n = &np->neigh[f->neigh];
		w = atomic_load_explicit(&n->word, memory_order_acquire);
		if (likely(word_gen(w) == f->gen && word_is_usable(w))) {
			neigh_touch(n, lc->now);
			word_mac(w, mac);
			return RES_OK;
		}
	}
	f->neigh = NET_NEIGH_NONE;
	*hop = next_hop(p, &f->raddr);
	if (*hop == NULL)
		return RES_DROP;
	i = neigh_lookup(np, *hop, &w);
	if (i < 0 || !word_is_usable(w))
		return RES_WAIT;
	f->neigh = (uint16_t)i;
	f->gen = word_gen(w);
	neigh_touch(&np->neigh[i], lc->now);
	word_mac(w, mac);
	return RES_OK;
}

#define HEADERS4 (sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr))

/*
 * What nearly every segment is: IPv4, in one piece, by an untagged port to a neighbour whose place is
 * known. All headers are then written at once. false: it is not, and nothing was done.
 */
static inline bool
output4(struct lcore *lc, const struct port *p, const struct net_flow *f, struct rte_mbuf *m,
	uint8_t tos)
{
	uint32_t own, own_end = 0;
	uint64_t w;
	struct neigh *n;
	uint8_t *h;

	if (unlikely(f->raddr.family != ADDR_V4 || m->nb_segs != 1 || f->neigh >= NEIGH_ALL ||
		    f->port >= lc->ports->n || !has_queue(lc, p) || p->vlan != 0))
		return false;
	n = &net_port(lc, f->port)->neigh[f->neigh];
	w = atomic_load_explicit(&n->word, memory_order_acquire);
	if (unlikely(word_gen(w) != f->gen || !word_is_usable(w)))
		return false;
	neigh_touch(n, lc->now);
	m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	m->tx_offload = rte_mbuf_tx_offload(
		sizeof(struct rte_ether_hdr), sizeof(struct rte_ipv4_hdr), 0, 0, 0, 0, 0);
	m->pkt_len = m->data_len;
	tcp_csum(p, m, f, false);
	h = rte_pktmbuf_mtod(m, uint8_t *) - HEADERS4;
	// the two bytes behind the neighbour's address are written again by what follows
	w = rte_cpu_to_be_64(w);
	memcpy(h, &w, sizeof(w));
	memcpy(&own, p->mac.addr_bytes, 4);
	memcpy(h + 6, &own, 4);
	memcpy(&own_end, p->mac.addr_bytes + 4, 2);
	own_end |= (uint32_t)rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) << 16;
	memcpy(h + 10, &own_end, 4);
	put_ip4(p, m, h + sizeof(struct rte_ether_hdr), f->laddr.v4, f->raddr.v4, IPPROTO_TCP, tos,
		(uint16_t)(m->data_len + sizeof(struct rte_ipv4_hdr)));
	m->data_off -= HEADERS4;
	m->data_len += HEADERS4;
	m->pkt_len = m->data_len;
	eth_queue(lc, p, m);
	return true;
}

/* Anything; size: 0, or of the segments that the device makes of it. */
static sl_apart void
output_any(struct lcore *lc, struct net_flow *f, struct rte_mbuf *m, uint16_t size, uint8_t tos)
{
	const struct port *p = &lc->ports->port[f->port];
	bool v6 = f->raddr.family == ADDR_V6;
	uint16_t type = v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4;
	const struct ip_addr *hop = NULL;
	struct rte_ether_addr mac;
	enum resolved r;

	r = f->port < lc->ports->n && has_queue(lc, p) ? resolve(lc, f, &mac, &hop) : RES_DROP;
	if (unlikely(r == RES_DROP)) {
		pkt_drop(lc, m, DROP_NO_ROUTE);
		return;
	}
	m->pkt_len = m->data_len;
	for (const struct rte_mbuf *s = m->next; s != NULL; s = s->next)
		m->pkt_len += s->data_len;
	if (unlikely(m->nb_segs > 1) && !(p->offloads & PORT_O_TX_MULTISEG)) {
		m = linearize(lc, m);
		if (m == NULL)
			return;
	}
	sl_assert(rte_pktmbuf_headroom(m) >= NET_HEADROOM);
	m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	m->tx_offload = 0;
	if (size != 0)
		tcp_tso(m, f, v6, size);
	else
		tcp_csum(p, m, f, v6);
	if (v6)
		ip6_prepend(m, &f->laddr, &f->raddr, IPPROTO_TCP, tos, TTL);
	else
		ip4_prepend(p, m, &f->laddr, &f->raddr, IPPROTO_TCP, tos);
	if (likely(r == RES_OK)) {
		eth_out(lc, p, m, &mac, type);
		return;
	}
	eth_prepend(p, m, NULL, type);
	// a router is worth waiting for, whoever is behind it
	wait_add(lc, p, hop, m, f->bare && hop == &f->raddr);
}

void
net_output(struct lcore *lc, struct net_flow *f, struct rte_mbuf *m, uint8_t tos)
{
	sl_assert(m->nb_segs > 1 || m->next == NULL);
	if (unlikely(!output4(lc, &lc->ports->port[f->port], f, m, tos)))
		output_any(lc, f, m, 0, tos);
}

void
net_output_joined(
	struct lcore *lc, struct net_flow *f, struct rte_mbuf *m, uint16_t size, uint8_t tos)
{
	sl_assert(m->nb_segs > 1);
	stat_inc(lc, STAT_TX_TSO);
	stat_add(lc, STAT_TX_TSO_SEGS, m->nb_segs);
	output_any(lc, f, m, size, tos);
}
