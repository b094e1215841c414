// SPDX-License-Identifier: BSD-3-Clause
/*
 * ICMP errors that a host sends: no such port, no such protocol, an option it must not skip.
 *
 * Runs on: workers. Follows: RFC 1122 3.2.2 and 3.2.2.1, RFC 4443 2.4 and 3, in numbered steps. All
 * of a worker's errors share one bucket (ERR_BURST, ERR_PER_TICK); what does not fit is counted.
 * An error is never larger than what it answers plus its own headers, and goes back to the frame's
 * sender. Not here: errors of routers (too big, time exceeded), UDP that anybody listens to.
 */
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define QUOTE4   548  // 576 less both headers (RFC 1122 3.2.2, RFC 1812 4.3.2.3)
#define QUOTE6   1232 // 1280 less both headers (RFC 4443 2.4 c)
#define ERR_HEAD 8

/* May an error be sent for it? Takes a token. */
static bool
may_send(struct lcore *lc, const uint8_t *d)
{
	// 1. to one host only: what came to a group is not answered (the IP source is checked)
	if ((d[0] & 1) != 0)
		return false;
	// 2. within the limit
	if (lc->net->err_tokens == 0) {
		stat_inc(lc, STAT_ICMP_ERR_LIMITED);
		return false;
	}
	lc->net->err_tokens--;
	return true;
}

/* A message with n bytes of the packet at ip quoted. NULL: no buffer (counted). */
static struct rte_mbuf *
quote(struct lcore *lc, const uint8_t *ip, uint32_t n, uint8_t type, uint8_t code)
{
	struct rte_mbuf *e = lcore_mbuf(lc);
	uint8_t *d;

	if (e == NULL) {
		drop_count(lc, DROP_NO_MBUF);
		return NULL;
	}
	e->data_len = e->pkt_len = (uint16_t)(ERR_HEAD + n);
	d = rte_pktmbuf_mtod(e, uint8_t *);
	memset(d, 0, ERR_HEAD);
	d[0] = type;
	d[1] = code;
	memcpy(d + ERR_HEAD, ip, n);
	return e;
}

static void
put_sum(struct rte_mbuf *e, uint64_t pseudo)
{
	uint8_t *d = rte_pktmbuf_mtod(e, uint8_t *);
	uint16_t sum = csum_finish(csum_add(d, e->data_len, pseudo));

	memcpy(d + 2, &sum, sizeof(sum));
}

sl_cold void
icmp4_error(
	struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m, uint8_t type, uint8_t code)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *), *ip = d + rx->l3;
	struct ip_addr us, them;
	struct rte_ether_addr mac;
	struct rte_mbuf *e;

	if (!may_send(lc, d))
		return;
	e = quote(lc, ip, sl_min((uint32_t)m->data_len - rx->l3, (uint32_t)QUOTE4), type, code);
	if (e == NULL)
		return;
	put_sum(e, 0);
	addr_set4(&them, ip + 12);
	addr_set4(&us, ip + 16);
	memcpy(mac.addr_bytes, d + 6, 6);
	ip4_prepend(rx->p, e, &us, &them, IPPROTO_ICMP, 0);
	eth_out(lc, rx->p, e, &mac, RTE_ETHER_TYPE_IPV4);
	stat_inc(lc, STAT_ICMP_ERR_OUT);
}

sl_cold void
icmp6_error(struct lcore *lc, const struct rx *rx, const struct rte_mbuf *m, uint8_t type,
	uint8_t code, uint32_t value)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *), *ip = d + rx->l3;
	struct ip_addr us, them;
	struct rte_ether_addr mac;
	struct rte_mbuf *e;

	addr_set6(&them, ip + 8);
	addr_set6(&us, ip + 24);
	// 2.4 e: not to who has no address, nor from a group
	if (addr_is_any(&them) || addr_is_multicast(&us) || !may_send(lc, d))
		return;
	e = quote(lc, ip, sl_min((uint32_t)m->data_len - rx->l3, (uint32_t)QUOTE6), type, code);
	if (e == NULL)
		return;
	value = rte_cpu_to_be_32(value);
	memcpy(rte_pktmbuf_mtod_offset(e, void *, 4), &value, sizeof(value));
	put_sum(e, csum_pseudo(us.b, them.b, true, IPPROTO_ICMPV6, e->data_len));
	memcpy(mac.addr_bytes, d + 6, 6);
	ip6_prepend(e, &us, &them, IPPROTO_ICMPV6, 0, 64);
	eth_out(lc, rx->p, e, &mac, RTE_ETHER_TYPE_IPV6);
	stat_inc(lc, STAT_ICMP_ERR_OUT);
}

sl_cold void
udp_in(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len,
	bool v6)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, rx->l3);
	const uint8_t *d = rte_pktmbuf_mtod_offset(m, const uint8_t *, l4);
	uint16_t n = len >= 8 ? (uint16_t)(d[4] << 8 | d[5]) : 0;
	bool summed = n >= 8 && (v6 || d[6] != 0 || d[7] != 0); // IPv4: none is allowed

	// 1. a whole header, a length within the packet, a checksum (RFC 768, RFC 8200 8.1)
	if (n < 8 || n > len ||
		(summed &&
			!csum_is_good(csum_add(d, n,
				csum_pseudo(ip + (v6 ? 8 : 12), ip + (v6 ? 24 : 16), v6,
					IPPROTO_UDP, n))))) {
		pkt_drop(lc, m, DROP_UDP_BAD);
		return;
	}
	// 2. nobody listens
	if (tap_takes(lc, rx, m, DROP_UDP_NO_PORT))
		return;
	if (v6)
		icmp6_error(lc, rx, m, 1, 4, 0);
	else
		icmp4_error(lc, rx, m, 3, 3);
	pkt_drop(lc, m, DROP_UDP_NO_PORT);
}
