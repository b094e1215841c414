// SPDX-License-Identifier: BSD-3-Clause
/*
 * ICMPv6 in: echo, errors about our segments, neighbour discovery (nd.c).
 *
 * Runs on: workers; errors on the owner of the flow that they quote. Follows: RFC 4443, RFC 8201
 * (an MTU below 1280 is no answer), RFC 5927. Not here: router advertisements (addresses and
 * gateways are configured), redirects, multicast listener reports.
 */
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

enum icmp6_type {
	UNREACHABLE = 1,
	TOO_BIG = 2,
	ECHO_REQUEST = 128,
	ECHO_REPLY = 129,
	NEIGH_SOLICIT = 135,
	NEIGH_ADVERT = 136,
};

#define MTU_MIN6 1280u

static void
echo(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, uint16_t l4)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	struct ip_addr us, them;
	struct rte_ether_addr mac;
	uint8_t *icmp;
	uint16_t sum;

	addr_set6(&them, d + rx->l3 + 8);
	addr_set6(&us, d + rx->l3 + 24);
	// not to a group: an answer from each of its members is what attackers want
	if (addr_is_multicast(&us) || addr_is_any(&them)) {
		tap_or_drop(lc, rx, m, DROP_ICMP_TYPE);
		return;
	}
	if (!echo_allowed(lc)) {
		pkt_drop(lc, m, DROP_ICMP_RATE);
		return;
	}
	memcpy(mac.addr_bytes, d + 6, 6);
	m->data_off += l4;
	m->data_len -= l4;
	m->pkt_len = m->data_len;
	m->ol_flags = 0;
	icmp = rte_pktmbuf_mtod(m, uint8_t *);
	icmp[0] = ECHO_REPLY;
	icmp[2] = icmp[3] = 0;
	sum = csum_finish(csum_add(
		icmp, m->data_len, csum_pseudo(us.b, them.b, true, IPPROTO_ICMPV6, m->data_len)));
	memcpy(icmp + 2, &sum, sizeof(sum));
	ip6_prepend(m, &us, &them, IPPROTO_ICMPV6, 0, 64);
	eth_out(lc, rx->p, m, &mac, RTE_ETHER_TYPE_IPV6);
	stat_inc(lc, STAT_ECHO_IN);
}

static void
error(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len)
{
	const uint8_t *d = rte_pktmbuf_mtod_offset(m, const uint8_t *, l4);
	struct net_icmp_error e = { 0 };
	uint32_t mtu;

	if (d[0] == TOO_BIG) {
		mtu = (uint32_t)d[4] << 24 | (uint32_t)d[5] << 16 | (uint32_t)d[6] << 8 | d[7];
		if (mtu < MTU_MIN6) { // RFC 8201 4: to be discarded
			pkt_drop(lc, m, DROP_ICMP_MTU);
			return;
		}
		e.kind = NET_ICMP_TOO_BIG;
		e.mtu = (uint16_t)sl_min(mtu, (uint32_t)UINT16_MAX);
	} else {
		e.kind = d[1] == 4 ? NET_ICMP_REFUSED : NET_ICMP_UNREACH;
	}
	icmp_quote_in(lc, rx, m, l4 + 8, len - 8, &e);
}

sl_cold void
icmp6_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, rx->l3);
	const uint8_t *d = rte_pktmbuf_mtod_offset(m, const uint8_t *, l4);

	// 1. a whole header
	// 2. checksum over pseudo header and message
	if (len < 8 ||
		!csum_is_good(csum_add(
			d, len, csum_pseudo(ip + 8, ip + 24, true, IPPROTO_ICMPV6, len)))) {
		pkt_drop(lc, m, DROP_ICMP_BAD);
		return;
	}
	// 3. type
	switch (d[0]) {
	case ECHO_REQUEST:
		echo(lc, rx, m, l4);
		return;
	case NEIGH_SOLICIT:
	case NEIGH_ADVERT:
		nd_in(lc, rx, m, l4, len);
		return;
	case UNREACHABLE:
	case TOO_BIG:
		tap_copy_shared(lc, rx, m);
		error(lc, rx, m, l4, len);
		return;
	default:
		tap_or_drop(lc, rx, m, DROP_ICMP_TYPE);
	}
}
