// SPDX-License-Identifier: BSD-3-Clause
/*
 * Variables of the process in the global section: set-var, set-var-fmt, tune.vars.proc-max-size.
 *
 * Runs on: the loader. Values are there at once: a later line may use them. Follows: HAProxy 2.6
 * configuration manual 3.1; unlike there a value that finds no room is an error.
 */
#include "control/conf/conf_priv.h"

#include "dataplane/expr/procvar.h"

static int
kw_set_var(struct conf *c, const struct conf_args *a)
{
	struct expr_comp comp = { .mem = &c->tmp, .pats = c->m->pats, .procs = c->m->procs,
		.point = EVAL_CONF, .mode = EXPR_ANY };
	char text[CONF_MAX_TEXT];
	struct sl_buf b;
	int rc;

	c->diag = conf_diag(c);
	comp.diag = &c->diag;
	sl_buf_init(&b, text, sizeof(text));
	for (uint32_t i = 1; i < a->n; i++)
		sl_buf_add(&b, a->word[i]);
	if (b.full) {
		conf_error(c, "'%s' : the expression is longer than %u bytes.", a->kw, CONF_MAX_TEXT);
		return -EINVAL;
	}
	c->what = a->kw;
	rc = proc_var_assign(&comp, a->word[0], arena_str(&c->tmp, sl_buf_str(&b)), a->priv != 0);
	c->what = "";
	if (rc == -ENOSPC)
		conf_error(c,
			"'%s' : no room for '%.*s': see 'tune.vars.proc-max-size'; a value has at "
			"most %u bytes, a name %u, and there are at most %u variables.",
			a->kw, SL_STR_ARG(a->word[0]), PROC_VAR_MAX, PROC_VAR_NAME,
			PROC_VARS_NAMES);
	return rc;
}

static int
kw_proc_max(struct conf *c, const struct conf_args *a)
{
	uint64_t n;

	if (conf_number(c, a->kw, a->word[0], 0, PROC_VARS_BYTES, &n) < 0)
		return -EINVAL;
	proc_vars_limit(c->m->procs, n);
	return 0;
}

// clang-format off
SL_CFG_GLOBAL(
	{ "set-var", CONF_GLOBAL, 2, CONF_MANY, kw_set_var, "proc.<name> <expr>",
		"sets a variable of the process to a value", 0 },
	{ "set-var-fmt", CONF_GLOBAL, 2, 2, kw_set_var, "proc.<name> <format>",
		"sets a variable of the process to a text", 1 },
	{ "tune.vars.proc-max-size", CONF_GLOBAL, 1, 1, kw_proc_max, "<bytes>",
		"bytes of all variables of the process; 0: 16777216, which is the most" },
);
// clang-format on
