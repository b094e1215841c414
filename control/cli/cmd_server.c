// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands that change servers and limits while traffic flows.
 *
 * Runs on: main. Follows: HAProxy 2.6 management guide 9.3; an answer is empty when all went well.
 * What a command changes lives outside the configuration: a reload keeps it for servers of the same
 * name.
 */
#include "control/cli/cli_priv.h"
#include "control/stats/table.h"

static struct checks *
checks_of(const struct cli_ctx *x)
{
	return x->cli->s.checks;
}

static bool
is(struct sl_str s, const char *word)
{
	return sl_str_eq(s, sl_str_c(word));
}

/* Argument i; empty: it is not there. */
static struct sl_str
arg(const struct cli_ctx *x, uint32_t i)
{
	return i < x->n ? x->arg[i] : SL_STR("");
}

/* HAProxy ends these two without a newline. */
static void
err_no_newline(struct cli_ctx *x, const char *text)
{
	cli_severity(x, SL_ERR);
	cli_str(x, sl_str_c(text));
}

/* "50", or "50%" of the weight that is configured. */
static void
set_weight(struct cli_ctx *x, const struct server *srv, struct sl_str w)
{
	bool relative = w.len > 1 && w.p[w.len - 1] == '%';
	int64_t given;
	uint64_t n;

	if (w.len == 0) {
		cli_err(x, "Require <weight> or <weight%>.");
		return;
	}
	if (sl_str_i64(sl_str_make(w.p, w.len - relative), &given) < 0) {
		err_no_newline(x, "Empty weight string empty or preceded by garbage");
		return;
	}
	if (relative && given < 0) {
		cli_err(x, "Relative weight must be positive.");
		return;
	}
	n = given < 0 ? 257 : (uint64_t)given;
	if (relative)
		n = n > 25600 ? 257 : srv->weight * n / 100;
	if (n > 256) {
		cli_err(x, "Absolute weight can only be between 0 and 256 inclusive.");
		return;
	}
	servers_set_weight(checks_of(x), srv, (uint16_t)n);
}

static void
do_get_weight(struct cli_ctx *x)
{
	const struct server *srv = cli_find_server(x, arg(x, 0));
	struct server_view v;

	if (srv == NULL)
		return;
	servers_view(checks_of(x), srv, &v);
	cli_printf(x, "%u (initial %u)\n", v.weight, v.iweight);
}

static void
do_set_weight(struct cli_ctx *x)
{
	const struct server *srv = cli_find_server(x, arg(x, 0));

	if (srv != NULL)
		set_weight(x, srv, arg(x, 1));
}

static uint8_t
admin_of(const struct cli_ctx *x, const struct server *srv)
{
	struct server_view v;

	servers_view(checks_of(x), srv, &v);
	return v.admin;
}

static void
set_state(struct cli_ctx *x, const struct server *srv, struct sl_str w)
{
	uint8_t old = admin_of(x, srv);

	if (is(w, "ready"))
		servers_set_admin(checks_of(x), srv, 0);
	else if (is(w, "drain"))
		servers_set_admin(checks_of(x), srv, SRV_ADM_DRAIN);
	else if (is(w, "maint"))
		servers_set_admin(checks_of(x), srv, old | SRV_ADM_MAINT);
	else
		cli_err(x, "'set server <srv> state' expects 'ready', 'drain' and 'maint'.");
}

static void
set_health(struct cli_ctx *x, const struct server *srv, struct sl_str w)
{
	if (is(w, "up"))
		servers_set_health(checks_of(x), srv, SERVER_HEALTH_UP);
	else if (is(w, "stopping"))
		servers_set_health(checks_of(x), srv, SERVER_HEALTH_STOPPING);
	else if (is(w, "down"))
		servers_set_health(checks_of(x), srv, SERVER_HEALTH_DOWN);
	else
		cli_err(x, "'set server <srv> health' expects 'up', 'stopping', or 'down'.");
}

static void
set_addr(struct cli_ctx *x, const struct server *srv)
{
	struct server_view v;
	struct ip_port to;
	char was[64], now[64];
	struct sl_buf a, b;
	uint64_t port;
	bool moved;

	servers_view(checks_of(x), srv, &v);
	to = v.addr;
	if (x->n < 3) {
		cli_err(x, "set server <b>/<s> addr requires an address and optionally a port.");
		return;
	}
	if (addr_parse(x->arg[2], &to.ip) < 0) {
		cli_severity(x, SL_WARNING);
		cli_printf(x, "Invalid addr '%.*s' by 'stats socket command'\n", SL_STR_ARG(x->arg[2]));
		return;
	}
	moved = !addr_eq(&to.ip, &v.addr.ip);
	if (x->n > 3 && (!is(x->arg[3], "port") || x->n < 5 ||
				sl_str_u64(x->arg[4], &port) < 0 || port < 1 || port > 65535)) {
		cli_err(x, "port must be between 1 and 65535");
		return;
	}
	if (x->n > 4)
		to.port = (uint16_t)port;
	if ((moved || to.port != v.addr.port) && servers_set_addr(checks_of(x), srv, &to) < 0) {
		cli_err(x, "Out of memory.");
		return;
	}
	sl_buf_init(&a, was, sizeof(was));
	sl_buf_init(&b, now, sizeof(now));
	addr_format(&a, &v.addr.ip);
	addr_format(&b, &to.ip);
	cli_severity(x, SL_WARNING);
	if (moved)
		cli_printf(x, "IP changed from '%s' to '%s'", was, now);
	else
		cli_printf(x, "no need to change the addr");
	if (to.port != v.addr.port)
		cli_printf(x, ", port changed from '%u' to '%u'", v.addr.port, to.port);
	else if (x->n > 4)
		cli_printf(x, ", no need to change the port");
	cli_msg(x, " by 'stats socket command'");
}

static void
do_set_server(struct cli_ctx *x)
{
	const struct server *srv = cli_find_server(x, arg(x, 0));
	struct sl_str what = arg(x, 1), value = arg(x, 2);

	if (srv == NULL)
		return;
	if (is(what, "weight"))
		set_weight(x, srv, value);
	else if (is(what, "state"))
		set_state(x, srv, value);
	else if (is(what, "health"))
		set_health(x, srv, value);
	else if (is(what, "addr"))
		set_addr(x, srv);
	else if (is(what, "agent"))
		cli_err(x, "agent checks are not enabled on this server.");
	else
		cli_err(x, "usage: set server <backend>/<server> addr | health | state | weight");
}

/* enable: out of maintenance, drain stays; disable: into it. */
static void
do_server(struct cli_ctx *x)
{
	const struct server *srv = cli_find_server(x, arg(x, 0));

	if (srv == NULL)
		return;
	if (x->priv != 0)
		servers_set_admin(checks_of(x), srv, admin_of(x, srv) & (uint8_t)~SRV_ADM_MAINT);
	else
		servers_set_admin(checks_of(x), srv, admin_of(x, srv) | SRV_ADM_MAINT);
}

static void
do_health(struct cli_ctx *x)
{
	const struct server *srv = cli_find_server(x, arg(x, 0));

	if (srv != NULL && servers_enable_checks(checks_of(x), srv, x->priv != 0) < 0 &&
		x->priv != 0)
		cli_err(x, "Health check was not configured on this server, cannot enable.");
}

/* There are none to switch. */
static void
do_agent(struct cli_ctx *x)
{
	if (cli_find_server(x, arg(x, 0)) != NULL && x->priv != 0)
		cli_err(x, "Agent was not configured on this server, cannot enable.");
}

static bool
number(struct cli_ctx *x, uint32_t i, uint64_t *n)
{
	if (i < x->n && sl_str_u64(x->arg[i], n) == 0 && *n < UINT32_MAX)
		return true;
	cli_err(x, "Integer value expected.");
	return false;
}

static void
do_maxconn_frontend(struct cli_ctx *x)
{
	const struct proxy *p;
	uint64_t n;

	if (x->n == 0) {
		cli_err(x, "A frontend name is expected.");
		return;
	}
	p = cli_find_frontend(x, x->arg[0]);
	if (p == NULL || !number(x, 1, &n))
		return;
	atomic_store_explicit(&x->cli->s.bal->px[p->slot].maxconn, (uint32_t)n,
		memory_order_relaxed);
}

static void
do_maxconn_server(struct cli_ctx *x)
{
	const struct server *srv = cli_find_server(x, arg(x, 0));
	uint64_t n;

	if (srv == NULL)
		return;
	if (x->n < 2)
		cli_err(x, "Require <maxconn>.");
	else if (sl_str_u64(x->arg[1], &n) == 0 && n < UINT32_MAX)
		servers_set_maxconn(checks_of(x), srv, (uint32_t)n);
	else
		err_no_newline(x, "maxconn string empty or preceded by garbage");
}

static void
do_maxconn_global(struct cli_ctx *x)
{
	uint32_t hard = x->cli->s.model->global.maxconn;
	uint64_t n;

	if (x->n == 0) {
		cli_err(x, "Expects an integer value.");
		return;
	}
	if (!number(x, 0, &n))
		return;
	if (n > hard) {
		cli_errf(x, "Value out of range, must be between 1 and %u.", hard);
		return;
	}
	// 0: what the configuration says, as HAProxy
	atomic_store_explicit(&x->cli->s.bal->maxconn, n == 0 ? UINT32_MAX : (uint32_t)n,
		memory_order_relaxed);
}

static void
do_clear(struct cli_ctx *x)
{
	if (x->n > 0 && !is(x->arg[0], "all")) {
		cli_err(x, "'clear counters' only supports 'all'.");
		return;
	}
	// HAProxy's rights: an operator forgets the maxima, the counters are an administrator's
	if (x->n > 0 && !cli_allowed(x, CLI_ADMIN))
		return;
	rates_clear_max(stats_rates(x->cli->s.stats));
	stats_clear_max(x->cli->s.lc, x->cli->s.nlc);
	if (x->n > 0 && stats_clear(x->cli->s.lc, x->cli->s.nlc) < 0)
		cli_err(x, "Out of memory.");
}

// clang-format off
SL_CLI_COMMANDS(
	{ "get weight", CLI_USER, 0, 1, do_get_weight, "<bk>/<srv>",
		"report a server's current weight" },
	{ "set weight", CLI_ADMIN, 0, 2, do_set_weight, "<bk>/<srv>  (DEPRECATED)",
		"change a server's weight (use 'set server' instead)" },
	{ "set server", CLI_ADMIN, 0, 5, do_set_server, "<bk>/<srv> [opts]",
		"change a server's state, weight or address" },
	{ "enable server", CLI_ADMIN, 0, 1, do_server, " (DEPRECATED)",
		"enable a disabled server (use 'set server' instead)", 1 },
	{ "disable server", CLI_ADMIN, 0, 1, do_server, "(DEPRECATED)",
		"disable a server for maintenance (use 'set server' instead)", 0 },
	{ "enable health", CLI_ADMIN, 0, 1, do_health, "", "enable health checks", 1 },
	{ "disable health", CLI_ADMIN, 0, 1, do_health, "", "disable health checks", 0 },
	{ "enable agent", CLI_ADMIN, 0, 1, do_agent, "", "enable agent checks", 1 },
	{ "disable agent", CLI_ADMIN, 0, 1, do_agent, "", "disable agent checks", 0 },
	{ "set maxconn frontend", CLI_ADMIN, 0, 2, do_maxconn_frontend, "<frontend> <value>",
		"change a frontend's maxconn setting" },
	{ "set maxconn server", CLI_ADMIN, 0, 2, do_maxconn_server, "<bk>/<srv>",
		"change a server's maxconn setting" },
	{ "set maxconn global", CLI_ADMIN, 0, 1, do_maxconn_global, "<value>",
		"change the per-process maxconn setting" },
	{ "clear counters", CLI_OPER, 0, 1, do_clear, "[all]",
		"clear max statistics counters (or all counters)" },
);
// clang-format on
