// SPDX-License-Identifier: BSD-3-Clause
/*
 * Keywords of an appliance beside a router (sluice's own): "kernel-tap" of a port section, and the
 * global "health-file".
 *
 * Runs on: the loader.
 */
#include "control/conf/conf_priv.h"
#include "dataplane/net/tap.h"

#define NAME_MAX_IF 15 // IFNAMSIZ without its end

/* As the kernel judges names of interfaces. */
static bool
name_ok(struct sl_str s)
{
	if (s.len == 0 || s.len > NAME_MAX_IF || sl_str_eq(s, SL_STR(".")) ||
		sl_str_eq(s, SL_STR("..")))
		return false;
	for (uint32_t i = 0; i < s.len; i++) {
		if (s.p[i] == '/' || s.p[i] == ':' || s.p[i] == '%' || s.p[i] <= ' ')
			return false;
	}
	return true;
}

static int
tap_address(struct conf *c, struct sl_str s)
{
	struct port_conf *p = &c->port->p;
	struct ip_net net;

	if (sl_str_chr(s, '/') < 0 || addr_parse_net(s, &net) < 0 || net.prefix == 0 ||
		addr_is_any(&net.ip) || addr_is_multicast(&net.ip)) {
		conf_error(c,
			"'kernel-tap' : 'address' expects an IPv4 or IPv6 address with its prefix "
			"length (\"10.0.0.1/24\"), got '%.*s'.",
			SL_STR_ARG(s));
		return -EINVAL;
	}
	if (p->ntap_addrs == MODEL_TAP_ADDRS) {
		conf_error(c, "'kernel-tap' takes at most %u addresses, '%.*s' is one too many.",
			MODEL_TAP_ADDRS, SL_STR_ARG(s));
		return -EINVAL;
	}
	p->tap_addr[p->ntap_addrs++] = net;
	return 0;
}

static int
kw_kernel_tap(struct conf *c, const struct conf_args *a)
{
	struct port_conf *p = &c->port->p;
	uint64_t rate = NET_TAP_RATE;
	int rc = 0;

	if (p->tap.len > 0) {
		conf_error(c, "port '%.*s' already has 'kernel-tap %.*s'.", SL_STR_ARG(p->name),
			SL_STR_ARG(p->tap));
		return -EINVAL;
	}
	if (!name_ok(a->word[0])) {
		conf_error(c,
			"'kernel-tap' expects the name of an interface (at most %d characters), got "
			"'%.*s'.",
			NAME_MAX_IF, SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	for (const struct conf_port *o = c->ports; o != NULL; o = o->next) {
		if (!sl_str_eq(o->p.tap, a->word[0]))
			continue;
		conf_error(c, "'kernel-tap %.*s' is already the one of port '%.*s'.",
			SL_STR_ARG(a->word[0]), SL_STR_ARG(o->p.name));
		return -EINVAL;
	}
	for (uint32_t i = 1; rc == 0 && i < a->n; i += 2) {
		bool address = sl_str_eq(a->word[i], SL_STR("address"));

		if (!address && !sl_str_eq(a->word[i], SL_STR("rate"))) {
			conf_error(c, "'kernel-tap' : unknown word '%.*s': 'address' or 'rate'.",
				SL_STR_ARG(a->word[i]));
			return -EINVAL;
		}
		if (i + 1 == a->n) {
			conf_error(c, "'kernel-tap' : '%.*s' expects a value.",
				SL_STR_ARG(a->word[i]));
			return -EINVAL;
		}
		rc = address ? tap_address(c, a->word[i + 1])
			     : conf_number(c, "kernel-tap' : 'rate", a->word[i + 1],
				       NET_TAP_RATE_MIN, 10000000, &rate);
	}
	p->tap = a->word[0];
	p->tap_rate = (uint32_t)rate;
	return rc;
}

static int
kw_health_file(struct conf *c, const struct conf_args *a)
{
	struct global_conf *g = &c->m->global;

	if (a->word[0].len == 0 || a->word[0].p[a->word[0].len - 1] == '/') {
		conf_error(c, "'health-file' expects the path of a file, got '%.*s'.",
			SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	g->nhealth_backends = 0;
	for (uint32_t i = 1; i < a->n; i += 2) {
		if (!sl_str_eq(a->word[i], SL_STR("backend")) || i + 1 == a->n) {
			conf_error(c,
				"'health-file' : expects 'backend' and a name, got '%.*s'.",
				SL_STR_ARG(a->word[i]));
			return -EINVAL;
		}
		if (g->nhealth_backends == MODEL_HEALTH_BACKENDS) {
			conf_error(c, "'health-file' takes at most %u backends.",
				MODEL_HEALTH_BACKENDS);
			return -EINVAL;
		}
		g->health_backend[g->nhealth_backends++] = a->word[i + 1];
	}
	g->health_file = a->word[0];
	c->health_pos = c->pos;
	return 0;
}

/* When all sections are read. */
void
conf_check_health(struct conf *c)
{
	const struct global_conf *g = &c->m->global;

	for (uint32_t i = 0; i < g->nhealth_backends; i++) {
		bool found = false;

		for (const struct conf_px *px = c->proxies; px != NULL; px = px->next)
			found |= (px->p->caps & PX_CAP_BE) != 0 &&
				sl_str_eq(px->p->name, g->health_backend[i]);
		if (!found)
			conf_error_at(c, &c->health_pos, "'health-file' : there is no backend '%.*s'.",
				SL_STR_ARG(g->health_backend[i]));
	}
}

// clang-format off
SL_CFG_PORT(
	{ "kernel-tap", CONF_PORT, 1, CONF_MANY, kw_kernel_tap,
		"<interface> [address <address>/<length>]... [rate <frames>]",
		"a TAP of the kernel for what the port receives and sluice does not serve" },
);
SL_CFG_GLOBAL(
	{ "health-file", CONF_GLOBAL, 1, CONF_MANY, kw_health_file, "<file> [backend <name>]...",
		"a file that is there while traffic is welcome" },
);
// clang-format on
