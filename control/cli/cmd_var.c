// SPDX-License-Identifier: BSD-3-Clause
/*
 * get var, set var: variables of the process; experimental-mode, which HAProxy wants for the latter.
 *
 * Runs on: main. Follows: HAProxy 2.6's answers.
 */
#include "control/cli/cli_priv.h"
#include "dataplane/expr/procvar.h"

static void
tell(void *ctx, struct sl_str word sl_unused, const char *text)
{
	cli_err(ctx, text);
}

static const char *
type_name(const struct sample *v)
{
	static const char *const names[T_NR] = { [T_BOOL] = "bool", [T_SINT] = "sint",
		[T_STR] = "str", [T_BIN] = "bin", [T_METH] = "meth" };

	if (v->type == T_ADDR)
		return v->ip.family == ADDR_V4 ? "ipv4" : "ipv6";
	return names[v->type];
}

/* Bytes that a terminal cannot show are told as such. */
static void
show_text(struct cli_ctx *x, struct sl_str s)
{
	for (uint32_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 32 || c == 127)
			cli_printf(x, "\\x%02x", c);
		else
			cli_add(x->out, s.p + i, 1);
	}
}

static void
do_get(struct cli_ctx *x)
{
	struct arena_map *map = arena_map_new();
	enum var_scope scope;
	struct sl_str name;
	struct sample v;
	struct arena mem;

	if (x->n == 0 || map == NULL) {
		cli_err(x, x->n == 0 ? "Missing process-wide variable identifier." : "Out of memory.");
		arena_map_free(map);
		return;
	}
	arena_init(&mem, arena_map_src(map));
	if (var_parse_name(x->arg[0], &scope, &name) < 0 || scope != VAR_PROC ||
		!proc_var_get(x->cli->s.model->procs, name, &v, &mem)) {
		cli_err(x, "Variable not found.");
	} else {
		cli_severity(x, SL_INFO);
		cli_printf(x, "%.*s: type=%s value=<", SL_STR_ARG(x->arg[0]), type_name(&v));
		if (sample_cast(&v, T_STR, &mem))
			show_text(x, v.s);
		cli_msg(x, ">");
	}
	arena_map_free(map);
}

static void
do_experimental(struct cli_ctx *x)
{
	if (x->n == 0)
		cli_printf(x, "experimental-mode is %s\n", x->client->experimental ? "ON" : "OFF");
	else
		x->client->experimental = sl_str_eq(x->arg[0], SL_STR("on"));
}

/* The expression, and whether it is a format; false after a message. */
static bool
set_args(struct cli_ctx *x, struct sl_str *text, bool *fmt)
{
	bool typed = x->n > 2;

	*fmt = typed && sl_str_eq(x->arg[1], SL_STR("fmt"));
	if (!x->client->experimental)
		cli_err(x, "This command is restricted to experimental mode only.");
	else if (x->n == 0)
		cli_err(x, "Missing process-wide variable identifier.");
	else if (x->n == 1)
		cli_err(x, "Missing either 'expr', 'fmt' or expression.");
	else if (typed && !*fmt && !sl_str_eq(x->arg[1], SL_STR("expr")))
		cli_errf(x, "'set var': arg type must be either 'expr' or 'fmt' but got '%.*s'.",
			SL_STR_ARG(x->arg[1]));
	else {
		*text = x->arg[typed ? 2 : 1];
		return true;
	}
	return false;
}

static void
do_set(struct cli_ctx *x)
{
	const struct expr_diag diag = { .error = tell, .ctx = x };
	struct expr_comp comp = { .diag = &diag, .mode = EXPR_ANY, .point = EVAL_CONF,
		.procs = x->cli->s.model->procs };
	struct arena_map *map;
	struct sl_str text;
	struct arena mem;
	bool fmt;

	if (!set_args(x, &text, &fmt))
		return;
	map = arena_map_new();
	if (map == NULL) {
		cli_err(x, "Out of memory.");
		return;
	}
	arena_init(&mem, arena_map_src(map));
	comp.mem = &mem;
	if (proc_var_assign(&comp, x->arg[0], text, fmt) == -ENOSPC)
		cli_err(x, "'set var': no room, see 'tune.vars.proc-max-size'.");
	arena_map_free(map);
}

// clang-format off
SL_CLI_COMMANDS(
	{ "experimental-mode", CLI_OPER, 0, CLI_MANY, do_experimental, "[on|off]",
		"allow commands that HAProxy calls experimental: set var" },
	{ "get var", CLI_OPER, 0, CLI_MANY, do_get, "<name>", "value of a variable of the process" },
	{ "set var", CLI_OPER, 0, CLI_MANY, do_set, "<name> [fmt|expr] <expr>",
		"set a variable of the process to a value" },
);
// clang-format on
