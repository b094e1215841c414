// SPDX-License-Identifier: BSD-3-Clause
/*
 * Actions on variables: set-var(scope.name) <expr>, unset-var(scope.name).
 *
 * Parsing runs on control threads, running on the worker. The name in parentheses comes as the
 * first word. An expression without a value leaves the variable as it was, as HAProxy.
 */
#include "dataplane/proxy/stream.h"

#define POINTS                                                                     \
	(EVAL_BIT(EVAL_TCP_CONTENT) | EVAL_BIT(EVAL_HTTP_REQ) | EVAL_BIT(EVAL_HTTP_RES) | \
		EVAL_BIT(EVAL_HTTP_AFTER))

struct var_name {
	enum var_scope scope;
	struct sl_str name;
};

static int
bad(const struct act_parse *p, struct sl_str word, const char *text)
{
	p->comp->diag->error(p->comp->diag->ctx, word, text);
	return -EINVAL;
}

static int
parse_name(struct act_parse *p, struct sl_str full)
{
	struct var_name *v = arena_alloc(p->comp->mem, sizeof(*v));

	if (v == NULL)
		return bad(p, full, "out of memory");
	if (var_parse_name(full, &v->scope, &v->name) < 0)
		return bad(p, full,
			"is no variable name: expects <scope>.<name> with scope sess, txn, "
			"req or res");
	if (v->scope == VAR_PROC)
		return bad(p, full, "variables of scope proc cannot be written yet");
	v->name = arena_str(p->comp->mem, v->name);
	p->data = v;
	return 0;
}

/* The words behind the name are one expression: blanks between converters are allowed. */
static int
parse_set(struct act_parse *p, uintptr_t priv)
{
	struct sl_buf b;
	char text[1024];

	(void)priv;
	if (p->nword < 2)
		return bad(p, SL_STR(""), "expects (<scope>.<name>) <expression>");
	if (parse_name(p, p->word[0]) < 0)
		return -EINVAL;
	sl_buf_init(&b, text, sizeof(text));
	for (uint32_t i = 1; i < p->nword; i++)
		sl_buf_add(&b, p->word[i]);
	if (b.full)
		return bad(p, p->word[1], "expression too long");
	p->nsamples = 1;
	return prog_add_expr(p->prog, arena_str(p->comp->mem, sl_buf_str(&b)), T_ANY);
}

static int
parse_unset(struct act_parse *p, uintptr_t priv)
{
	(void)priv;
	if (p->nword != 1)
		return bad(p, SL_STR(""), "expects (<scope>.<name>)");
	return parse_name(p, p->word[0]);
}

static enum act_ret
run_set(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	const struct var_name *v = a->data;

	if (n > 0 && args[0].type != T_ANY)
		stream_set_var(s, v->scope, v->name, &args[0]);
	return ACT_CONT;
}

static enum act_ret
run_unset(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	const struct var_name *v = a->data;

	(void)args;
	(void)n;
	stream_unset_var(s, v->scope, v->name);
	return ACT_CONT;
}

SL_ACTIONS({ "set-var", POINTS, parse_set, run_set, "(<scope>.<name>) <expr>: set a variable" },
	{ "unset-var", POINTS, parse_unset, run_unset, "(<scope>.<name>): forget a variable" }, );
