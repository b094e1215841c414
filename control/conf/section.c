// SPDX-License-Identifier: BSD-3-Clause
/*
 * Section heads: global, defaults, frontend, backend, listen, port, http-errors, ring; and what a
 * proxy inherits.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 2.1 and 4 ("from", the last
 * defaults section applies). The port section is sluice's own.
 */
#include "control/conf/conf_priv.h"

static const struct {
	const char *name;
	uint32_t section;
	uint32_t caps;
} heads[] = {
	{ "global", CONF_GLOBAL, 0 },
	{ "defaults", CONF_DEFAULTS, PX_CAP_FE | PX_CAP_BE },
	{ "frontend", CONF_FRONTEND, PX_CAP_FE },
	{ "backend", CONF_BACKEND, PX_CAP_BE },
	{ "listen", CONF_LISTEN, PX_CAP_FE | PX_CAP_BE },
	{ "port", CONF_PORT, 0 },
	{ "http-errors", CONF_ERRORS, 0 },
	{ "ring", CONF_RING, 0 },
};

static const char *
kind_of(const struct conf_px *px)
{
	return px->section == CONF_FRONTEND   ? "frontend"
		: px->section == CONF_BACKEND ? "backend"
					      : "proxy";
}

/* Two proxies may share a name only if one has the front and the other the back. */
static void
check_name(struct conf *c, const struct conf_px *px)
{
	for (const struct conf_px *o = c->proxies; o != NULL; o = o->next) {
		if ((o->p->caps & px->p->caps) == 0 || !sl_str_eq(o->p->name, px->p->name))
			continue;
		conf_error(c, "%s '%.*s' has the same name as %s '%.*s' declared at %s:%u.",
			kind_of(px), SL_STR_ARG(px->p->name), kind_of(o), SL_STR_ARG(o->p->name),
			o->pos.file, o->pos.line);
		return;
	}
}

static void
rules_init(struct conf_rules *r)
{
	r->first = NULL;
	r->last = &r->first;
}

/* Factory defaults of HAProxy 2.6. */
static void
px_defaults(struct conf_px *px)
{
	px->p->mode = PX_TCP;
	px->p->retries = 3;
	px->p->forwardfor_hdr = SL_STR("x-forwarded-for");
	px->srv_defaults = (struct server){ .weight = 1, .inter_ms = 2000, .rise = 2, .fall = 3 };
}

static void
px_inherit(struct conf_px *px, const struct conf_px *from)
{
	if (from == NULL) {
		px_defaults(px);
		return;
	}
	*px->p = *from->p;
	px->srv_defaults = from->srv_defaults;
	px->default_be = from->default_be;
	px->default_be_pos = from->default_be_pos;
	px->log_global = from->log_global;
	px->log_mask = from->log_mask;
	px->hash_expr = from->hash_expr;
	px->hash_pos = from->hash_pos;
	px->httplog_pos = from->httplog_pos;
	px->log_fmt = from->log_fmt;
	px->log_err = from->log_err;
	px->log_sd = from->log_sd;
	px->unique_id = from->unique_id;
	px->chk_hdr = from->chk_hdr;
	px->chk_body = from->chk_body;
	px->pages = from->pages;
}

static struct conf_px *
px_new(struct conf *c, uint32_t section, const struct conf_px *from)
{
	struct conf_px *px = arena_zalloc(&c->tmp, sizeof(*px));
	struct proxy *p = arena_zalloc(&c->mem, sizeof(*p));

	if (px == NULL || p == NULL) {
		(void)conf_nomem(c);
		return NULL;
	}
	px->section = section;
	px->pos = c->pos;
	px->p = p;
	px_inherit(px, from);
	p->pos = c->pos;
	rules_init(&px->tcp_req);
	rules_init(&px->tcp_res);
	rules_init(&px->http_req);
	rules_init(&px->http_res);
	rules_init(&px->http_after);
	rules_init(&px->redirects);
	px->bind_last = &px->binds;
	px->srv_last = &px->srvs;
	px->switch_last = &px->switches;
	px->acls = acl_scope_new(&c->mem);
	if (px->acls == NULL) {
		(void)conf_nomem(c);
		return NULL;
	}
	return px;
}

/* The defaults section of that name; NULL after an error. */
static const struct conf_px *
find_defaults(struct conf *c, struct sl_str name, const char *kind, struct sl_str user)
{
	const struct conf_px *found = NULL;

	for (const struct conf_px *d = c->defaults; d != NULL; d = d->next) {
		if (!sl_str_eq(d->p->name, name))
			continue;
		if (found != NULL) {
			conf_error(c,
				"ambiguous defaults section name '%.*s' referenced by %s '%.*s' "
				"exists at least at %s:%u and %s:%u.",
				SL_STR_ARG(name), kind, SL_STR_ARG(user), d->pos.file, d->pos.line,
				found->pos.file, found->pos.line);
			return found;
		}
		found = d;
	}
	if (found == NULL)
		conf_error(c, "defaults section '%.*s' not found for %s '%.*s'.", SL_STR_ARG(name),
			kind, SL_STR_ARG(user));
	return found;
}

/* [name] [from defaults]; a missing name of a proxy is an error. */
static void
begin_px(struct conf *c, uint32_t head, const struct sl_str *word, uint32_t n)
{
	bool is_defaults = heads[head].section == CONF_DEFAULTS;
	const struct conf_px *from = is_defaults ? NULL : c->anon_defaults;
	struct sl_str name = SL_STR("");
	struct conf_px *px;
	uint32_t i = 1;
	char what[32];

	if (i < n && !(is_defaults && sl_str_eq(word[i], SL_STR("from"))))
		name = word[i++];
	if (name.len == 0 && !is_defaults)
		conf_error(c, "'%s' expects an <id> argument", heads[head].name);
	snprintf(what, sizeof(what), "'%s'", heads[head].name);
	if (name.len > 0)
		(void)conf_name(c, what, name);
	if (i < n && sl_str_eq(word[i], SL_STR("from"))) {
		if (i + 1 < n)
			from = find_defaults(c, word[i + 1], heads[head].name, name);
		else
			conf_error(c, "'from' expects the name of a defaults section.");
		i = sl_min(i + 2, n);
	}
	if (i < n)
		conf_error(c, "'%s' cannot handle unexpected argument '%.*s'%s.", heads[head].name,
			SL_STR_ARG(word[i]),
			is_defaults ? "" : "; use the 'bind' keyword for listening addresses");
	px = px_new(c, heads[head].section, from);
	if (px == NULL)
		return;
	px->p->name = name;
	px->p->caps = heads[head].caps;
	c->px = px;
	c->section_ident = name.len > 0 ? name : sl_str_c(heads[head].name);
	if (is_defaults) {
		px->next = c->defaults;
		c->defaults = px;
		c->anon_defaults = px;
		return;
	}
	check_name(c, px);
	*c->px_last = px;
	c->px_last = &px->next;
}

static void
begin_port(struct conf *c, const struct sl_str *word, uint32_t n)
{
	struct conf_port *p = arena_zalloc(&c->tmp, sizeof(*p));

	if (p == NULL) {
		(void)conf_nomem(c);
		return;
	}
	if (n < 2)
		conf_error(c, "'port' expects a name as argument.");
	else
		(void)conf_name(c, "'port'", word[1]);
	if (n > 2)
		conf_error(
			c, "'port' cannot handle unexpected argument '%.*s'.", SL_STR_ARG(word[2]));
	p->p = (struct port_conf){ .pos = c->pos,
		.name = n > 1 ? word[1] : SL_STR(""),
		.mtu = 1500,
		.addrs = p->addr,
		.routes = p->route,
		.neighs = p->neigh };
	for (const struct conf_port *o = c->ports; o != NULL; o = o->next) {
		if (sl_str_eq(o->p.name, p->p.name))
			conf_error(c,
				"port '%.*s' has the same name as port '%.*s' declared at %s:%u.",
				SL_STR_ARG(p->p.name), SL_STR_ARG(p->p.name), o->p.pos.file,
				o->p.pos.line);
	}
	c->port = p;
	c->section_ident = p->p.name;
	*c->port_last = p;
	c->port_last = &p->next;
}

void
conf_section_end(struct conf *c)
{
	if (c->port != NULL && c->port->p.device.len == 0)
		conf_error_at(c, &c->port->p.pos,
			"port '%.*s' has no 'device': name a DPDK device (\"net_tap0,iface=x\") or "
			"a PCI address.",
			SL_STR_ARG(c->port->p.name));
	if (c->ring != NULL)
		conf_ring_end(c);
	c->section = 0;
	c->skip = false;
	c->section_name = "";
	c->section_ident = SL_STR("");
	c->px = NULL;
	c->port = NULL;
	c->errors = NULL;
	c->ring = NULL;
}

int
conf_section_begin(struct conf *c, const struct sl_str *word, uint32_t n)
{
	const struct unsup *u = unsup_find(UNSUP_SECTION, word, 1);

	if (u != NULL) {
		conf_section_end(c);
		unsup_tell(c, u, "section");
		c->skip = true;
		return 1;
	}
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(heads); i++) {
		if (!sl_str_eq(word[0], sl_str_c(heads[i].name)))
			continue;
		conf_section_end(c);
		c->section = heads[i].section;
		c->section_name = heads[i].name;
		c->section_ident = sl_str_c(heads[i].name);
		if (c->section == CONF_PORT) {
			begin_port(c, word, n);
		} else if (c->section == CONF_ERRORS) {
			conf_errors_begin(c, word, n);
		} else if (c->section == CONF_RING) {
			conf_ring_begin(c, word, n);
		} else if (c->section == CONF_GLOBAL) {
			if (n > 1)
				conf_error(c, "'global' cannot handle unexpected argument '%.*s'.",
					SL_STR_ARG(word[1]));
		} else {
			conf_lua_load(c); // rules may name what the files register
			begin_px(c, i, word, n);
		}
		return 1;
	}
	return 0;
}
