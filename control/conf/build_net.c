// SPDX-License-Identifier: BSD-3-Clause
/*
 * What carries the addresses of the proxies: a port, or the kernel of the host. "host@" and "port@"
 * say so; else an address of a port, or one that a port leads to, is the port's, any address too as
 * soon as there is a port, and everything else is the host's: 127.0.0.1, a path, another network.
 *
 * Runs on: the loader, when all files are read.
 */
#include "control/conf/conf_priv.h"

static const struct conf_port *
port_of(const struct conf *c, const struct ip_addr *ip)
{
	for (const struct conf_port *p = c->ports; p != NULL; p = p->next) {
		for (uint32_t i = 0; i < p->p.naddrs; i++) {
			if (addr_eq(&p->addr[i].ip, ip))
				return p;
		}
	}
	return NULL;
}

/* Is there a way to it: a port on its network, or a gateway of its family? */
static bool
is_reachable(const struct conf *c, const struct ip_addr *ip)
{
	for (const struct conf_port *p = c->ports; p != NULL; p = p->next) {
		const struct ip_addr *gw = ip->family == ADDR_V4 ? &p->p.gateway4 : &p->p.gateway6;

		if (gw->family != ADDR_NONE)
			return true;
		for (uint32_t i = 0; i < p->p.nroutes; i++) {
			if (addr_in_net(ip, &p->route[i].dst))
				return true;
		}
		for (uint32_t i = 0; i < p->p.naddrs; i++) {
			if (addr_in_net(ip, &p->addr[i]))
				return true;
		}
	}
	return false;
}

static void
text_of(const struct ip_port *a, char *buf, uint32_t size)
{
	struct sl_buf b;

	sl_buf_init(&b, buf, size);
	addr_format_port(&b, a);
}

/* What the port speaks to directly: a next hop or a neighbour. */
static void
check_on_link(struct conf *c, const struct conf_port *p, const struct ip_addr *a,
	const struct src_pos *pos, const char *what)
{
	char text[64];
	struct sl_buf b;

	if (a->family == ADDR_NONE || addr_is_linklocal(a))
		return;
	for (uint32_t i = 0; i < p->p.naddrs; i++) {
		if (addr_in_net(a, &p->addr[i]))
			return;
	}
	sl_buf_init(&b, text, sizeof(text));
	addr_format(&b, a);
	conf_error_at(c, pos, "port '%.*s': %s '%s' is on none of the port's networks.",
		SL_STR_ARG(p->p.name), what, text);
}

static void
check_ports(struct conf *c)
{
	for (const struct conf_port *p = c->ports; p != NULL; p = p->next) {
		if (p->p.naddrs == 0)
			conf_error_at(c, &p->p.pos, "port '%.*s' has no 'address'.",
				SL_STR_ARG(p->p.name));
		check_on_link(c, p, &p->p.gateway4, &p->gateway4_pos, "gateway");
		check_on_link(c, p, &p->p.gateway6, &p->gateway6_pos, "gateway");
		for (uint32_t i = 0; i < p->p.nroutes; i++) {
			const struct ip_route *r = &p->route[i];

			check_on_link(c, p, &r->via, &p->route_pos[i], "router");
			if (r->dst.prefix == 0 &&
				(r->dst.ip.family == ADDR_V4 ? &p->p.gateway4 : &p->p.gateway6)
						->family != ADDR_NONE)
				conf_error_at(c, &p->route_pos[i],
					"port '%.*s' has both a 'gateway' and a 'route' of length "
					"0: they say the same, keep one.",
					SL_STR_ARG(p->p.name));
		}
		for (uint32_t i = 0; i < p->p.nneighs; i++)
			check_on_link(c, p, &p->neigh[i].ip, &p->neigh_pos[i], "neighbour");
	}
}

static bool
bind_is_host(const struct conf *c, const struct conf_bind *b)
{
	const struct ip_addr *ip = &b->a.addr.ip;

	if (b->via != VIA_AUTO)
		return b->via == VIA_HOST;
	if (c->ports == NULL || addr_is_loopback(ip))
		return true;
	return !addr_is_any(ip) && port_of(c, ip) == NULL;
}

static bool
server_is_host(const struct conf *c, const struct conf_srv *s)
{
	const struct ip_addr *ip = &s->s.addr.ip;

	if (s->via != VIA_AUTO)
		return s->via == VIA_HOST;
	return addr_is_loopback(ip) || !is_reachable(c, ip);
}

static void
check_bind(struct conf *c, const struct conf_px *px, const struct conf_bind *b)
{
	char text[160];

	text_of(&b->a.addr, text, sizeof(text));
	if (!b->a.addr.host && c->ports == NULL)
		conf_error_at(c, &b->a.pos, "'bind' 'port@%s' needs a 'port' section.", text);
	else if (!b->a.addr.host && !addr_is_any(&b->a.addr.ip) &&
		port_of(c, &b->a.addr.ip) == NULL)
		conf_error_at(c, &b->a.pos,
			"'bind' 'port@%s' is the 'address' of no port section: add it there, or use "
			"'port@:%u'.",
			text, b->a.addr.port);
	for (const struct conf_px *opx = c->proxies; opx != NULL; opx = opx->next) {
		for (const struct conf_bind *o = opx->binds; o != NULL; o = o->next) {
			if (o == b)
				return;
			if (!addr_port_eq(&o->a.addr, &b->a.addr))
				continue;
			conf_error_at(c, &b->a.pos,
				"'bind' '%s' of '%.*s' is already taken by '%.*s' at %s:%u.", text,
				SL_STR_ARG(px->p->name), SL_STR_ARG(opx->p->name), o->a.pos.file,
				o->a.pos.line);
			return;
		}
	}
}

static void
check_server(struct conf *c, const struct server *s)
{
	char text[160];

	if (s->addr.ip.family == ADDR_NONE || s->addr.host)
		return; // told already, or the kernel's matter
	text_of(&s->addr, text, sizeof(text));
	if (port_of(c, &s->addr.ip) != NULL)
		conf_error_at(c, &s->pos, "server '%.*s': '%s' is sluice's own address.",
			SL_STR_ARG(s->name), text);
	else if (addr_is_loopback(&s->addr.ip) || !is_reachable(c, &s->addr.ip))
		conf_error_at(c, &s->pos,
			"server '%.*s': 'port@%s' is on no port's network, and no port has a gateway or "
			"route for it.",
			SL_STR_ARG(s->name), text);
}

/* Linux gives an IPv6 socket of any address the IPv4 connections too, unless told otherwise. */
static void
add_v4(struct conf *c, struct conf_px *px)
{
	for (struct conf_bind *b = px->binds; b != NULL; b = b->next) {
		struct conf_bind *v4;
		bool taken = false;

		if (b->a.addr.ip.family != ADDR_V6 || !addr_is_any(&b->a.addr.ip) || b->a.v6only ||
			b->a.addr.host)
			continue;
		for (const struct conf_px *o = c->proxies; o != NULL && !b->v4v6; o = o->next) {
			for (const struct conf_bind *x = o->binds; x != NULL; x = x->next)
				taken |= x->a.addr.port == b->a.addr.port &&
					x->a.addr.ip.family == ADDR_V4 &&
					addr_is_any(&x->a.addr.ip);
		}
		if (taken)
			continue;
		v4 = arena_alloc(&c->tmp, sizeof(*v4));
		if (v4 == NULL) {
			(void)conf_nomem(c);
			return;
		}
		*v4 = *b;
		v4->a.addr.ip = (struct ip_addr){ .family = ADDR_V4 };
		b->next = v4;
		b = v4;
	}
}

/* The first that is one too many. */
static void
check_number(struct conf *c)
{
	uint32_t n = 0;

	for (const struct conf_px *px = c->proxies; px != NULL; px = px->next) {
		for (const struct conf_bind *b = px->binds; b != NULL; b = b->next) {
			if (++n != MODEL_MAX_BINDS + 1)
				continue;
			conf_error_at(c, &b->a.pos,
				"'bind' of '%.*s': more than %u addresses to listen on are not "
				"supported yet by sluice: use ':<port>' for all addresses of all "
				"ports.",
				SL_STR_ARG(px->p->name), MODEL_MAX_BINDS);
		}
	}
}

void
conf_build_net(struct conf *c)
{
	check_ports(c);
	for (struct conf_px *px = c->proxies; px != NULL; px = px->next) {
		for (struct conf_bind *b = px->binds; b != NULL; b = b->next)
			b->a.addr.host = bind_is_host(c, b);
		for (struct conf_srv *s = px->srvs; s != NULL; s = s->next)
			s->s.addr.host = server_is_host(c, s);
		add_v4(c, px);
	}
	check_number(c);
	for (const struct conf_px *px = c->proxies; px != NULL; px = px->next) {
		for (const struct conf_bind *b = px->binds; b != NULL; b = b->next)
			check_bind(c, px, b);
		for (const struct conf_srv *s = px->srvs; s != NULL; s = s->next)
			check_server(c, &s->s);
	}
}
