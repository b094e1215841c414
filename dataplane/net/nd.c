// SPDX-License-Identifier: BSD-3-Clause
/*
 * IPv6 neighbour discovery: solicitations and advertisements, both ways.
 *
 * Runs on: the neighbour owner of the port (others forward). Follows: RFC 4861 7.1.1, 7.1.2 (checks,
 * by number), 7.2.3 to 7.2.5 (what is learnt), 7.2.6 (unsolicited advertisements at start).
 * Duplicate address detection (RFC 4862 5.4) is done beside the use of an address, not before: the
 * port's owner decided, and main says what was seen. Not here: router discovery.
 */
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

#define OPT_SLLA     1
#define OPT_TLLA     2
#define NA_SOLICITED 0x40
#define NA_OVERRIDE  0x20
#define ND_LEN       32 // header, target, one link-layer address option

enum { SOLICIT = 135, ADVERT = 136 };

static const struct ip_addr all_nodes = { .b = { 0xff, 0x02, [15] = 1 }, .family = ADDR_V6 };

/* Walks the options; *mac points at the address of option `want`, or NULL. False: malformed. */
static bool
options_in(const uint8_t *o, uint32_t len, uint8_t want, const uint8_t **mac)
{
	*mac = NULL;
	while (len > 0) {
		uint32_t n;

		if (len < 8)
			return false;
		n = o[1] * 8u;
		if (n == 0 || n > len)
			return false;
		if (o[0] == want && *mac == NULL && (o[2] & 1) == 0)
			*mac = o + 2;
		o += n;
		len -= n;
	}
	return true;
}

/* MAC of a multicast group (RFC 2464 section 7). */
static struct rte_ether_addr
group_mac(const struct ip_addr *g)
{
	struct rte_ether_addr m = { { 0x33, 0x33, g->b[12], g->b[13], g->b[14], g->b[15] } };
	return m;
}

static void
nd_send(struct lcore *lc, const struct port *p, uint8_t type, uint8_t flags,
	const struct ip_addr *target, const struct ip_addr *src, const struct ip_addr *dst,
	const struct rte_ether_addr *mac)
{
	struct rte_mbuf *m = lcore_mbuf(lc);
	uint16_t len = addr_is_any(src) ? ND_LEN - 8 : ND_LEN; // 4.3: no option then
	uint8_t *d;
	uint16_t sum;

	if (m == NULL) {
		drop_count(lc, DROP_NO_MBUF);
		return;
	}
	m->data_len = m->pkt_len = len;
	d = rte_pktmbuf_mtod(m, uint8_t *);
	memset(d, 0, 8);
	d[0] = type;
	d[4] = flags;
	memcpy(d + 8, target->b, 16);
	if (len == ND_LEN) {
		d[24] = type == SOLICIT ? OPT_SLLA : OPT_TLLA;
		d[25] = 1;
		memcpy(d + 26, p->mac.addr_bytes, 6);
	}
	sum = csum_finish(csum_add(d, len, csum_pseudo(src->b, dst->b, true, IPPROTO_ICMPV6, len)));
	memcpy(d + 2, &sum, sizeof(sum));
	ip6_prepend(m, src, dst, IPPROTO_ICMPV6, 0, 255);
	eth_out(lc, p, m, mac, RTE_ETHER_TYPE_IPV6);
}

void
nd_solicit(struct lcore *lc, const struct port *p, const struct ip_addr *target,
	const struct rte_ether_addr *to)
{
	const struct ip_addr *src = addr_towards(lc, p, target);
	struct ip_addr group = { .b = { 0xff, 0x02, [11] = 1, [12] = 0xff }, .family = ADDR_V6 };
	struct rte_ether_addr mac;

	if (src == NULL)
		src = &net_port(lc, p->id)->ll;
	if (to != NULL) {
		nd_send(lc, p, SOLICIT, 0, target, src, target, to);
		return;
	}
	memcpy(group.b + 13, target->b + 13, 3);
	mac = group_mac(&group);
	nd_send(lc, p, SOLICIT, 0, target, src, &group, &mac);
}

void
nd_announce(struct lcore *lc, const struct port *p, const struct ip_addr *a)
{
	struct rte_ether_addr mac = group_mac(&all_nodes);

	nd_send(lc, p, ADVERT, NA_OVERRIDE, a, a, &all_nodes, &mac);
}

void
nd_probe(struct lcore *lc, const struct port *p, const struct ip_addr *a)
{
	static const struct ip_addr any = { .family = ADDR_V6 };
	struct ip_addr group = { .b = { 0xff, 0x02, [11] = 1, [12] = 0xff }, .family = ADDR_V6 };
	struct rte_ether_addr mac;

	memcpy(group.b + 13, a->b + 13, 3);
	mac = group_mac(&group);
	nd_send(lc, p, SOLICIT, 0, a, &any, &group, &mac);
}

static void
solicit_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *), *nd = d + l4, *mac;
	struct ip_addr src, dst, target;
	struct rte_ether_addr to;

	addr_set6(&src, d + rx->l3 + 8);
	addr_set6(&dst, d + rx->l3 + 24);
	addr_set6(&target, nd + 8);
	// 4. (7.1.1) the target is no group; options are well formed
	// 5. an unspecified source asks a solicited-node group, and gives no link-layer address
	if (addr_is_multicast(&target) || !options_in(nd + 24, len - 24u, OPT_SLLA, &mac) ||
		(addr_is_any(&src) && (mac != NULL || dst.b[0] != 0xff || dst.b[12] != 0xff))) {
		pkt_drop(lc, m, DROP_ND_BAD);
		return;
	}
	if (!port_has_addr(lc, rx->p, &target)) {
		tap_or_drop(lc, rx, m, DROP_IP_NOT_OURS);
		return;
	}
	memcpy(to.addr_bytes, mac != NULL ? mac : d + 6, 6);
	if (addr_is_any(&src)) {
		to = group_mac(&all_nodes);
		nd_send(lc, rx->p, ADVERT, NA_OVERRIDE, &target, &target, &all_nodes, &to);
	} else {
		if (mac != NULL && on_link(rx->p, &src))
			neigh_learn(lc, rx->p, &src, &to, false, true);
		nd_send(lc, rx->p, ADVERT, NA_SOLICITED | NA_OVERRIDE, &target, &target, &src, &to);
	}
	rte_pktmbuf_free(m);
}

static void
advert_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *), *nd = d + l4, *tlla;
	struct ip_addr dst, target;
	struct rte_ether_addr mac;
	bool solicited = nd[4] & NA_SOLICITED;

	addr_set6(&dst, d + rx->l3 + 24);
	addr_set6(&target, nd + 8);
	// 4. (7.1.2) the target is no group; what went to a group was not solicited; options
	// and the tables have IPv4's neighbours under these addresses: they are ARP's alone
	if (addr_is_multicast(&target) || addr_is_mapped(&target) || (addr_is_multicast(&dst) && solicited) ||
		!options_in(nd + 24, len - 24u, OPT_TLLA, &tlla)) {
		pkt_drop(lc, m, DROP_ND_BAD);
		return;
	}
	// RFC 4862 5.4.4: ours as somebody else's
	if (port_has_addr(lc, rx->p, &target)) {
		neigh_conflict(lc, rx, &target, tlla != NULL ? tlla : d + 6);
		pkt_drop(lc, m, DROP_ADDR_CONFLICT);
		return;
	}
	if (tlla != NULL)
		memcpy(mac.addr_bytes, tlla, 6);
	neigh_advert(lc, rx->p, &target, tlla != NULL ? &mac : NULL, solicited,
		nd[4] & NA_OVERRIDE);
	rte_pktmbuf_free(m);
}

sl_cold void
nd_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m, uint16_t l4, uint16_t len)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);

	// 1. hop limit 255: nobody forwarded it
	// 2. code 0 (the checksum is verified)
	// 3. at least header and target
	if (d[rx->l3 + 7] != 255 || d[l4 + 1] != 0 || len < 24) {
		pkt_drop(lc, m, DROP_ND_BAD);
		return;
	}
	if (d[l4] == ADVERT) // both have to know
		tap_copy(lc, rx, m);
	if (mesh_to_neigh(lc, rx, m))
		return;
	stat_inc(lc, STAT_ND_IN);
	if (d[l4] == SOLICIT)
		solicit_in(lc, rx, m, l4, len);
	else
		advert_in(lc, rx, m, l4, len);
}
