// SPDX-License-Identifier: BSD-3-Clause
/*
 * Actions on variables: set-var(scope.name) <expr>, set-var-fmt(scope.name) <format>,
 * unset-var(scope.name).
 *
 * Parsing runs on control threads, running on the worker. The name in parentheses comes as the
 * first word. An expression without a value leaves the variable as it was, as HAProxy.
 */
#include "dataplane/proxy/stream.h"

#define POINTS                                                                     \
	(EVAL_BIT(EVAL_TCP_CONTENT) | EVAL_BIT(EVAL_TCP_RES) | EVAL_BIT(EVAL_HTTP_REQ) | \
		EVAL_BIT(EVAL_HTTP_RES) | EVAL_BIT(EVAL_HTTP_AFTER))

/* "ifexists": of the variable before, and of the value that it would get. All of them must hold. */
enum {
	COND_EXISTS,
	COND_NOT_EXISTS,
	COND_EMPTY,
	COND_NOT_EMPTY,
	COND_SET,
	COND_NOT_SET,
	COND_GT,
	COND_LT,
	COND_NR
};

struct var_name {
	enum var_scope scope;
	struct sl_str name;
	uint32_t conds; // bits
};

static int
bad(const struct act_parse *p, struct sl_str word, const char *text)
{
	p->comp->diag->error(p->comp->diag->ctx, word, text);
	return -EINVAL;
}

static int
parse_conds(const struct act_parse *p, struct sl_str rest, uint32_t *conds)
{
	static const char *const names[COND_NR] = { "ifexists", "ifnotexists", "ifempty",
		"ifnotempty", "ifset", "ifnotset", "ifgt", "iflt" };

	while (rest.p != NULL) {
		struct sl_str word = sl_str_cut(&rest, ',');
		uint32_t i = 0;

		while (i < COND_NR && !sl_str_eq(word, sl_str_c(names[i])))
			i++;
		if (i == COND_NR)
			return bad(p, word,
				"is no condition of a variable: expects ifexists, ifnotexists, "
				"ifempty, ifnotempty, ifset, ifnotset, ifgt or iflt");
		*conds |= 1u << i;
	}
	return 0;
}

static int
parse_name(struct act_parse *p, struct sl_str text, bool conds)
{
	struct var_name *v = arena_zalloc(p->comp->mem, sizeof(*v));
	struct sl_str rest = text, full = conds ? sl_str_cut(&rest, ',') : text;

	if (v == NULL)
		return bad(p, full, "out of memory");
	if (var_parse_name(full, &v->scope, &v->name) < 0)
		return bad(p, full,
			"is no variable name: expects <scope>.<name> with scope proc, sess, txn, "
			"req or res");
	if (conds && parse_conds(p, rest, &v->conds) < 0)
		return -EINVAL;
	v->name = arena_str(p->comp->mem, v->name);
	p->data = v;
	return expr_declare(p->comp, v->scope, v->name);
}

/* The words behind the name are one expression: blanks between converters are allowed. */
static int
parse_set(struct act_parse *p, uintptr_t fmt)
{
	struct sl_buf b;
	char text[1024];

	if (p->nword < 2 || (fmt && p->nword != 2))
		return bad(p, SL_STR(""), fmt ? "expects (<scope>.<name>) <format>"
					      : "expects (<scope>.<name>) <expression>");
	if (parse_name(p, p->word[0], true) < 0)
		return -EINVAL;
	p->nsamples = 1;
	if (fmt)
		return prog_add_fmt(p->prog, arena_str(p->comp->mem, p->word[1]));
	sl_buf_init(&b, text, sizeof(text));
	for (uint32_t i = 1; i < p->nword; i++)
		sl_buf_add(&b, p->word[i]);
	if (b.full)
		return bad(p, p->word[1], "expression too long");
	return prog_add_expr(p->prog, arena_str(p->comp->mem, sl_buf_str(&b)), T_ANY);
}

static int
parse_unset(struct act_parse *p, uintptr_t priv)
{
	(void)priv;
	if (p->nword != 1)
		return bad(p, SL_STR(""), "expects (<scope>.<name>)");
	return parse_name(p, p->word[0], false);
}

/* May the variable get this value? One of the process is always there: a rule names it. */
static bool
allowed(struct stream *s, const struct var_name *v, const struct sample *in)
{
	struct sample old = { .type = T_ANY };
	bool set = var_read(&s->vars, v->scope, v->name, &old, &s->arena);
	bool exists = set || v->scope == VAR_PROC;
	bool empty = sample_has_text(in) && in->s.len == 0;
	bool numbers = set && old.type == T_SINT && in->type == T_SINT;
	const bool holds[COND_NR] = {
		[COND_EXISTS] = exists,
		[COND_NOT_EXISTS] = !exists,
		[COND_EMPTY] = empty,
		[COND_NOT_EMPTY] = !empty,
		[COND_SET] = set,
		[COND_NOT_SET] = !set,
		[COND_GT] = !numbers || old.i > in->i,
		[COND_LT] = !numbers || old.i < in->i,
	};

	for (uint32_t i = 0; i < COND_NR; i++) {
		if ((v->conds >> i & 1) != 0 && !holds[i])
			return false;
	}
	return true;
}

static enum act_ret
run_set(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	const struct var_name *v = a->data;

	if (n > 0 && args[0].type != T_ANY && (v->conds == 0 || allowed(s, v, &args[0])))
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

SL_ACTIONS({ "set-var", POINTS, parse_set, run_set,
		   "(<scope>.<name>[,<cond>...]) <expr>: set a variable", 0 },
	{ "set-var-fmt", POINTS, parse_set, run_set,
		"(<scope>.<name>[,<cond>...]) <format>: set a variable to a text", 1 },
	{ "unset-var", POINTS, parse_unset, run_unset, "(<scope>.<name>): forget a variable" }, );
