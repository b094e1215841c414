// SPDX-License-Identifier: BSD-3-Clause
/*
 * IPv6 in: is it a packet, is it for us, what does it carry.
 *
 * Runs on: workers. Follows: RFC 8200, RFC 4291, RFC 6946 (a fragment header of a packet that is
 * whole is skipped), in numbered steps. The chain of extension headers and the options in them are
 * bounded; what a host must not skip is answered by a parameter problem. Fragments are dropped and
 * counted. Not here: forwarding, routing headers with hops to go, jumbograms.
 */
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define EXT_MAX 4 // headers that we skip; real packets have none or one
#define OPT_MAX 8 // options of one header, padding aside

/* An advertisement by the very address that it tells of: so another host says that it has ours. */
static bool
is_claim(const uint8_t *d, uint32_t at, uint32_t end, uint8_t proto, const struct ip_addr *src)
{
	return proto == IPPROTO_ICMPV6 && at + 24 <= end && d[at] == 136 &&
		memcmp(d + at + 8, src->b, 16) == 0;
}

static bool
source_ok(const struct lcore *lc, const struct rx *rx, const struct ip_addr *src, uint8_t proto,
	bool claim)
{
	static const uint8_t loopback[16] = { [15] = 1 };

	if (addr_is_multicast(src) || addr_is_mapped(src) || memcmp(src->b, loopback, 16) == 0)
		return false;
	// unspecified: only duplicate address detection (RFC 4862 5.4.2)
	if (addr_is_any(src))
		return proto == IPPROTO_ICMPV6;
	return claim || !port_has_addr(lc, rx->p, src);
}

/* All nodes, or the solicited-node group of one of our addresses (RFC 4291 2.7.1). */
static bool
is_our_group(const struct lcore *lc, const struct rx *rx, const struct ip_addr *dst)
{
	static const uint8_t all_nodes[16] = { 0xff, 0x02, [15] = 1 };
	static const uint8_t solicited[13] = { 0xff, 0x02, [11] = 1, [12] = 0xff };
	const struct port *p = rx->p;

	if (memcmp(dst->b, all_nodes, 16) == 0)
		return true;
	if (memcmp(dst->b, solicited, 13) != 0)
		return false;
	for (uint16_t i = 0; i < p->naddrs; i++) {
		if (p->addr[i].ip.family == ADDR_V6 &&
			memcmp(p->addr[i].ip.b + 13, dst->b + 13, 3) == 0)
			return true;
	}
	return memcmp(net_port(lc, p->id)->ll.b + 13, dst->b + 13, 3) == 0;
}

/* What a packet that is refused is answered with: an ICMPv6 parameter problem. */
struct problem {
	uint8_t code; // PROBLEM_NONE: nothing
	uint16_t at;  // offset from the IPv6 header
};
#define PROBLEM_HEADER 0 // erroneous field
#define PROBLEM_NEXT   1 // next header not known
#define PROBLEM_OPTION 2 // option not known
#define PROBLEM_NONE   255

/*
 * The options of a hop-by-hop or destination header: we know none but the padding, and each says
 * itself what then (RFC 8200 4.2). Their number is bounded (RFC 8504 5.3).
 */
static bool
options_ok(
	const uint8_t *d, uint32_t at, uint32_t end, bool group, struct problem *why, uint16_t l3)
{
	for (uint32_t n = 0; at < end;) {
		uint32_t len;

		if (d[at] == 0) { // Pad1
			at++;
			continue;
		}
		if (at + 2 > end)
			return false;
		len = d[at + 1] + 2u;
		if (len > end - at || (d[at] != 1 && ++n > OPT_MAX))
			return false;
		switch (d[at] >> 6) {
		case 0: // skip
			break;
		case 1: // drop
			return false;
		case 3: // drop, and tell unless it came to a group
			if (group)
				return false;
			// fall through
		default: // drop and tell
			*why = (struct problem){ PROBLEM_OPTION, (uint16_t)(at - l3) };
			return false;
		}
		at += len;
	}
	return true;
}

/*
 * Skips extension headers; *proto and *at become those of the upper layer, *field the place where
 * its number stood.
 */
static enum drop
skip_ext(const uint8_t *d, uint16_t l3, uint32_t end, uint8_t *proto, uint32_t *at, uint16_t *field,
	struct problem *why)
{
	*field = 6;
	for (uint32_t n = 0;; n++) {
		uint32_t len;

		switch (*proto) {
		case IPPROTO_HOPOPTS: // only as the first (RFC 8200 4.1)
			if (n > 0) {
				*why = (struct problem){ PROBLEM_NEXT, *field };
				return DROP_IP6_EXT;
			}
			break;
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_FRAGMENT:
			break;
		case IPPROTO_NONE:
			return DROP_IP6_EXT;
		default:
			return DROP_NR;
		}
		if (n == EXT_MAX || *at + 8 > end)
			return DROP_IP6_EXT;
		len = *proto == IPPROTO_FRAGMENT ? 8 : (d[*at + 1] + 1u) * 8;
		if (*at + len > end)
			return DROP_IP6_EXT;
		if (*proto == IPPROTO_ROUTING &&
			d[*at + 3] != 0) { // RFC 8200 4.4: no type is known
			*why = (struct problem){ PROBLEM_HEADER, (uint16_t)(*at + 2 - l3) };
			return DROP_IP6_EXT;
		}
		if (*proto == IPPROTO_FRAGMENT && (d[*at + 2] != 0 || (d[*at + 3] & 0xf9) != 0))
			return DROP_IP_FRAGMENT;
		if ((*proto == IPPROTO_HOPOPTS || *proto == IPPROTO_DSTOPTS) &&
			!options_ok(d, *at + 2, *at + len, d[l3 + 24] == 0xff, why, l3))
			return DROP_IP6_EXT;
		*field = (uint16_t)(*at - l3);
		*proto = d[*at];
		*at += len;
	}
}

static enum drop
check(struct lcore *lc, const struct rx *rx, struct rte_mbuf *m, uint8_t *proto, uint32_t *at,
	uint16_t *field, struct problem *say)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct rte_ipv6_hdr *h = (const struct rte_ipv6_hdr *)(d + rx->l3);
	uint32_t room = (uint32_t)m->data_len - rx->l3, len;
	struct ip_addr src, dst;
	enum drop why;

	// 1. a whole header of version 6
	if (room < sizeof(*h) || d[rx->l3] >> 4 != 6)
		return DROP_IP_HEADER;
	// 2. payload within the frame; 0 would be a jumbogram, or nothing
	len = rte_be_to_cpu_16(h->payload_len);
	if (len == 0 || len > room - sizeof(*h))
		return DROP_IP_LENGTH;
	*at = rx->l3 + (uint32_t)sizeof(*h);
	*proto = h->proto;
	m->data_len = (uint16_t)(*at + len); // without padding
	m->pkt_len = m->data_len;
	// 3. extension headers
	say->code = PROBLEM_NONE;
	why = skip_ext(d, rx->l3, *at + len, proto, at, field, say);
	if (unlikely(why != DROP_NR) && say->code == PROBLEM_NONE)
		return why;
	// 4. a source that can exist (RFC 4291 2.5.2, 2.5.3, 2.5.5.2, 2.7)
	addr_set6(&src, h->src_addr);
	if (!source_ok(lc, rx, &src, *proto, is_claim(d, *at, m->data_len, *proto, &src)))
		return DROP_IP_SOURCE;
	// 5. a destination of this port; groups only for ICMPv6
	addr_set6(&dst, h->dst_addr);
	if (!port_has_addr(lc, rx->p, &dst) &&
		!(*proto == IPPROTO_ICMPV6 && is_our_group(lc, rx, &dst)))
		return DROP_IP_NOT_OURS;
	return why;
}

void
ip6_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m)
{
	struct problem say = { .code = PROBLEM_NONE };
	uint16_t len, field;
	uint8_t proto;
	uint32_t at;
	enum drop why = check(lc, rx, m, &proto, &at, &field, &say);

	if (unlikely(why != DROP_NR)) {
		if (tap_takes(lc, rx, m, why))
			return;
		if (why == DROP_IP6_EXT && say.code != PROBLEM_NONE)
			icmp6_error(lc, rx, m, 4, say.code, say.at);
		pkt_drop(lc, m, why);
		return;
	}
	len = (uint16_t)(m->data_len - at);
	// 6. upper layer
	switch (proto) {
	case IPPROTO_TCP:
		tcp_in(lc, rx, m, (uint16_t)at, len, true);
		return;
	case IPPROTO_ICMPV6:
		icmp6_in(lc, rx, m, (uint16_t)at, len);
		return;
	case IPPROTO_UDP:
		udp_in(lc, rx, m, (uint16_t)at, len, true);
		return;
	default:
		if (tap_takes(lc, rx, m, DROP_IP_PROTO))
			return;
		icmp6_error(lc, rx, m, 4, PROBLEM_NEXT, field);
		pkt_drop(lc, m, DROP_IP_PROTO);
	}
}
