// SPDX-License-Identifier: BSD-3-Clause
/*
 * Drafts -> model: cross references, HAProxy's warnings about what has no effect, numbers and
 * slots, programs.
 *
 * Runs on: the loader, when all files are read; also after errors, so that references that lead
 * nowhere are told in the same run. Nothing is compiled then.
 */
#include "control/conf/conf_priv.h"

static const char *
kind_of(const struct conf_px *px)
{
	return px->section == CONF_FRONTEND   ? "frontend"
		: px->section == CONF_BACKEND ? "backend"
					      : "proxy";
}

static struct conf_px *
find_backend(const struct conf *c, struct sl_str name)
{
	for (struct conf_px *px = c->proxies; px != NULL; px = px->next) {
		if ((px->p->caps & PX_CAP_BE) != 0 && sl_str_eq(px->p->name, name))
			return px;
	}
	return NULL;
}

static const char *
mode_name(enum px_mode m)
{
	return m == PX_HTTP ? "http" : "tcp";
}

/* The backend of a reference; NULL after an error. what: "default_backend". */
static const struct proxy *
resolve(struct conf *c, struct conf_px *px, struct sl_str name, const char *what,
	const struct src_pos *pos)
{
	const struct conf_px *be = find_backend(c, name);

	if (be == NULL) {
		conf_error_at(c, pos, "Proxy '%.*s': unable to find required %s: '%.*s'.",
			SL_STR_ARG(px->p->name), what, SL_STR_ARG(name));
		return NULL;
	}
	if (be == px) {
		conf_error_at(c, pos, "Proxy '%.*s': loop detected for %s: '%.*s'.",
			SL_STR_ARG(px->p->name), what, SL_STR_ARG(name));
		return NULL;
	}
	if (be->p->mode == PX_HTTP && px->p->mode == PX_TCP) {
		conf_error_at(c, pos,
			"not supported yet by sluice: %s '%.*s' in mode tcp with backend '%.*s' "
			"(%s:%u) in mode http: set the same 'mode' in both.",
			kind_of(px), SL_STR_ARG(px->p->name), SL_STR_ARG(be->p->name), be->pos.file,
			be->pos.line);
		return NULL;
	}
	if (be->p->mode != px->p->mode) {
		conf_error_at(c, pos,
			"%s %s '%.*s' (%s:%u) tries to use incompatible %s backend '%.*s' (%s:%u) "
			"as its %s (see 'mode').",
			mode_name(px->p->mode), kind_of(px), SL_STR_ARG(px->p->name), px->pos.file,
			px->pos.line, mode_name(be->p->mode), SL_STR_ARG(be->p->name), be->pos.file,
			be->pos.line, what);
		return NULL;
	}
	return be->p;
}

static void
warn_timeouts(struct conf *c, const struct conf_px *px)
{
	const struct px_timeouts *t = &px->p->timeout;
	bool fe = (px->p->caps & PX_CAP_FE) != 0, be = (px->p->caps & PX_CAP_BE) != 0;

	if (!(fe && t->client == 0) &&
		!(be && px->srvs != NULL &&
			(t->connect == 0 ||
				(t->server == 0 && (px->p->mode == PX_HTTP || t->tunnel == 0)))))
		return;
	conf_warning_at(c, NULL,
		"missing timeouts for %s '%.*s'.\n"
		"   | Without them a connection whose other side went away is kept for ever.\n"
		"   | Set all of these to a value above zero: 'client', 'connect', 'server'.",
		kind_of(px), SL_STR_ARG(px->p->name));
}

/* What needs another mode, or a log, has no effect; HAProxy says so. */
static void
warn_useless(struct conf *c, struct conf_px *px)
{
	struct proxy *p = px->p;
	bool fe = (p->caps & PX_CAP_FE) != 0;

	p->log_mask = px->log_mask | (px->log_global ? c->m->global.log_mask : 0);
	if (p->mode != PX_HTTP && fe && (p->options & PX_O_HTTPLOG) != 0) {
		p->options = (p->options & ~PX_O_HTTPLOG) | PX_O_TCPLOG;
		conf_warning_at(c, &px->httplog_pos,
			"'option httplog' not usable with %s '%.*s' (needs 'mode http'). Falling "
			"back to 'option tcplog'.",
			kind_of(px), SL_STR_ARG(p->name));
	}
	if (fe && px->log_fmt.text.p != NULL && !px->log_global && px->log_mask == 0)
		conf_warning_at(c, NULL,
			"log format ignored for %s '%.*s' since it has no log address.",
			kind_of(px), SL_STR_ARG(p->name));
	if (p->mode == PX_HTTP)
		return;
	if (px->http_req.first != NULL)
		conf_warning_at(c, NULL,
			"'http-request' rules ignored for %s '%.*s' as they require HTTP mode.",
			kind_of(px), SL_STR_ARG(p->name));
	if (px->http_res.first != NULL)
		conf_warning_at(c, NULL,
			"'http-response' rules ignored for %s '%.*s' as they require HTTP mode.",
			kind_of(px), SL_STR_ARG(p->name));
	if (px->http_after.first != NULL)
		conf_warning_at(c, NULL,
			"'http-after-response' rules ignored for %s '%.*s' as they require HTTP mode.",
			kind_of(px), SL_STR_ARG(p->name));
	if (px->redirects.first != NULL)
		conf_warning_at(c, NULL,
			"'redirect' rules ignored for %s '%.*s' as they require HTTP mode.",
			kind_of(px), SL_STR_ARG(p->name));
	if ((p->options & PX_O_FORWARDFOR) != 0)
		conf_warning_at(c, NULL,
			"'option forwardfor' ignored for %s '%.*s' as it requires HTTP mode.",
			kind_of(px), SL_STR_ARG(p->name));
	p->options &= ~PX_O_FORWARDFOR;
	px->http_req.first = px->http_res.first = px->redirects.first = NULL;
	px->http_after.first = NULL;
}

static void
build_binds(struct conf *c, struct conf_px *px)
{
	struct listen_addr *out;
	uint32_t n = 0;

	if (px->binds == NULL && px->section == CONF_FRONTEND)
		conf_warning_at(c, NULL,
			"frontend '%.*s' has no 'bind' directive. Please declare it as a backend "
			"if this was intended.",
			SL_STR_ARG(px->p->name));
	for (const struct conf_bind *b = px->binds; b != NULL; b = b->next)
		n++;
	out = arena_alloc(&c->mem, sizeof(*out) * (n + 1));
	if (out == NULL) {
		(void)conf_nomem(c);
		return;
	}
	px->p->binds = out;
	for (const struct conf_bind *b = px->binds; b != NULL; b = b->next) {
		*out = b->a;
		out->model = c->m;
		out->slot = c->m->nbinds++;
		out++;
	}
	px->p->nbinds = n;
	c->count->listeners += n;
}

/* Numbers that the file gives stay free for their owner; the others count up from 1. */
static uint32_t
free_server_id(const struct conf_px *px, uint32_t from)
{
	const struct conf_srv *s = px->srvs;

	while (s != NULL) {
		if (s->s.id == from) {
			from++;
			s = px->srvs;
		} else {
			s = s->next;
		}
	}
	return from;
}

static void
build_servers(struct conf *c, struct conf_px *px)
{
	struct server *out;
	uint32_t n = 0, id = 0;

	for (const struct conf_srv *s = px->srvs; s != NULL; s = s->next) {
		for (const struct conf_srv *o = px->srvs; o != s && s->s.id != 0; o = o->next) {
			if (o->s.id == s->s.id)
				conf_error_at(c, &s->s.pos,
					"server '%.*s' reuses same custom id %u as server '%.*s' "
					"of line %u.",
					SL_STR_ARG(s->s.name), s->s.id, SL_STR_ARG(o->s.name),
					o->s.pos.line);
		}
		n++;
	}
	out = arena_alloc(&c->mem, sizeof(*out) * (n + 1));
	if (out == NULL) {
		(void)conf_nomem(c);
		return;
	}
	px->p->servers = out;
	px->p->nservers = n;
	for (const struct conf_srv *s = px->srvs; s != NULL; s = s->next, out++) {
		*out = s->s;
		if (out->id == 0)
			out->id = id = free_server_id(px, id + 1);
		if (out->fastinter_ms == 0)
			out->fastinter_ms = out->inter_ms;
		if (out->downinter_ms == 0)
			out->downinter_ms = out->inter_ms;
		out->slot = c->m->nservers++;
	}
}

static void
build_switches(struct conf *c, struct conf_px *px)
{
	struct be_switch *out;
	uint32_t n = 0;

	for (const struct conf_switch *s = px->switches; s != NULL; s = s->next)
		n++;
	out = arena_zalloc(&c->mem, sizeof(*out) * (n + 1));
	if (out == NULL) {
		(void)conf_nomem(c);
		return;
	}
	px->p->switches = out;
	px->p->nswitches = n;
	for (const struct conf_switch *s = px->switches; s != NULL; s = s->next, out++) {
		c->pos = out->pos = s->pos;
		if (!s->dynamic)
			out->be = resolve(c, px, s->name, "use_backend", &s->pos);
		if (c->count->errors > 0)
			continue;
		if (s->dynamic)
			(void)fmt_compile(c, px, &c->mem, s->name, EVAL_BE_SWITCH, &out->name);
		(void)cond_compile(c, px, &c->mem, s->cond, s->n, EVAL_BE_SWITCH, &out->cond);
	}
}

static void
build_rules(struct conf *c, struct conf_px *px)
{
	if (c->count->errors > 0)
		return;
	if (rules_compile(c, px, &px->tcp_req, NULL, EVAL_TCP_CONTENT, &px->p->tcp_req) < 0)
		return;
	if (rules_compile(c, px, &px->tcp_res, NULL, EVAL_TCP_RES, &px->p->tcp_res) < 0)
		return;
	if (rules_compile(c, px, &px->http_req, &px->redirects, EVAL_HTTP_REQ, &px->p->http_req) < 0)
		return;
	if (rules_compile(c, px, &px->http_res, NULL, EVAL_HTTP_RES, &px->p->http_res) == 0)
		(void)rules_compile(
			c, px, &px->http_after, NULL, EVAL_HTTP_AFTER, &px->p->http_after);
}

static void
build_px(struct conf *c, struct conf_px *px)
{
	if ((px->p->caps & PX_CAP_FE) != 0) {
		build_binds(c, px);
		if (px->default_be.len > 0)
			px->p->default_be = resolve(
				c, px, px->default_be, "default_backend", &px->default_be_pos);
		build_switches(c, px);
	}
	if ((px->p->caps & PX_CAP_BE) != 0) {
		build_servers(c, px);
		conf_balance_build(c, px);
		conf_check_build(c, px);
	}
	conf_errors_build(c, px);
	warn_timeouts(c, px);
	warn_useless(c, px);
	conf_log_build(c, px);
	build_rules(c, px);
}

static bool
is_custom_id(const struct conf *c, uint32_t id)
{
	for (const struct conf_px *px = c->proxies; px != NULL; px = px->next) {
		if (px->has_id && px->p->id == id)
			return true;
	}
	return false;
}

/* The numbers that the file gives are theirs; the others count up around them. */
static void
number_proxies(struct conf *c)
{
	uint32_t id = 0, slot = 0;

	// HAProxy's runtime API is a proxy with a number of its own
	if (c->has_cli && c->before_cli == NULL)
		id++;
	for (struct conf_px *px = c->proxies; px != NULL; px = px->next) {
		px->p->slot = px->p->be_slot = slot++;
		if (px->has_id)
			continue;
		do
			id++;
		while (is_custom_id(c, id));
		px->p->id = id;
		if (px == c->before_cli)
			id++;
	}
	// behind them, so that slots stay dense for what is kept per proxy
	for (struct conf_px *px = c->proxies; px != NULL; px = px->next) {
		if (px->p->caps == (PX_CAP_FE | PX_CAP_BE))
			px->p->be_slot = slot++;
	}
	c->m->npx_counters = slot;
}

/* The arrays that the model shows. */
/* A copy of an array in the model's memory. NULL: no memory. */
static void *
keep(struct conf *c, const void *from, size_t bytes)
{
	void *to = arena_alloc(&c->mem, bytes + 1);

	if (to != NULL && bytes > 0)
		memcpy(to, from, bytes);
	return to;
}

static int
freeze(struct conf *c)
{
	struct model *m = c->m;
	uint32_t npx = 0, nport = 0, nbind = 0;
	const struct proxy **proxies;
	const struct listen_addr **binds;
	struct port_conf *ports;

	for (const struct conf_px *px = c->proxies; px != NULL; px = px->next)
		npx++;
	for (const struct conf_port *p = c->ports; p != NULL; p = p->next)
		nport++;
	proxies = arena_alloc(&c->mem, sizeof(*proxies) * (npx + 1));
	binds = arena_alloc(&c->mem, sizeof(*binds) * (m->nbinds + 1));
	ports = arena_alloc(&c->mem, sizeof(*ports) * (nport + 1));
	if (proxies == NULL || binds == NULL || ports == NULL)
		return conf_nomem(c);
	m->proxies = proxies;
	m->nproxies = npx;
	m->binds = binds;
	m->ports = ports;
	m->nports = nport;
	for (const struct conf_px *px = c->proxies; px != NULL; px = px->next) {
		px->p->index = (uint32_t)(proxies - m->proxies);
		*proxies++ = px->p;
		for (uint32_t i = 0; i < px->p->nbinds; i++)
			binds[nbind++] = &px->p->binds[i];
	}
	for (const struct conf_port *p = c->ports; p != NULL; p = p->next, ports++) {
		*ports = p->p;
		ports->addrs = keep(c, p->addr, sizeof(p->addr[0]) * p->p.naddrs);
		ports->routes = keep(c, p->route, sizeof(p->route[0]) * p->p.nroutes);
		ports->neighs = keep(c, p->neigh, sizeof(p->neigh[0]) * p->p.nneighs);
		if (ports->addrs == NULL || ports->routes == NULL || ports->neighs == NULL)
			return conf_nomem(c);
	}
	return 0;
}

/* HAProxy derives it from the limit of descriptors; here it is memory that counts. */
static void
default_maxconn(struct conf *c)
{
	struct global_conf *g = &c->m->global;

	if (g->maxconn == 0)
		g->maxconn = c->ports != NULL ? 65536 : 2000;
}

int
conf_build(struct conf *c)
{
	default_maxconn(c);
	conf_lua_load(c);
	number_proxies(c);
	conf_build_net(c);
	conf_check_health(c);
	conf_ring_build(c);
	for (struct conf_px *px = c->proxies; px != NULL && !c->nomem; px = px->next)
		build_px(c, px);
	if (c->nomem)
		return -ENOMEM;
	if (c->count->errors == 0)
		conf_lua_ready(c);
	return freeze(c);
}
