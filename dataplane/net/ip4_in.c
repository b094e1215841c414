// SPDX-License-Identifier: BSD-3-Clause
/*
 * IPv4 in: is it a packet, is it for us, what does it carry.
 *
 * Runs on: workers. Follows: RFC 791, RFC 1122 3.2.1, in numbered steps. Fragments are dropped and
 * counted: TCP sends with DF and path MTU discovery on both sides makes them rare. Options are
 * skipped, but for source routes, which are refused as routers and hosts do today. Not here:
 * forwarding of any kind.
 */
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define IP4_LSRR 131
#define IP4_SSRR 137

/* Options well formed and without a source route. */
static sl_apart bool
options_ok(const uint8_t *o, uint32_t n)
{
	for (uint32_t i = 0; i < n;) {
		if (o[i] == 0)
			return true;
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= n || o[i + 1] < 2 || i + o[i + 1] > n)
			return false;
		if (o[i] == IP4_LSRR || o[i] == IP4_SSRR)
			return false;
		i += o[i + 1];
	}
	return true;
}

static bool
is_ours(const struct port *p, uint32_t ip)
{
	for (uint16_t i = 0; i < p->naddrs; i++)
		if (p->addr[i].ip.v4 == ip && p->addr[i].ip.family == ADDR_V4)
			return true;
	return false;
}

/* RFC 1122 3.2.1.3: what can stand in a source field. Network order. */
static inline bool
source_ok(const struct port *p, uint32_t src)
{
	uint32_t ip = rte_be_to_cpu_32(src), first = ip >> 24;

	// 0, and 224 and above
	if (unlikely(first - 1 >= 223 || first == 127))
		return false;
	for (uint16_t i = 0; i < p->naddrs; i++) {
		const struct ip_net *n = &p->addr[i];
		uint32_t host;

		if (n->ip.family != ADDR_V4)
			continue;
		if (unlikely(src == n->ip.v4))
			return false;
		if (n->prefix > 30)
			continue;
		// of a network with hosts the first is the network, and the last one all of them
		host = (uint32_t)(((uint64_t)1 << (32 - n->prefix)) - 1);
		if (unlikely(((ip + 1) & host) <= 1) &&
			((ip ^ rte_be_to_cpu_32(n->ip.v4)) & ~host) == 0)
			return false;
	}
	return true;
}

/* Of nearly every header: five words. */
static inline uint64_t
header_sum(const struct rte_ipv4_hdr *h, uint32_t ihl)
{
	uint64_t w[2];
	uint32_t last;

	if (unlikely(ihl != sizeof(w) + sizeof(last)))
		return csum_add(h, ihl, 0);
	memcpy(w, h, sizeof(w));
	memcpy(&last, (const uint8_t *)h + sizeof(w), sizeof(last));
	return (uint64_t)(uint32_t)w[0] + (w[0] >> 32) + (uint32_t)w[1] + (w[1] >> 32) + last;
}

static inline enum drop
check(const struct rx *rx, const struct rte_mbuf *m, const struct rte_ipv4_hdr *h, uint32_t room)
{
	uint32_t ihl, total;

	// 1. a whole fixed header
	if (room < sizeof(*h))
		return DROP_IP_HEADER;
	ihl = (h->version_ihl & 0x0fu) * 4;
	total = rte_be_to_cpu_16(h->total_length);
	// 2. version 4 (RFC 1122 3.2.1.1)
	// 3. header length at least 20, within the frame
	if (h->version_ihl >> 4 != 4 || ihl < sizeof(*h) || ihl > room)
		return DROP_IP_HEADER;
	// 4. total length at least the header, within the frame (which may be padded)
	if (total < ihl || total > room)
		return DROP_IP_LENGTH;
	// 5. checksum (3.2.1.2), by the device or here
	if (!((rx->p->offloads & PORT_O_RX_IPCSUM) &&
		    (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD) &&
		!csum_is_good(header_sum(h, ihl)))
		return DROP_IP_CSUM;
	// 6. a source that can exist (3.2.1.3)
	if (!source_ok(rx->p, h->src_addr))
		return DROP_IP_SOURCE;
	// 7. a destination of this port (3.2.1.3)
	if (!is_ours(rx->p, h->dst_addr))
		return DROP_IP_NOT_OURS;
	// 8. options that we can skip (3.2.1.8)
	if (unlikely(ihl > sizeof(*h)) &&
		!options_ok((const uint8_t *)(h + 1), ihl - (uint32_t)sizeof(*h)))
		return DROP_IP_HEADER;
	// 9. no fragment
	if (h->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK))
		return DROP_IP_FRAGMENT;
	return DROP_NR;
}

void
ip4_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *h =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, rx->l3);
	enum drop why = check(rx, m, h, (uint32_t)m->data_len - rx->l3);
	uint16_t ihl, len;

	if (unlikely(why != DROP_NR)) {
		tap_or_drop(lc, rx, m, why);
		return;
	}
	ihl = (h->version_ihl & 0x0fu) * 4;
	len = rte_be_to_cpu_16(h->total_length) - ihl;
	// what a short frame was padded with is no data
	m->data_len = rx->l3 + ihl + len;
	m->pkt_len = m->data_len;
	// 10. protocol
	switch (h->next_proto_id) {
	case IPPROTO_TCP:
		tcp_in(lc, rx, m, rx->l3 + ihl, len, false);
		return;
	case IPPROTO_ICMP:
		icmp4_in(lc, rx, m, rx->l3 + ihl, len);
		return;
	case IPPROTO_UDP:
		udp_in(lc, rx, m, rx->l3 + ihl, len, false);
		return;
	default:
		if (tap_takes(lc, rx, m, DROP_IP_PROTO))
			return;
		icmp4_error(lc, rx, m, 3, 2);
		pkt_drop(lc, m, DROP_IP_PROTO);
	}
}
