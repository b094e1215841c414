// SPDX-License-Identifier: BSD-3-Clause
/*
 * Frames in: whose they are, which VLAN, what they carry.
 *
 * Runs on: workers. Follows: Ethernet II, IEEE 802.1Q, RFC 2464 section 7 and RFC 1112 6.4 for
 * multicast addresses. m->port is never read (net_af_xdp leaves it unset).
 */
#include "dataplane/lcore/capture.h"
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define PREFETCH_AHEAD 4

static bool
is_for_us(const struct port *p, const uint8_t *d)
{
	static const uint8_t bcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (likely(memcmp(d, p->mac.addr_bytes, 6) == 0))
		return true;
	// IPv6 multicast; which group is for ip6_in to judge
	return memcmp(d, bcast, 6) == 0 || (d[0] == 0x33 && d[1] == 0x33);
}

/*
 * Finds EtherType and its offset behind the tags that are allowed: exactly the port's VLAN, in the
 * frame or stripped by the device; on untagged ports none, or a priority tag (VLAN 0).
 */
static sl_apart bool
vlan_in(const struct port *p, const struct rte_mbuf *m, const uint8_t *d, uint16_t *type,
	uint16_t *l3)
{
	uint16_t vid = 0;

	*type = (uint16_t)(d[12] << 8 | d[13]);
	*l3 = 14;
	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) {
		vid = m->vlan_tci & 0xfff;
	} else if (*type == RTE_ETHER_TYPE_VLAN) {
		if (m->data_len < 18)
			return false;
		vid = (uint16_t)(d[14] << 8 | d[15]) & 0xfff;
		*type = (uint16_t)(d[16] << 8 | d[17]);
		*l3 = 18;
	}
	return vid == p->vlan;
}

void
eth_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t type;

	rx->l3 = 0;
	// 1. a whole header, in one piece (no driver is asked to scatter)
	if (unlikely(m->data_len < 14 || m->nb_segs != 1)) {
		pkt_drop(lc, m, DROP_ETH_SHORT);
		return;
	}
	// 2. to us, and not from us (packet sockets hear their own host)
	if (unlikely(!is_for_us(rx->p, d) || memcmp(d + 6, rx->p->mac.addr_bytes, 6) == 0 ||
		    (d[6] & 1) != 0)) {
		tap_or_drop(lc, rx, m, DROP_ETH_NOT_OURS);
		return;
	}
	// 3. of our VLAN
	if (unlikely(!vlan_in(rx->p, m, d, &type, &rx->l3))) {
		tap_or_drop(lc, rx, m, DROP_ETH_VLAN);
		return;
	}
	// 4. of a type we speak
	switch (type) {
	case RTE_ETHER_TYPE_IPV4:
		ip4_in(lc, rx, m);
		return;
	case RTE_ETHER_TYPE_IPV6:
		ip6_in(lc, rx, m);
		return;
	case RTE_ETHER_TYPE_ARP:
		arp_in(lc, rx, m);
		return;
	default:
		tap_or_drop(lc, rx, m, DROP_ETH_TYPE);
	}
}

/*
 * What nearly every frame is, found by two words of it: to us, from one other host, without a tag,
 * IPv4. Whatever is anything else goes the long way.
 */
static inline bool
is_plain(const struct rx *rx, const struct rte_mbuf *m)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint64_t dst, src; // with the two bytes behind each

	if (unlikely(m->data_len < 34 || m->nb_segs != 1 || rx->p->vlan != 0))
		return false;
	memcpy(&dst, d, sizeof(dst));
	memcpy(&src, d + 6, sizeof(src));
	return dst << 16 == rx->mac && src << 16 != rx->mac && (src & 1) == 0 &&
		src >> 48 == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) &&
		(m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) == 0;
}

/* Hands the collected segments up; the batch is empty afterwards. */
void
net_deliver(struct lcore *lc)
{
	struct net_lcore *nl = lc->net;
	uint32_t n = nl->nbatch;

	if (n == 0)
		return;
	nl->nbatch = 0;
	nl->tcp(lc, nl->batch, (uint16_t)n);
}

void
net_input(struct lcore *lc, uint16_t port, struct rte_mbuf **m, uint16_t n)
{
	const struct port *p = &lc->ports->port[port];
	struct rx rx = { .p = p, .np = net_port(lc, port) };
	struct capture *capture = capture_of(lc);
	uint64_t bytes = 0;

	memcpy((uint8_t *)&rx.mac + 2, p->mac.addr_bytes, 6);
	for (uint16_t i = 0; i < n && i < PREFETCH_AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + PREFETCH_AHEAD], void *));
		bytes += m[i]->pkt_len;
		if (unlikely(capture != NULL))
			capture_frame(lc, capture, port, m[i], false);
		rx.hashed = false;
		if (likely(is_plain(&rx, m[i]))) {
			rx.l3 = 14;
			ip4_in(lc, &rx, m[i]);
		} else {
			eth_in(lc, &rx, m[i]);
		}
	}
	stat_add(lc, STAT_RX_PACKETS, n);
	stat_add(lc, STAT_RX_BYTES, bytes);
	net_deliver(lc);
}
