// SPDX-License-Identifier: BSD-3-Clause
/*
 * The door: loads a configuration, frees one, lists the keywords.
 *
 * Runs on: the loader (main at start).
 */
#include "control/conf/conf_priv.h"
#include "dataplane/expr/patset.h"
#include "dataplane/expr/procvar.h"

#include <stdlib.h>

SL_KW_SECTION(conf_global);
SL_KW_SECTION(conf_proxy);
SL_KW_SECTION(conf_port);
SL_KW_SECTION(conf_errors);
SL_KW_SECTION(conf_ring);
SL_KW_SECTION(conf_bind);
SL_KW_SECTION(conf_server);

static struct conf_tables tables;
static bool initialised;

const struct conf_tables *
conf_tables(void)
{
	return &tables;
}

int
conf_init(const char **dup)
{
	struct registry *const r[] = { &tables.global, &tables.proxy, &tables.port, &tables.bind,
		&tables.server };
	int rc;

	*dup = "";
	if (initialised)
		return 0;
	rc = expr_init(dup);
	if (rc == 0)
		rc = action_init(dup);
	if (rc == 0)
		rc = registry_open(&tables.global, conf_global);
	if (rc == 0)
		rc = registry_open(&tables.proxy, conf_proxy);
	if (rc == 0)
		rc = registry_open(&tables.port, conf_port);
	if (rc == 0)
		rc = registry_open(&tables.errors, conf_errors);
	if (rc == 0)
		rc = registry_open(&tables.ring, conf_ring);
	if (rc == 0)
		rc = registry_open(&tables.bind, conf_bind);
	if (rc == 0)
		rc = registry_open(&tables.server, conf_server);
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(r) && rc == -EEXIST; i++) {
		if (r[i]->dup != NULL)
			*dup = r[i]->dup;
	}
	initialised = rc == 0;
	return rc;
}

static void
global_defaults(struct global_conf *g)
{
	*g = (struct global_conf){
		.nbthread = 1,
		.script_threads = 1,
		.lua_forced_yield = 10000,
		.lua_session_timeout_ms = 4000,
		.lua_burst_timeout_ms = 1000,
		.lua_service_timeout_ms = 4000,
		.lua_load_timeout_ms = 10000,
		.lua_stuck_timeout_ms = 5000,
		.lua_runaway_share = 10,
		.lua_deadline_ms = 30000,
		.lua_sockets = 1024,
		.ncall_slots = 256,
		.reload_timeout_ms = 30000,
		.pidfile = SL_STR(""),
		.dpdk_eal = SL_STR(""),
		.lua_prepend_path = SL_STR(""),
		.node = SL_STR(""),
		.description = SL_STR(""),
		.cli_timeout_ms = 10000,
		.cli_maxconn = 10,
		.cli_share = 3,
	};
}

static int
context_init(struct conf *c, const struct conf_spec *s, struct conf_count *count)
{
	struct arena_map *map = arena_map_new();
	struct pat_set *pats = NULL;
	struct proc_vars *procs = NULL;

	*c = (struct conf){ .spec = s, .count = count, .what = "", .section_name = "" };
	c->px_last = &c->proxies;
	c->port_last = &c->ports;
	c->load_last = &c->loads;
	c->ring_last = &c->rings;
	c->tmp_map = arena_map_new();
	if (map == NULL || c->tmp_map == NULL)
		goto fail;
	arena_init(&c->mem, arena_map_src(map));
	arena_init(&c->tmp, arena_map_src(c->tmp_map));
	c->mem.fail_in = s->fail_mem;
	c->tmp.fail_in = s->fail_tmp;
	c->m = arena_zalloc(&c->mem, sizeof(*c->m));
	pats = pat_set_new();
	procs = proc_vars_new();
	if (c->m == NULL || pats == NULL || procs == NULL || script_gen_new(&c->lua) < 0)
		goto fail;
	c->m->pats = pats;
	c->m->procs = procs;
	script_gen_procs(c->lua, procs);
	script_gen_pats(c->lua, pats);
	c->m->generation = s->generation;
	c->m->mem = map;
	c->m->lua = c->lua;
	script_gen_cancel(c->lua, s->cancel);
	global_defaults(&c->m->global);
	return 0;
fail:
	pat_set_free(pats);
	proc_vars_free(procs);
	arena_map_free(map);
	arena_map_free(c->tmp_map);
	return -ENOMEM;
}

/* HAPROXY_CFGFILES: the files, separated by semicolons. */
static void
set_cfgfiles(const struct conf_spec *s)
{
	char text[4096];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	for (uint32_t i = 0; i < s->nfiles; i++)
		sl_buf_printf(&b, "%s%s", i > 0 ? ";" : "", s->files[i]);
	if (s->running) // the same files as at start, and other threads may be reading
		return;
	(void)setenv("HAPROXY_CFGFILES", text, 1);
}

int
conf_load(const struct conf_spec *s, struct model **out, struct conf_count *count)
{
	const char *dup;
	struct conf c;
	int rc;

	*count = (struct conf_count){ 0 };
	*out = NULL;
	rc = conf_init(&dup);
	if (rc < 0) {
		count->errors++;
		s->message(s->ctx, SL_ALERT,
			dup[0] != '\0' ? dup : "the keyword tables cannot be opened.");
		return rc == -ENOMEM ? -ENOMEM : -EINVAL;
	}
	if (context_init(&c, s, count) < 0) {
		count->errors++;
		s->message(s->ctx, SL_ALERT, "out of memory while loading the configuration.");
		return -ENOMEM;
	}
	set_cfgfiles(s);
	for (uint32_t i = 0; i < s->nfiles && !c.nomem; i++)
		(void)conf_parse_path(&c, s->files[i]);
	if (s->master != NULL && !c.nomem)
		(void)conf_master_socket(&c, s->master);
	if (conf_cancelled(&c))
		conf_error_at(&c, NULL, "loading was cancelled: it took too long.");
	else if (!c.nomem)
		(void)conf_build(&c);
	if (c.mem.failed || c.tmp.failed)
		(void)conf_nomem(&c);
	if (count->errors == 0 && count->warnings > 0 && c.zero_warning)
		conf_error_at(
			&c, NULL, "Some warnings were found and 'zero-warning' is set. Aborting.");
	pat_set_close(c.m->pats);
	arena_map_free(c.tmp_map);
	if (count->errors > 0) {
		conf_free(c.m);
		return c.nomem ? -ENOMEM : -EINVAL;
	}
	*out = c.m;
	return 0;
}

void
conf_free(struct model *m)
{
	if (m == NULL)
		return;
	if (m->lua != NULL)
		script_gen_free(m->lua);
	pat_set_free(m->pats);
	proc_vars_free(m->procs);
	arena_map_free(m->mem); // the model lies in it
}

/* ---- -dK ---- */

struct dump {
	void (*line)(void *ctx, const char *text);
	void *ctx;
};

static void
dump_line(const struct dump *d, const char *kind, const char *name, const char *args,
	const char *help)
{
	char text[CONF_MAX_TEXT];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	sl_buf_printf(&b, "%s\t%s\t%s\t%s", kind, name, args == NULL ? "" : args,
		help == NULL ? "" : help);
	d->line(d->ctx, text);
}

static void
dump_keywords(const struct dump *d, const char *kind, const struct registry *r)
{
	for (uint32_t i = 0; i < r->count; i++) {
		const struct conf_kw *kw = r->rows[i];

		dump_line(d, kind, kw->name, kw->args, kw->help);
	}
}

static void
dump_options(const struct dump *d, const char *kind, const struct registry *r)
{
	for (uint32_t i = 0; i < r->count; i++) {
		const struct conf_opt *o = r->rows[i];

		dump_line(d, kind, o->name, o->args, o->help);
	}
}

void
conf_dump_keywords(void (*line)(void *ctx, const char *text), void *ctx)
{
	const struct dump d = { line, ctx };
	const struct registry *r = action_rows();
	const char *dup;

	if (conf_init(&dup) < 0)
		return;
	dump_keywords(&d, "global", &tables.global);
	dump_keywords(&d, "port", &tables.port);
	dump_keywords(&d, "http-errors", &tables.errors);
	dump_keywords(&d, "ring", &tables.ring);
	dump_keywords(&d, "proxy", &tables.proxy);
	dump_options(&d, "bind", &tables.bind);
	dump_options(&d, "server", &tables.server);
	for (uint32_t i = 0; i < r->count; i++) {
		const struct act_row *a = r->rows[i];
		bool req = (a->points & EVAL_BIT(EVAL_HTTP_REQ)) != 0;
		bool res = (a->points & EVAL_BIT(EVAL_HTTP_RES)) != 0;
		bool content = (a->points & EVAL_BIT(EVAL_TCP_CONTENT)) != 0;

		if (req)
			dump_line(&d, "http-request", a->name, "", a->help);
		if (res)
			dump_line(&d, "http-response", a->name, "", a->help);
		if ((a->points & EVAL_BIT(EVAL_HTTP_AFTER)) != 0)
			dump_line(&d, "http-after-response", a->name, "", a->help);
		if (content)
			dump_line(&d, "tcp-request content", a->name, "", a->help);
		if ((a->points & EVAL_BIT(EVAL_TCP_RES)) != 0)
			dump_line(&d, "tcp-response content", a->name, "", a->help);
	}
	r = expr_fetches();
	for (uint32_t i = 0; i < r->count; i++) {
		const struct fetch_row *f = r->rows[i];

		dump_line(&d, "fetch", f->name, sample_type_name(f->out), f->help);
	}
	r = expr_convs();
	for (uint32_t i = 0; i < r->count; i++) {
		const struct conv_row *v = r->rows[i];

		dump_line(&d, "converter", v->name, sample_type_name(v->out), v->help);
	}
}
