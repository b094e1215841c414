// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands that show the process and its configuration, in HAProxy's formats.
 *
 * Runs on: main. Follows: HAProxy 2.6 management guide 9.3.
 */
#include "control/cli/cli_priv.h"
#include "control/stats/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void
add_text(void *ctx, const char *p, size_t n)
{
	cli_add(ctx, p, n);
}

static bool
is(const struct cli_ctx *x, uint32_t i, const char *word)
{
	return i < x->n && sl_str_eq(x->arg[i], sl_str_c(word));
}

static void
do_info(struct cli_ctx *x)
{
	struct field_out o = { add_text, x->out };
	enum stat_form form = FORM_CSV;
	struct stats_src s;
	bool desc = false;

	for (uint32_t i = 0; i < x->n; i++) {
		if (is(x, i, "typed"))
			form = FORM_TYPED;
		else if (is(x, i, "json"))
			form = FORM_JSON;
		else if (is(x, i, "desc"))
			desc = true;
	}
	stats_source(x->cli->s.stats, &s);
	info_dump(&s, form, desc, &o);
	if (form == FORM_JSON)
		cli_str(x, SL_STR("\n"));
}

/* "show stat [{<iid>|<proxy>} <type> <sid>] [typed|json] [desc] [up] [no-maint]" */
static void
do_stat(struct cli_ctx *x)
{
	struct stat_query q = { .form = FORM_CSV, .iid = -1, .type = -1, .sid = -1 };
	struct field_out o = { add_text, x->out };
	struct stats_src s;
	uint32_t i = 0;

	if (x->n >= 3 && sl_str_i64(x->arg[1], &q.type) == 0 &&
		sl_str_i64(x->arg[2], &q.sid) == 0) {
		const struct model *m = x->cli->s.model;
		const struct proxy *p = model_find_proxy(m, x->arg[0], PX_CAP_FE);

		if (p == NULL)
			p = model_find_proxy(m, x->arg[0], PX_CAP_BE);
		if (p != NULL) {
			q.iid = p->id;
		} else if (sl_str_i64(x->arg[0], &q.iid) < 0) {
			cli_err(x, "No such proxy.");
			return;
		}
		i = 3;
	}
	for (; i < x->n; i++) {
		if (is(x, i, "typed"))
			q.form = FORM_TYPED;
		else if (is(x, i, "json"))
			q.form = FORM_JSON;
		q.desc |= is(x, i, "desc");
		q.up |= is(x, i, "up");
		q.no_maint |= is(x, i, "no-maint");
	}
	stats_source(x->cli->s.stats, &s);
	stat_dump(&s, &q, &o);
	if (q.form == FORM_JSON)
		cli_str(x, SL_STR("\n"));
}

static void
do_schema(struct cli_ctx *x)
{
	schema_dump(&(struct field_out){ add_text, x->out });
	cli_str(x, SL_STR("\n"));
}

static void
do_backend(struct cli_ctx *x)
{
	const struct model *m = x->cli->s.model;

	cli_msg(x, "# name");
	for (uint32_t i = 0; i < m->nproxies; i++) {
		if ((m->proxies[i]->caps & PX_CAP_BE) != 0)
			cli_printf(x, "%.*s\n", SL_STR_ARG(m->proxies[i]->name));
	}
}

static void
do_version(struct cli_ctx *x)
{
	cli_severity(x, SL_INFO);
	cli_msg(x, SL_VERSION);
}

static void
do_env(struct cli_ctx *x)
{
	bool found = false;

	for (char **e = environ; *e != NULL; e++) {
		struct sl_str rest = sl_str_c(*e), name = sl_str_cut(&rest, '=');

		if (x->n > 0 && !sl_str_eq(name, x->arg[0]))
			continue;
		cli_msg(x, *e);
		found = true;
	}
	if (x->n > 0 && !found)
		cli_err(x, "Variable not found");
}

/* HAProxy's numbers: operational state, administrative flags, check result and state. */
static void
state_line(struct cli_ctx *x, const struct server *srv)
{
	struct server_view v;
	char ip[64];
	struct sl_buf b;
	unsigned op, admin = 0, result;

	servers_view(x->cli->s.checks, srv, &v);
	op = v.state == SRV_DOWN || v.state == SRV_MAINT ? 0 : v.stopping ? 3 : 2;
	if ((v.admin & SRV_ADM_MAINT) != 0)
		admin |= 0x01;
	if (srv->disabled) // in the configuration; it stays so
		admin |= 0x04;
	if ((v.admin & SRV_ADM_DRAIN) != 0)
		admin |= 0x08;
	result = !v.has_result ? 0 : v.check_ok ? 3 : 2;
	sl_buf_init(&b, ip, sizeof(ip));
	addr_format(&b, &v.addr.ip);
	cli_printf(x, "%u %.*s %u %.*s %s %u %u %u %u %u %u %u %u %u 0 0 0 - %u - 0 0 - - 0\n",
		srv->be->id, SL_STR_ARG(srv->be->name), srv->id, SL_STR_ARG(srv->name), ip, op,
		admin, v.weight, v.iweight, v.lastchg_s, servers_check_code(&v), result,
		v.checked ? v.health : 0,
		v.checked ? (v.paused ? 0x1au : 0x6u) : srv->disabled ? 0x8u : 0u,
		v.addr.port);
}

static void
do_servers_state(struct cli_ctx *x)
{
	const struct model *m = x->cli->s.model;
	const struct proxy *one = NULL;

	if (x->n > 0 && (one = cli_find_backend(x, x->arg[0])) == NULL) {
		cli_err(x, "Can't find backend.");
		return;
	}
	cli_msg(x, "1");
	cli_msg(x,
		"# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight "
		"srv_iweight srv_time_since_last_change srv_check_status srv_check_result "
		"srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id "
		"srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
		"srv_agent_addr srv_agent_port");
	for (uint32_t i = 0; i < m->nproxies; i++) {
		const struct proxy *p = m->proxies[i];

		for (uint32_t k = 0; k < p->nservers && (one == NULL || one == p); k++)
			state_line(x, &p->servers[k]);
	}
}

static void
do_servers_conn(struct cli_ctx *x)
{
	const struct model *m = x->cli->s.model;
	const struct proxy *one = NULL;

	if (x->n > 0 && (one = cli_find_backend(x, x->arg[0])) == NULL) {
		cli_err(x, "Can't find backend.");
		return;
	}
	cli_printf(x,
		"# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est "
		"unsafe_nb safe_nb idle_lim idle_cur idle_per_thr[%u]\n",
		x->cli->s.nlc);
	for (uint32_t i = 0; i < m->nproxies; i++) {
		const struct proxy *p = m->proxies[i];

		for (uint32_t k = 0; k < p->nservers && (one == NULL || one == p); k++) {
			const struct server *srv = &p->servers[k];
			struct server_view v;
			uint32_t idle = 0;
			char ip[64];
			struct sl_buf b;

			servers_view(x->cli->s.checks, srv, &v);
			sl_buf_init(&b, ip, sizeof(ip));
			addr_format(&b, &v.addr.ip);
			for (uint16_t w = 0; w < x->cli->s.nlc; w++)
				idle += idle_count(x->cli->s.lc[w], srv->slot);
			cli_printf(x, "%.*s/%.*s %u/%u %s %u - 5000 %u %u %u 0 %u -1 %u",
				SL_STR_ARG(p->name), SL_STR_ARG(srv->name), p->id, srv->id, ip,
				v.addr.port, v.cur, v.cur, v.cur, idle, idle);
			for (uint16_t w = 0; w < x->cli->s.nlc; w++)
				cli_printf(x, " %u", idle_count(x->cli->s.lc[w], srv->slot));
			cli_str(x, SL_STR("\n"));
		}
	}
}

// clang-format off
SL_CLI_COMMANDS(
	{ "show info", CLI_USER, 0, CLI_MANY, do_info, "[desc|json|typed]*",
		"report information about the running process" },
	{ "show stat", CLI_USER, 0, CLI_MANY, do_stat, "[desc|json|no-maint|typed|up]*",
		"report counters for each proxy and server" },
	{ "show schema json", CLI_USER, 0, CLI_MANY, do_schema, "",
		"report schema used for stats" },
	{ "show backend", CLI_USER, 0, CLI_MANY, do_backend, "",
		"list backends in the current running config" },
	{ "show version", CLI_USER, 0, CLI_MANY, do_version, "",
		"show version of the current process" },
	{ "show env", CLI_OPER, 0, 1, do_env, "[var]",
		"dump environment variables known to the process" },
	{ "show servers state", CLI_USER, 0, 1, do_servers_state, "[<backend>]",
		"dump volatile server information (all or for a single backend)" },
	{ "show servers conn", CLI_USER, 0, 1, do_servers_conn, "[<backend>]",
		"dump server connections status (all or for a single backend)" },
);
// clang-format on
