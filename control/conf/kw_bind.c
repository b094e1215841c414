// SPDX-License-Identifier: BSD-3-Clause
/*
 * "bind": the addresses a frontend listens on, and the options behind them.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2 "bind" and 5.1. Whether an
 * address belongs to a port is seen when all sections are known (build_net.c).
 */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "control/conf/conf_addr.h"

static int
opt_name(struct conf *c sl_unused, void *obj, const char *name sl_unused, struct sl_str value,
	uintptr_t priv sl_unused)
{
	((struct conf_bind *)obj)->a.name = value;
	return 0;
}

static int
opt_number(struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv)
{
	struct conf_bind *b = obj;
	uint64_t n;

	if (conf_number(c, name, value, priv, INT32_MAX, &n) < 0)
		return -EINVAL;
	if (priv == 0)
		b->a.maxconn = (uint32_t)n;
	return 0;
}

static int
opt_family(struct conf *c sl_unused, void *obj, const char *name sl_unused,
	struct sl_str value sl_unused, uintptr_t priv)
{
	struct conf_bind *b = obj;

	b->a.v6only = priv != 0;
	b->v4v6 = priv == 0;
	return 0;
}

static int
opt_backlog(
	struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv sl_unused)
{
	uint64_t n;

	if (conf_number(c, name, value, 1, INT32_MAX, &n) < 0)
		return -EINVAL;
	((struct conf_bind *)obj)->a.backlog = (uint32_t)n;
	return 0;
}

/* Octal, as HAProxy. */
static int
opt_mode(struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv sl_unused)
{
	struct conf_bind *b = obj;
	uint32_t mode = 0;

	for (uint32_t i = 0; i < value.len; i++) {
		if (value.p[i] < '0' || value.p[i] > '7' || mode > 07777 / 8) {
			conf_error(c,
				"'%s' : missing or invalid mode '%.*s' (octal integer expected)",
				name, SL_STR_ARG(value));
			return -EINVAL;
		}
		mode = mode * 8 + (uint32_t)(value.p[i] - '0');
	}
	b->a.has_mode = true;
	b->a.mode = mode;
	return 0;
}

/* priv: bit 0 group, bit 1 by name. */
static int
opt_owner(struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv)
{
	struct conf_bind *b = obj;
	int32_t *out = (priv & 1) != 0 ? &b->a.gid : &b->a.uid;
	char text[64];
	uint64_t n;

	if ((priv & 2) == 0) {
		if (conf_number(c, name, value, 0, INT32_MAX, &n) < 0)
			return -EINVAL;
		*out = (int32_t)n;
		return 0;
	}
	snprintf(text, sizeof(text), "%.*s", SL_STR_ARG(value));
	if ((priv & 1) != 0) {
		const struct group *g = getgrnam(text);

		*out = g != NULL ? (int32_t)g->gr_gid : -1;
	} else {
		const struct passwd *u = getpwnam(text);

		*out = u != NULL ? (int32_t)u->pw_uid : -1;
	}
	if (*out < 0) {
		conf_error(c, "'%s' : '%s' : unknown %s name.", name, text,
			(priv & 1) != 0 ? "group" : "user");
		return -EINVAL;
	}
	return 0;
}

/* One address of the comma-separated list. */
static int
add_addr(struct conf *c, struct sl_str s, const struct conf_bind *opts)
{
	struct conf_bind *b = arena_zalloc(&c->tmp, sizeof(*b));
	struct conf_addr addr;

	if (b == NULL)
		return conf_nomem(c);
	if (conf_addr_parse(c, "bind", s, &addr) < 0)
		return -EINVAL;
	if (addr.port < 0) {
		conf_error(c, "'bind' : missing port specification in '%.*s'", SL_STR_ARG(s));
		return -EINVAL;
	}
	*b = *opts;
	b->next = NULL;
	b->via = addr.via;
	b->a.pos = c->pos;
	b->a.fe = c->px->p;
	b->a.addr.ip = addr.ip;
	if (addr.ip.family == ADDR_NONE)
		b->a.addr.ip.family = ADDR_V4; // "*:80" and ":80" are IPv4, as HAProxy's
	b->a.addr.port = (uint16_t)addr.port;
	*c->px->bind_last = b;
	c->px->bind_last = &b->next;
	return 0;
}

static bool
is_option(struct sl_str w)
{
	return registry_find(&conf_tables()->bind, w) != NULL ||
		unsup_find(UNSUP_BIND, &w, 1) != NULL;
}

static int
parse_options(struct conf *c, const struct conf_args *a, struct conf_bind *out)
{
	int rc = 0;

	for (uint32_t i = 1; i < a->n; i++) {
		const struct conf_opt *o = registry_find(&conf_tables()->bind, a->word[i]);
		const struct conf_opt *near;
		const struct unsup *u;

		if (o != NULL && i + o->nargs >= a->n) {
			conf_error(c,
				"'bind %.*s' in section '%s' : '%s' : missing value, expects %s",
				SL_STR_ARG(a->word[0]), c->section_name, o->name, o->args);
			rc = -EINVAL;
		} else if (o != NULL) {
			if (o->parse(c, out, o->name, a->word[i + o->nargs], o->priv) < 0)
				rc = -EINVAL;
			i += o->nargs;
		} else if ((u = unsup_find(UNSUP_BIND, &a->word[i], 1)) != NULL) {
			unsup_tell(c, u, "bind option");
			if (!u->ignored)
				rc = -EINVAL;
			i += u->nargs;
		} else {
			near = registry_nearest(&conf_tables()->bind, a->word[i]);
			conf_error(c, "'bind %.*s' in section '%s': unknown keyword '%.*s'%s",
				SL_STR_ARG(a->word[0]), c->section_name, SL_STR_ARG(a->word[i]),
				conf_hint(near, ".").text);
			rc = -EINVAL;
			while (i + 1 < a->n && !is_option(a->word[i + 1]))
				i++; // what may be its value
		}
	}
	return rc;
}

static int
kw_bind(struct conf *c, const struct conf_args *a)
{
	struct conf_bind opts = { .a = { .uid = -1, .gid = -1 } };
	struct sl_str rest = a->word[0];
	int rc = parse_options(c, a, &opts);

	do {
		if (add_addr(c, sl_str_cut(&rest, ','), &opts) < 0)
			rc = -EINVAL;
	} while (rest.p != NULL);
	return rc;
}

// clang-format off
SL_CFG_BIND(
	{ "name", 1, opt_name, "<name>", "name in statistics" },
	{ "maxconn", 1, opt_number, "<number>", "connections at a time", 0 },
	{ "id", 1, opt_number, "<number>", "number in statistics", 1 },
	{ "v4v6", 0, opt_family, "", "an IPv6 address of any takes IPv4 too", 0 },
	{ "backlog", 1, opt_backlog, "<number>", "connections that wait to be accepted, host only" },
	{ "mode", 1, opt_mode, "<octal>", "rights of a socket that is a path" },
	{ "user", 1, opt_owner, "<name>", "owner of a socket that is a path", 2 },
	{ "uid", 1, opt_owner, "<number>", "owner of a socket that is a path", 0 },
	{ "group", 1, opt_owner, "<name>", "group of a socket that is a path", 3 },
	{ "gid", 1, opt_owner, "<number>", "group of a socket that is a path", 1 },
	{ "v6only", 0, opt_family, "", "an IPv6 address of any takes no IPv4", 1 },
);
SL_CFG_PROXY(
	{ "bind", CONF_PROXY, 1, CONF_MANY, kw_bind, "[<address>]:<port>[,...] [<option>...]",
		 "listens", .flags = CONF_KW_FE },
);
// clang-format on
