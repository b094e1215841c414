// SPDX-License-Identifier: BSD-3-Clause
/*
 * set-var outside of rules: an expression of what the process itself knows, evaluated at once, into a
 * variable of the process.
 *
 * Runs on: the loader and main. Follows: HAProxy 2.6, "set-var" of the global section and of the runtime
 * API.
 */
#include <time.h>

#include "dataplane/expr/expr_priv.h"

static uint64_t
wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* OP_ACT at the end: takes the value. */
static enum act_ret
take(struct prog_env *e, const void *act sl_unused, struct sample *args, uint32_t n sl_unused)
{
	*(struct sample *)e->owner = args[0];
	return ACT_CONT;
}

static int
evaluate(const struct expr_comp *comp, struct sl_str text, bool fmt, struct sample *out)
{
	struct prog_builder *b = prog_begin(comp);
	struct vars vars = { .procs = comp->procs };
	struct txn_view view = { .vars = &vars, .wall_us = wall_us() };
	struct prog_env env = { .view = &view, .mem = comp->mem, .owner = out, .act = take };
	const struct prog *prog;
	struct sl_rand rand;
	struct prog_cursor cur;

	if (b == NULL)
		return expr_nomem(comp);
	if ((fmt ? prog_add_fmt(b, text) : prog_add_expr(b, text, T_ANY)) < 0 ||
		prog_add_op(b, OP_ACT, 1, NULL) < 0)
		return -EINVAL;
	prog = prog_end(b);
	if (prog == NULL)
		return expr_nomem(comp);
	rand_seed(&rand, view.wall_us);
	view.rand = &rand;
	out->type = T_ANY;
	prog_start(&cur, prog);
	return prog_run(&cur, &env) == PROG_NOMEM ? expr_nomem(comp) : 0;
}

int
proc_var_assign(const struct expr_comp *comp, struct sl_str full, struct sl_str text, bool fmt)
{
	enum var_scope scope;
	struct sl_str name;
	struct sample v;
	int rc;

	if (var_parse_name(full, &scope, &name) < 0)
		return expr_error(comp, full,
			"invalid variable name '%.*s': a name starts with its scope ('proc', "
			"'sess', 'txn', 'req' or 'res') and a dot, then letters, digits, '.' and '_'",
			SL_STR_ARG(full));
	if (scope != VAR_PROC)
		return expr_error(comp, full,
			"cannot set variable '%.*s', only scope 'proc' is permitted here",
			SL_STR_ARG(full));
	rc = evaluate(comp, text, fmt, &v);
	if (rc < 0 || v.type == T_ANY)
		return rc;
	return proc_var_set(comp->procs, name, &v, false);
}
