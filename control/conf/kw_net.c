// SPDX-License-Identifier: BSD-3-Clause
/*
 * Keywords of the port section (sluice's own): a DPDK port, its addresses, its way out.
 *
 * Runs on: the loader. Whether the device exists is seen when it is opened (drivers/).
 */
#include "control/conf/conf_priv.h"

#define MTU_MIN 1280 // IPv6's minimum, RFC 8200 5
#define MTU_MAX 9000

/* "0000:3b:00.0", "net_tap0,iface=x", "wire0a": an interface of the kernel is none of them. */
static bool
is_device(struct sl_str s)
{
	return sl_str_chr(s, ':') >= 0 || sl_str_chr(s, '_') >= 0 ||
		sl_str_starts(s, SL_STR("wire"), false);
}

static int
kw_device(struct conf *c, const struct conf_args *a)
{
	if (!is_device(a->word[0])) {
		conf_error(c,
			"'device' expects a PCI address (\"0000:3b:00.0\") or a DPDK device with its "
			"arguments (\"net_af_xdp0,iface=%.*s\"), got '%.*s'.",
			SL_STR_ARG(a->word[0]), SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	if (c->port->p.device.len > 0) {
		conf_error(c, "port '%.*s' already has device '%.*s'.", SL_STR_ARG(c->port->p.name),
			SL_STR_ARG(c->port->p.device));
		return -EINVAL;
	}
	for (const struct conf_port *o = c->ports; o != NULL; o = o->next) {
		if (sl_str_eq(o->p.device, a->word[0])) {
			conf_error(c, "device '%.*s' is already used by port '%.*s' at %s:%u.",
				SL_STR_ARG(a->word[0]), SL_STR_ARG(o->p.name), o->p.device_pos.file,
				o->p.device_pos.line);
			return -EINVAL;
		}
	}
	c->port->p.device = a->word[0];
	c->port->p.device_pos = c->pos;
	return 0;
}

/* What no host may have as its own (RFC 1122 3.2.1.3, RFC 4291 2.5 to 2.7); NULL: it may. */
static const char *
not_of_a_host(const struct ip_net *net)
{
	uint32_t host, mask;

	if (addr_is_any(&net->ip))
		return "no address";
	if (addr_is_multicast(&net->ip))
		return "a group or a broadcast";
	if (addr_is_loopback(&net->ip))
		return "loopback, which never leaves a host";
	if (net->ip.family != ADDR_V4 || net->prefix > 30) // RFC 3021: two hosts share a /31
		return NULL;
	host = (uint32_t)net->ip.b[0] << 24 | (uint32_t)net->ip.b[1] << 16 |
		(uint32_t)net->ip.b[2] << 8 | net->ip.b[3];
	mask = UINT32_MAX >> net->prefix;
	if ((host & mask) == 0)
		return "the network itself";
	return (host & mask) == mask ? "the network's broadcast" : NULL;
}

/* A network on two ports: which of them leads to a neighbour is then a matter of the order. */
static void
warn_overlap(struct conf *c, struct sl_str s, const struct ip_net *net)
{
	if (addr_is_linklocal(&net->ip))
		return;
	for (const struct conf_port *o = c->ports; o != c->port && o != NULL; o = o->next) {
		for (uint32_t i = 0; i < o->p.naddrs; i++) {
			if (!addr_in_net(&net->ip, &o->addr[i]) &&
				!addr_in_net(&o->addr[i].ip, net))
				continue;
			conf_warning(c,
				"network of 'address %.*s' overlaps one of port '%.*s' (%s:%u): what "
				"both have is reached through the longer prefix, or through '%.*s'.",
				SL_STR_ARG(s), SL_STR_ARG(o->p.name), o->addr_pos[i].file,
				o->addr_pos[i].line, SL_STR_ARG(o->p.name));
			return;
		}
	}
}

static int
kw_address(struct conf *c, const struct conf_args *a)
{
	struct port_conf *p = &c->port->p;
	struct sl_str s = a->word[0];
	struct ip_net net;
	const char *why;

	if (sl_str_chr(s, '/') < 0 || addr_parse_net(s, &net) < 0 || net.prefix == 0) {
		conf_error(c,
			"'address' expects an IPv4 or IPv6 address with its prefix length "
			"(\"10.0.0.1/24\"), got '%.*s'.",
			SL_STR_ARG(s));
		return -EINVAL;
	}
	why = not_of_a_host(&net);
	if (why != NULL) {
		conf_error(c, "'address' : '%.*s' cannot be an address of a port: it is %s.",
			SL_STR_ARG(s), why);
		return -EINVAL;
	}
	for (const struct conf_port *o = c->ports; o != NULL; o = o->next) {
		for (uint32_t i = 0; i < o->p.naddrs; i++) {
			if (!addr_eq(&o->addr[i].ip, &net.ip))
				continue;
			conf_error(c, "address '%.*s' already belongs to port '%.*s' (%s:%u).",
				SL_STR_ARG(s), SL_STR_ARG(o->p.name), o->addr_pos[i].file,
				o->addr_pos[i].line);
			return -EINVAL;
		}
	}
	if (p->naddrs == SL_ARRAY_SIZE(c->port->addr)) {
		conf_error(c, "a port takes at most %u addresses, '%.*s' is one too many.",
			(uint32_t)SL_ARRAY_SIZE(c->port->addr), SL_STR_ARG(s));
		return -EINVAL;
	}
	warn_overlap(c, s, &net);
	c->port->addr_pos[p->naddrs] = c->pos;
	p->addrs[p->naddrs++] = net;
	return 0;
}

static int
kw_gateway(struct conf *c, const struct conf_args *a)
{
	struct ip_addr ip, *slot;

	if (addr_parse(a->word[0], &ip) < 0 || addr_is_any(&ip) || addr_is_multicast(&ip)) {
		conf_error(c, "'gateway' expects an IPv4 or IPv6 address, got '%.*s'.",
			SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	slot = ip.family == ADDR_V4 ? &c->port->p.gateway4 : &c->port->p.gateway6;
	if (slot->family != ADDR_NONE) {
		conf_error(c, "port '%.*s' has two IPv%d gateways; '%.*s' is the second.",
			SL_STR_ARG(c->port->p.name), (int)ip.family, SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	*slot = ip;
	*(ip.family == ADDR_V4 ? &c->port->gateway4_pos : &c->port->gateway6_pos) = c->pos;
	return 0;
}

/* The networks of ports are theirs, and each other one has one way. */
static int
kw_route(struct conf *c, const struct conf_args *a)
{
	struct port_conf *p = &c->port->p;
	struct sl_str s = a->word[0];
	struct ip_route r;

	if (sl_str_chr(s, '/') < 0 || addr_parse_net(s, &r.dst) < 0 ||
		addr_is_multicast(&r.dst.ip)) {
		conf_error(c,
			"'route' expects an IPv4 or IPv6 network with its prefix length "
			"(\"10.0.0.0/8\"), got '%.*s'.",
			SL_STR_ARG(s));
		return -EINVAL;
	}
	if (!sl_str_eq(a->word[1], SL_STR("via"))) {
		conf_error(c, "'route %.*s' expects 'via' and the address of a router, got '%.*s'.",
			SL_STR_ARG(s), SL_STR_ARG(a->word[1]));
		return -EINVAL;
	}
	if (addr_parse(a->word[2], &r.via) < 0 || addr_is_any(&r.via) ||
		addr_is_multicast(&r.via) || r.via.family != r.dst.ip.family) {
		conf_error(c,
			"'route %.*s via' expects the address of a router, of the same family, "
			"got '%.*s'.",
			SL_STR_ARG(s), SL_STR_ARG(a->word[2]));
		return -EINVAL;
	}
	for (uint32_t i = 0; i < p->nroutes; i++) {
		if (p->routes[i].dst.prefix != r.dst.prefix ||
			!addr_in_net(&r.dst.ip, &p->routes[i].dst))
			continue;
		conf_error(c, "port '%.*s' has two routes to '%.*s'.", SL_STR_ARG(p->name),
			SL_STR_ARG(s));
		return -EINVAL;
	}
	if (p->nroutes == SL_ARRAY_SIZE(c->port->route)) {
		conf_error(c, "a port takes at most %u routes, '%.*s' is one too many.",
			(uint32_t)SL_ARRAY_SIZE(c->port->route), SL_STR_ARG(s));
		return -EINVAL;
	}
	c->port->route_pos[p->nroutes] = c->pos;
	p->routes[p->nroutes++] = r;
	return 0;
}

static int
kw_neighbour(struct conf *c, const struct conf_args *a)
{
	struct port_conf *p = &c->port->p;
	struct ip_neigh n;

	if (addr_parse(a->word[0], &n.ip) < 0 || addr_is_any(&n.ip) || addr_is_multicast(&n.ip)) {
		conf_error(c, "'neighbour' expects an IPv4 or IPv6 address, got '%.*s'.",
			SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	if (addr_parse_mac(a->word[1], n.mac) < 0) {
		conf_error(c,
			"'neighbour %.*s' expects the Ethernet address of one host "
			"(\"52:54:00:12:34:56\"), got '%.*s'.",
			SL_STR_ARG(a->word[0]), SL_STR_ARG(a->word[1]));
		return -EINVAL;
	}
	for (uint32_t i = 0; i < p->nneighs; i++) {
		if (!addr_eq(&p->neighs[i].ip, &n.ip))
			continue;
		conf_error(c, "port '%.*s' has two lines of neighbour '%.*s'.", SL_STR_ARG(p->name),
			SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	if (p->nneighs == SL_ARRAY_SIZE(c->port->neigh)) {
		conf_error(c, "a port takes at most %u neighbours, '%.*s' is one too many.",
			(uint32_t)SL_ARRAY_SIZE(c->port->neigh), SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	c->port->neigh_pos[p->nneighs] = c->pos;
	p->neighs[p->nneighs++] = n;
	return 0;
}

static int
auto_on_off(struct conf *c, const struct conf_args *a, const char *kw, uint8_t *out)
{
	static const struct {
		const char *word;
		enum port_offload value;
	} rows[] = { { "auto", PORT_OFFLOAD_AUTO }, { "on", PORT_OFFLOAD_ON },
		{ "off", PORT_OFFLOAD_OFF } };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		if (sl_str_eq(a->word[0], sl_str_c(rows[i].word))) {
			*out = rows[i].value;
			return 0;
		}
	}
	conf_error(
		c, "'%s' expects 'auto', 'on' or 'off', got '%.*s'.", kw, SL_STR_ARG(a->word[0]));
	return -EINVAL;
}

static int
kw_offload(struct conf *c, const struct conf_args *a)
{
	return auto_on_off(c, a, "offload", &c->port->p.offload);
}

static int
kw_tso(struct conf *c, const struct conf_args *a)
{
	return auto_on_off(c, a, "tso", &c->port->p.tso);
}

static int
kw_mtu(struct conf *c, const struct conf_args *a)
{
	uint64_t n;
	int rc = conf_number(c, "mtu", a->word[0], MTU_MIN, MTU_MAX, &n);

	if (rc == 0)
		c->port->p.mtu = (uint16_t)n;
	return rc;
}

static int
kw_vlan(struct conf *c, const struct conf_args *a)
{
	uint64_t n;
	int rc = conf_number(c, "vlan", a->word[0], 1, 4094, &n);

	if (rc == 0)
		c->port->p.vlan = (uint16_t)n;
	return rc;
}

// clang-format off
SL_CFG_PORT(
	{ "device", CONF_PORT, 1, 1, kw_device, "<device>",
		"a DPDK device with its arguments, or a PCI address" },
	{ "address", CONF_PORT, 1, 1, kw_address, "<address>/<length>",
		"an address of this port; repeatable" },
	{ "gateway", CONF_PORT, 1, 1, kw_gateway, "<address>",
		"the way to other networks; one per family" },
	{ "route", CONF_PORT, 3, 3, kw_route, "<network>/<length> via <address>",
		"the way to a network; the longest that matches counts; repeatable" },
	{ "neighbour", CONF_PORT, 2, 2, kw_neighbour, "<address> <MAC>",
		"a neighbour that is never asked for; repeatable" },
	{ "offload", CONF_PORT, 1, 1, kw_offload, "auto|on|off",
		"checksums by the device: where its driver is known to be right, always, never" },
	{ "tso", CONF_PORT, 1, 1, kw_tso, "auto|on|off",
		"frames of many segments that the device cuts: a card that can; or no start; never" },
	{ "mtu", CONF_PORT, 1, 1, kw_mtu, "<bytes>", "largest IP packet" },
	{ "vlan", CONF_PORT, 1, 1, kw_vlan, "<id>", "802.1Q tag of all frames" },
);
// clang-format on
