// SPDX-License-Identifier: BSD-3-Clause
/*
 * ICMP in: echo is answered here (limited in rate), errors about our segments go to tcp.
 *
 * Runs on: workers; errors on the owner of the flow that they quote. Follows: RFC 792, RFC 1122
 * 3.2.2, RFC 1191, RFC 5927 (whether a quoted segment is ours in detail, is for tcp to judge).
 * Not here: redirects (ignored), timestamp requests (not answered), sending of errors.
 */
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

enum icmp4_type { ECHO_REPLY = 0, UNREACHABLE = 3, ECHO_REQUEST = 8 };

/* RFC 1191 section 7: likely MTUs below what a router without the new field refused. */
static uint16_t
plateau(uint16_t len)
{
	static const uint16_t mtus[] = { 1492, 1280, 1006, 576, 508, 296 };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(mtus); i++) {
		if (mtus[i] < len)
			return mtus[i];
	}
	return 68;
}

bool
echo_allowed(struct lcore *lc)
{
	struct net_lcore *nl = lc->net;

	if (nl->echo_tokens == 0)
		return false;
	nl->echo_tokens--;
	return true;
}

static void
echo(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, uint16_t l4)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	struct ip_addr us, them;
	struct rte_ether_addr mac;
	uint8_t tos = d[rx->l3 + 1], *icmp;
	uint16_t sum;

	if (!echo_allowed(lc)) {
		pkt_drop(lc, m, DROP_ICMP_RATE);
		return;
	}
	addr_set4(&them, d + rx->l3 + 12);
	addr_set4(&us, d + rx->l3 + 16);
	memcpy(mac.addr_bytes, d + 6, 6);
	m->data_off += l4;
	m->data_len -= l4;
	m->pkt_len = m->data_len;
	m->ol_flags = 0;
	icmp = rte_pktmbuf_mtod(m, uint8_t *);
	icmp[0] = ECHO_REPLY;
	icmp[2] = icmp[3] = 0;
	sum = csum_finish(csum_add(icmp, m->data_len, 0));
	memcpy(icmp + 2, &sum, sizeof(sum));
	ip4_prepend(rx->p, m, &us, &them, IPPROTO_ICMP, tos);
	eth_out(lc, rx->p, m, &mac, RTE_ETHER_TYPE_IPV4);
	stat_inc(lc, STAT_ECHO_IN);
}

bool
icmp_quote_read(const uint8_t *d, uint16_t len, struct net_icmp_error *e)
{
	uint32_t at, proto;
	bool v6;

	// the quoted header, then 8 bytes of TCP: ports and sequence number
	if (len < 28)
		return false;
	v6 = d[0] >> 4 == 6;
	at = v6 ? 40 : (d[0] & 0x0fu) * 4;
	proto = v6 ? d[6] : d[9];
	if ((!v6 && d[0] >> 4 != 4) || at < 20 || at + 8 > len || proto != IPPROTO_TCP ||
		(!v6 && ((d[6] & 0x1f) != 0 || d[7] != 0)))
		return false;
	if (v6) {
		addr_set6(&e->laddr, d + 8);
		addr_set6(&e->raddr, d + 24);
	} else {
		addr_set4(&e->laddr, d + 12);
		addr_set4(&e->raddr, d + 16);
	}
	e->lport = (uint16_t)(d[at] << 8 | d[at + 1]);
	e->rport = (uint16_t)(d[at + 2] << 8 | d[at + 3]);
	e->seq = (uint32_t)d[at + 4] << 24 | (uint32_t)d[at + 5] << 16 | (uint32_t)d[at + 6] << 8 |
		d[at + 7];
	return true;
}

void
icmp_quote_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t q, uint16_t len,
	struct net_icmp_error *e)
{
	if (!icmp_quote_read(rte_pktmbuf_mtod_offset(m, const uint8_t *, q), len, e) ||
		!port_has_addr(lc, rx->p, &e->laddr)) {
		tap_left_or_drop(lc, rx, m, DROP_ICMP_BAD);
		return;
	}
	if (rx->p->mode != PORT_SINGLE && !rx->foreign) {
		rx->hash = port_hash(rx->p, &e->raddr, &e->laddr, e->rport, e->lport);
		rx->hashed = true;
		if (mesh_forward(lc, rx, m, port_owner(rx->p, rx->hash)))
			return;
	}
	if (!lc->net->icmp(lc, e)) {
		tap_left_or_drop(lc, rx, m, DROP_ICMP_STALE);
		return;
	}
	stat_inc(lc, STAT_ICMP_ERR_IN);
	rte_pktmbuf_free(m);
}

static void
unreachable(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len)
{
	const uint8_t *d = rte_pktmbuf_mtod_offset(m, const uint8_t *, l4);
	struct net_icmp_error e = { 0 };

	switch (d[1]) {
	case 2: // protocol
	case 3: // port
		e.kind = NET_ICMP_REFUSED;
		break;
	case 4: // needs fragmentation
		e.kind = NET_ICMP_TOO_BIG;
		e.mtu = (uint16_t)(d[6] << 8 | d[7]);
		if (e.mtu == 0 && len >= 8 + 4)
			e.mtu = plateau((uint16_t)(d[10] << 8 | d[11]));
		break;
	default:
		e.kind = NET_ICMP_UNREACH;
	}
	icmp_quote_in(lc, rx, m, l4 + 8, len - 8, &e);
}

sl_cold void
icmp4_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len)
{
	const uint8_t *d = rte_pktmbuf_mtod_offset(m, const uint8_t *, l4);

	// 1. a whole header
	// 2. checksum over all of it
	if (len < 8 || !csum_is_good(csum_add(d, len, 0))) {
		pkt_drop(lc, m, DROP_ICMP_BAD);
		return;
	}
	// 3. type
	switch (d[0]) {
	case ECHO_REQUEST:
		if (d[1] != 0)
			pkt_drop(lc, m, DROP_ICMP_BAD);
		else
			echo(lc, rx, m, l4);
		return;
	case UNREACHABLE:
		tap_copy_shared(lc, rx, m); // whose it is, is for the owner of the flow to see
		unreachable(lc, rx, m, l4, len);
		return;
	default:
		tap_or_drop(lc, rx, m, DROP_ICMP_TYPE);
	}
}
