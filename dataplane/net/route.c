// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where packets go: connected networks of the ports, then one gateway per port and family.
 *
 * Runs on: workers, on the fixed part of struct port. A worker without a queue of a port does not use
 * that port. Not here: routes by prefix through several gateways.
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

const struct ip_addr *
next_hop(const struct port *p, const struct ip_addr *dst)
{
	const struct ip_addr *gw = dst->family == ADDR_V6 ? &p->gateway6 : &p->gateway4;

	if (on_link(p, dst))
		return dst;
	return gw->family == dst->family ? gw : NULL;
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

/* The port for a destination: longest connected prefix, else the first with a gateway. */
static const struct port *
pick_port(const struct lcore *lc, const struct ip_addr *dst)
{
	const struct port *best = NULL, *gw = NULL;
	int len = -1;

	for (uint16_t i = 0; i < lc->ports->n; i++) {
		const struct port *p = &lc->ports->port[i];
		const struct ip_addr *g = dst->family == ADDR_V6 ? &p->gateway6 : &p->gateway4;
		int n;

		if (!has_queue(lc, p))
			continue;
		n = covers(p, dst);
		if (n > len) {
			len = n;
			best = p;
		}
		if (gw == NULL && g->family == dst->family)
			gw = p;
	}
	return best != NULL ? best : gw;
}

int
net_route(struct lcore *lc, struct net_flow *f)
{
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
	p = pick_port(lc, &f->raddr);
	if (p == NULL)
		return -ENETUNREACH;
	const struct ip_addr *src = addr_towards(lc, p, next_hop(p, &f->raddr));
	if (src == NULL)
		return -ENETUNREACH;
	f->laddr = *src;
	f->port = (uint8_t)p->id;
	return 0;
}
