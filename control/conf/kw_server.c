// SPDX-License-Identifier: BSD-3-Clause
/*
 * "server" and "default-server".
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2 and 5.2, its defaults
 * (inter 2s, rise 2, fall 3, weight 1). A server without a port would take the client's: refused.
 */
#include "control/conf/conf_addr.h"

static int
opt_flag(struct conf *c sl_unused, void *obj, const char *name sl_unused,
	struct sl_str value sl_unused, uintptr_t priv)
{
	bool *out = (bool *)((uint8_t *)obj + (priv >> 1));

	*out = (priv & 1) != 0;
	return 0;
}

static int
opt_time(struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv)
{
	uint32_t *out = (uint32_t *)(void *)((uint8_t *)obj + priv), ms;

	if (conf_time(c, name, value, &ms) < 0)
		return -EINVAL;
	if (ms == 0) {
		conf_error(c, "invalid value '%.*s' for argument '%s' of server: must be above 0.",
			SL_STR_ARG(value), name);
		return -EINVAL;
	}
	*out = ms;
	return 0;
}

static int
opt_weight(
	struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv sl_unused)
{
	uint64_t n;

	if (conf_number(c, name, value, 0, 256, &n) < 0)
		return -EINVAL;
	((struct server *)obj)->weight = (uint16_t)n;
	return 0;
}

static int
opt_count(struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv)
{
	uint16_t *out = (uint16_t *)(void *)((uint8_t *)obj + priv);
	uint64_t n;

	if (conf_number(c, name, value, 1, UINT16_MAX, &n) < 0)
		return -EINVAL;
	*out = (uint16_t)n;
	return 0;
}

static int
opt_maxconn(
	struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv sl_unused)
{
	uint64_t n;

	if (conf_number(c, name, value, 0, INT32_MAX, &n) < 0)
		return -EINVAL;
	((struct server *)obj)->maxconn = (uint32_t)n;
	return 0;
}

static int
opt_id(struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv sl_unused)
{
	uint64_t n;

	if (conf_number(c, name, value, 1, INT32_MAX, &n) < 0)
		return -EINVAL;
	((struct server *)obj)->id = (uint32_t)n;
	return 0;
}

/* The next method of an "init-addr" list; false: that was all. */
static bool
next_method(struct sl_str *list, struct sl_str *one)
{
	int comma = sl_str_chr(*list, ',');

	if (list->len == 0)
		return false;
	*one = sl_str_make(list->p, comma < 0 ? list->len : (uint32_t)comma);
	*list = comma < 0 ? SL_STR_NULL
			  : sl_str_make(list->p + comma + 1, list->len - (uint32_t)comma - 1);
	return true;
}

static int
opt_init_addr(
	struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv sl_unused)
{
	struct sl_str list = value, one;
	struct ip_addr ip;

	while (next_method(&list, &one)) {
		if (sl_str_eq(one, SL_STR("last")) || sl_str_eq(one, SL_STR("libc")) ||
			sl_str_eq(one, SL_STR("none")) || addr_parse(one, &ip) == 0)
			continue;
		conf_error(c,
			"'%s' : unknown init-addr method '%.*s', supported methods are 'libc', "
			"'last', 'none', or an address.",
			name, SL_STR_ARG(one));
		return -EINVAL;
	}
	((struct server *)obj)->init_addr = value;
	return 0;
}

/* HAProxy 2.6 manual 5.2 "init-addr". No state file is read, so "last" knows of no address. */
static int
resolve_server(struct conf *c, struct server *s, const struct conf_addr *a)
{
	struct sl_str list = s->init_addr.len > 0 ? s->init_addr : SL_STR("last,libc"), one;
	const char *why = NULL;

	while (next_method(&list, &one)) {
		if (sl_str_eq(one, SL_STR("last")))
			continue;
		if (sl_str_eq(one, SL_STR("libc"))) {
			why = conf_name_resolve(a->name, a->family, &s->addr.ip);
			if (why == NULL)
				return 0;
		} else if (addr_parse(one, &s->addr.ip) == 0) {
			conf_warning(c,
				"'server %.*s/%.*s' : could not resolve address '%.*s', falling back to "
				"configured address.",
				SL_STR_ARG(c->section_ident), SL_STR_ARG(s->name),
				SL_STR_ARG(a->name));
			return 0;
		} else {
			why = "a server without an address, 'none', is not supported yet by sluice";
			break;
		}
	}
	if (why == NULL)
		conf_error(c, "'server %.*s/%.*s' : no method found to resolve address '%.*s'.",
			SL_STR_ARG(c->section_ident), SL_STR_ARG(s->name), SL_STR_ARG(a->name));
	else
		conf_error(c, "'server %.*s/%.*s' : could not resolve address '%.*s' (%s).",
			SL_STR_ARG(c->section_ident), SL_STR_ARG(s->name), SL_STR_ARG(a->name), why);
	return -EINVAL;
}

static bool
is_option(struct sl_str w)
{
	return registry_find(&conf_tables()->server, w) != NULL ||
		unsup_find(UNSUP_SERVER, &w, 1) != NULL;
}

/*
 * An unknown word may be one of HAProxy's; returns the words to skip, -1 less them after an error. What
 * follows one that nobody knows may be its value.
 */
static int
other_option(struct conf *c, struct sl_str name, const struct sl_str *word, uint32_t n)
{
	const struct unsup *u = unsup_find(UNSUP_SERVER, word, 1);
	const struct conf_opt *near;
	int skip = 0;

	if (u != NULL) {
		unsup_tell(c, u, "server option");
		return u->ignored ? u->nargs : -(int)u->nargs - 1;
	}
	near = registry_nearest(&conf_tables()->server, word[0]);
	conf_error(c, "'server %.*s/%.*s' : unknown keyword '%.*s'%s%s",
		SL_STR_ARG(c->section_ident), SL_STR_ARG(name), SL_STR_ARG(word[0]),
		conf_hint(near, ".").text,
		name.len == 0 ? " Hint: no address was expected for this server." : "");
	while ((uint32_t)skip + 1 < n && !is_option(word[skip + 1]))
		skip++;
	return -skip - 1;
}

static int
parse_options(
	struct conf *c, struct sl_str name, const struct sl_str *word, uint32_t n, struct server *s)
{
	int rc = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct conf_opt *o = registry_find(&conf_tables()->server, word[i]);
		int skip;

		if (o == NULL) {
			skip = other_option(c, name, word + i, n - i);
			if (skip < 0)
				rc = -EINVAL;
			i += (uint32_t)(skip < 0 ? -skip - 1 : skip);
		} else if (i + o->nargs >= n) {
			conf_error(c, "'server %.*s/%.*s' : '%s' expects %s as argument.",
				SL_STR_ARG(c->section_ident), SL_STR_ARG(name), o->name, o->args);
			rc = -EINVAL;
		} else {
			if (o->parse(c, s, o->name, word[i + o->nargs], o->priv) < 0)
				rc = -EINVAL;
			i += o->nargs;
		}
	}
	return rc;
}

static void
check_name(struct conf *c, struct sl_str name)
{
	(void)conf_name(c, "server", name);
	for (const struct conf_srv *o = c->px->srvs; o != NULL; o = o->next) {
		if (!sl_str_eq(o->s.name, name))
			continue;
		conf_error(c,
			"%s '%.*s', another server named '%.*s' was already defined at line %u, "
			"please use distinct names.",
			c->section_name, SL_STR_ARG(c->section_ident), SL_STR_ARG(name),
			o->s.pos.line);
		return;
	}
}

static int
kw_server(struct conf *c, const struct conf_args *a)
{
	struct conf_srv *srv = arena_zalloc(&c->tmp, sizeof(*srv));
	struct conf_addr addr;
	int rc;

	if (srv == NULL)
		return conf_nomem(c);
	if (c->section == CONF_FRONTEND) {
		conf_error(c,
			"'server' not allowed because frontend '%.*s' has no backend capability.",
			SL_STR_ARG(c->section_ident));
		return -EINVAL;
	}
	if (a->n < 2) {
		conf_error(c, "'server' expects <name> and <addr>:<port> as arguments%s%.*s.",
			a->n > 0 ? ", got only " : "", a->n > 0 ? (int)a->word[0].len : 0,
			a->n > 0 ? a->word[0].p : "");
		return -EINVAL;
	}
	check_name(c, a->word[0]);
	srv->s = c->px->srv_defaults;
	srv->s.pos = c->pos;
	srv->s.name = a->word[0];
	srv->s.be = c->px->p;
	rc = conf_addr_parse_named(c, "server", a->word[1], &addr);
	if (rc == 0 && addr.port < 0) {
		conf_error(c,
			"'server' : not supported yet by sluice: '%.*s' without a port (the "
			"client's port would be used): give <addr>:<port>.",
			SL_STR_ARG(a->word[1]));
	} else if (rc == 0 && addr.name.len == 0 &&
		(addr.ip.family == ADDR_NONE || addr_is_any(&addr.ip))) {
		conf_error(c,
			"'server' : not supported yet by sluice: '%.*s' (connect to the address "
			"that the client wanted).",
			SL_STR_ARG(a->word[1]));
	}
	srv->via = addr.via;
	srv->s.addr.ip = addr.ip;
	srv->s.addr.port = (uint16_t)(addr.port < 0 ? 0 : addr.port);
	if (parse_options(c, a->word[0], a->word + 2, a->n - 2, &srv->s) < 0)
		rc = -EINVAL;
	if (rc == 0 && addr.name.len > 0)
		rc = resolve_server(c, &srv->s, &addr);
	srv->s.init_addr = SL_STR_NULL; // its text is the configuration's
	// kept even after an error, so that a second one of that name is told
	*c->px->srv_last = srv;
	c->px->srv_last = &srv->next;
	return rc;
}

static int
kw_default_server(struct conf *c, const struct conf_args *a)
{
	return parse_options(c, SL_STR(""), a->word, a->n, &c->px->srv_defaults);
}

#define AT(field)       offsetof(struct server, field)
#define FLAG(field, on) (offsetof(struct server, field) << 1 | (on))

// clang-format off
SL_CFG_SERVER(
	{ "check", 0, opt_flag, "", "health checks", FLAG(check, 1) },
	{ "no-check", 0, opt_flag, "", "no health checks", FLAG(check, 0) },
	{ "inter", 1, opt_time, "<time>", "between two checks", AT(inter_ms) },
	{ "fastinter", 1, opt_time, "<time>", "between two checks while the state changes",
		AT(fastinter_ms) },
	{ "downinter", 1, opt_time, "<time>", "between two checks of a server that is down",
		AT(downinter_ms) },
	{ "rise", 1, opt_count, "<count>", "good checks until the server is up", AT(rise) },
	{ "fall", 1, opt_count, "<count>", "bad checks until the server is down", AT(fall) },
	{ "port", 1, opt_count, "<port>", "port of the checks", AT(check_port) },
	{ "weight", 1, opt_weight, "<0..256>", "share of the traffic" },
	{ "maxconn", 1, opt_maxconn, "<number>", "connections at a time" },
	{ "backup", 0, opt_flag, "", "used when no other server is up", FLAG(backup, 1) },
	{ "no-backup", 0, opt_flag, "", "used as any other", FLAG(backup, 0) },
	{ "disabled", 0, opt_flag, "", "starts in maintenance", FLAG(disabled, 1) },
	{ "enabled", 0, opt_flag, "", "starts in use", FLAG(disabled, 0) },
	{ "id", 1, opt_id, "<number>", "number in statistics" },
	{ "init-addr", 1, opt_init_addr, "{last|libc|<ip>}*",
		"where the address of a name comes from" },
);
SL_CFG_PROXY(
	{ "server", CONF_PROXY, 0, CONF_MANY, kw_server, "<name> <addr>:<port> [<option>...]",
		 "a server of this backend" },
	{ "default-server", CONF_DEFAULTS | CONF_PROXY, 0, CONF_MANY, kw_default_server,
		"<option>...", "options of the servers that follow", .flags = CONF_KW_BE },
);
// clang-format on
