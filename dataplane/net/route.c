// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where packets go: connected networks and routes of the ports, the longest prefix first; a gateway
 * is a route of length 0.
 *
 * Runs on: workers, on the fixed part of struct port; once per connection, so a walk over at most 64
 * prefixes is good enough. A worker without a queue of a port does not use that port. Not here:
 * several next hops of one prefix, routes by source.
 */
#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

void
addr_set4(struct ip_addr *a, const void *bytes)
{
	memset(a, 0, sizeof(*a));
	memcpy(a->b, bytes, 4);
	a->family = ADDR_V4;
}

void
addr_set6(struct ip_addr *a, const void *bytes)
{
	memset(a, 0, sizeof(*a));
	memcpy(a->b, bytes, 16);
	a->family = ADDR_V6;
}

/* Families are compared too: an unset address is equal to nothing that packets carry. */
static inline bool
same(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1] && a->family == b->family;
}

bool
port_has_addr(const struct lcore *lc, const struct port *p, const struct ip_addr *a)
{
	for (uint16_t i = 0; i < p->naddrs; i++) {
		if (same(&p->addr[i].ip, a))
			return true;
	}
	return same(&net_port(lc, p->id)->ll, a);
}

int
net_local(const struct lcore *lc, const struct ip_addr *a)
{
	for (uint16_t i = 0; i < lc->ports->n; i++) {
		if (port_has_addr(lc, &lc->ports->port[i], a))
			return i;
	}
	return -ENOENT;
}

bool
on_link(const struct port *p, const struct ip_addr *a)
{
	if (a->family == ADDR_V6 && addr_is_linklocal(a))
		return true;
	for (uint16_t i = 0; i < p->naddrs; i++) {
		if (addr_in_net(a, &p->addr[i]))
			return true;
	}
	return false;
}

/* Length of the longest connected prefix of p that covers a, or -ENOENT. */
static int
covers(const struct port *p, const struct ip_addr *a)
{
	int best = -ENOENT;

	for (uint16_t i = 0; i < p->naddrs; i++) {
		if (addr_in_net(a, &p->addr[i]) && p->addr[i].prefix > best)
			best = p->addr[i].prefix;
	}
	return best;
}

/*
 * The way to dst by this port: *hop is dst itself or a router. How good it is: 2 * prefix length,
 * and 1 more where the network is connected. -ENETUNREACH: none.
 */
static int
way(const struct port *p, const struct ip_addr *dst, const struct ip_addr **hop)
{
	int len = dst->family == ADDR_V6 && addr_is_linklocal(dst) ? 128 : covers(p, dst);

	*hop = dst;
	for (uint16_t i = 0; i < p->nroutes && (int)p->route[i].dst.prefix > len; i++) {
		if (!addr_in_net(dst, &p->route[i].dst))
			continue;
		*hop = &p->route[i].via;
		return 2 * p->route[i].dst.prefix;
	}
	return len >= 0 ? 2 * len + 1 : -ENETUNREACH;
}

const struct ip_addr *
next_hop(const struct port *p, const struct ip_addr *dst)
{
	const struct ip_addr *hop;

	return way(p, dst, &hop) < 0 ? NULL : hop;
}

const struct ip_addr *
addr_towards(const struct lcore *lc, const struct port *p, const struct ip_addr *a)
{
	const struct ip_addr *any = NULL;

	if (a->family == ADDR_V6 && addr_is_linklocal(a))
		return &net_port(lc, p->id)->ll;
	for (uint16_t i = 0; i < p->naddrs; i++) {
		if (addr_in_net(a, &p->addr[i]))
			return &p->addr[i].ip;
		if (any == NULL && p->addr[i].ip.family == a->family)
			any = &p->addr[i].ip;
	}
	return any;
}

/*
 * The port for a destination. A link-local address may be on any port: the first wins. NULL: none.
 */
static const struct port *
pick_port(const struct lcore *lc, const struct ip_addr *dst, const struct ip_addr **hop)
{
	const struct port *best = NULL;
	const struct ip_addr *h;
	int len = -1;

	for (uint16_t i = 0; i < lc->ports->n; i++) {
		const struct port *p = &lc->ports->port[i];
		int n = has_queue(lc, p) ? way(p, dst, &h) : -1;

		if (n <= len)
			continue;
		len = n;
		best = p;
		*hop = h;
	}
	return best;
}

/*
 * Our address to speak from to dst behind hop: of hop's network, so that answers come back by this
 * port; but never a link-local one to who is farther away (RFC 6724 rule 2).
 */
static const struct ip_addr *
source_for(const struct lcore *lc, const struct port *p, const struct ip_addr *dst,
	const struct ip_addr *hop)
{
	bool local_hop = hop->family == ADDR_V6 && addr_is_linklocal(hop);

	return addr_towards(lc, p, local_hop ? dst : hop);
}

int
net_route(struct lcore *lc, struct net_flow *f)
{
	const struct ip_addr *hop = NULL, *src;
	const struct port *p;

	f->neigh = NET_NEIGH_NONE;
	if (f->laddr.family != ADDR_NONE) {
		int i = net_local(lc, &f->laddr);
		if (i < 0 || !has_queue(lc, &lc->ports->port[i]) ||
			next_hop(&lc->ports->port[i], &f->raddr) == NULL)
			return -ENETUNREACH;
		f->port = (uint8_t)i;
		return 0;
	}
	if (addr_is_any(&f->raddr) || addr_is_multicast(&f->raddr))
		return -ENETUNREACH;
	p = pick_port(lc, &f->raddr, &hop);
	if (p == NULL)
		return -ENETUNREACH;
	src = source_for(lc, p, &f->raddr, hop);
	if (src == NULL)
		return -ENETUNREACH;
	f->laddr = *src;
	f->port = (uint8_t)p->id;
	return 0;
}
