// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rules -> programs. One program per ruleset, rules in order:
 *
 *	condition        leaves the flag
 *	JF next
 *	samples          what the action wants on the stack
 *	ACT
 *   next:
 *
 * Runs on: the loader. A rule is compiled twice: where it stands, into memory that is thrown away,
 * so that its errors have their line; and once more when the section is complete, because later
 * "acl" lines of a name add to the ACL that an earlier rule uses, as in HAProxy.
 */
#include "control/conf/conf_priv.h"
#include "dataplane/expr/patset.h"

static const char *
absent(void *ctx sl_unused, char kind, struct sl_str name)
{
	const struct unsup *u = unsup_find(kind == 'f' ? UNSUP_FETCH : UNSUP_CONV, &name, 1);

	return u != NULL ? u->why : NULL;
}

struct expr_diag
conf_diag(struct conf *c)
{
	return (struct expr_diag){ .error = conf_expr_error, .ctx = c, .absent = absent };
}

/* ---- files that rules answer with ---- */

static const char *
what_of(const struct conf *c)
{
	return c->what != NULL && c->what[0] != '\0' ? c->what : "rule";
}

static int
rule_file(void *ctx, struct sl_str path, struct sl_str *out)
{
	return page_read(ctx, what_of(ctx), path, out);
}

static const struct http_page *
rule_page(void *ctx, struct sl_str path)
{
	return page_from_file(ctx, what_of(ctx), path);
}

static const struct http_page *const *
rule_pages(void *ctx, struct sl_str group)
{
	static const struct http_page *const later[HTTP_ERRORS];
	struct conf *c = ctx;
	const struct conf_errors *e = conf_errors_find(c, group);

	if (c->section != 0)
		return later; // the section may follow; what counts is compiled at the end
	if (e == NULL)
		conf_error(c, "unknown http-errors section '%.*s' referenced by an http reply.",
			SL_STR_ARG(group));
	return e != NULL ? e->page : NULL;
}

struct expr_comp
conf_comp(struct conf *c, struct conf_px *px, struct arena *mem, enum eval_point point)
{
	c->diag = conf_diag(c);
	pat_set_place(c->m->pats, c->pos.file, c->pos.line);
	c->ext = (struct expr_extern){
		.lookup = script_lookup, .nargs = script_action_nargs, .ctx = c->lua,
		.file = rule_file, .page = rule_page, .pages = rule_pages, .file_ctx = c
	};
	return (struct expr_comp){
		.mem = mem, .ext = &c->ext, .diag = &c->diag, .acls = px->acls, .pats = c->m->pats,
		.procs = c->m->procs, .point = point,
		.mode = px->p->mode == PX_HTTP ? EXPR_HTTP : EXPR_TCP
	};
}

uint32_t
cond_find(const struct sl_str *word, uint32_t n, uint32_t from)
{
	for (uint32_t i = from; i < n; i++) {
		if (sl_str_eq(word[i], SL_STR("if")) || sl_str_eq(word[i], SL_STR("unless")))
			return i;
	}
	return n;
}

/* word[0] is if or unless. */
static int
add_cond(
	struct prog_builder *b, const struct expr_comp *comp, const struct sl_str *word, uint32_t n)
{
	if (n < 2) {
		comp->diag->error(
			comp->diag->ctx, word[0], "expects a condition after 'if' or 'unless'");
		return -EINVAL;
	}
	return prog_add_cond(b, word + 1, n - 1, sl_str_eq(word[0], SL_STR("unless")));
}

static bool
allowed_at(const struct act_row *row, enum eval_point point)
{
	return (row->points & EVAL_BIT(point)) != 0;
}

/* Names that HAProxy has, names that are near, and then the rest. */
static int
unknown_action(struct conf *c, const char *ruleset, struct sl_str name, enum eval_point point)
{
	const struct unsup *u = unsup_find(UNSUP_ACTION, &name, 1);
	const struct registry *r = action_rows();
	const struct act_row *near = registry_nearest(r, name);
	char list[700];
	struct sl_buf b;

	if (u != NULL) {
		conf_error(
			c, "not supported yet by sluice: '%s %s': %s.", ruleset, u->name, u->why);
		return -EINVAL;
	}
	sl_buf_init(&b, list, sizeof(list));
	for (uint32_t i = 0; i < r->count; i++) {
		const struct act_row *row = r->rows[i];

		if (allowed_at(row, point))
			sl_buf_printf(&b, "'%s', ", row->name);
	}
	conf_error(c, "'%s' expects %s'lua.<name>', but got '%.*s'%s", ruleset, list,
		SL_STR_ARG(name), conf_hint(near, ".").text);
	return -EINVAL;
}

/*
 * The row of an action's name. "set-var(txn.x)" is the row "set-var"; what stands in parentheses
 * becomes its first word.
 */
static const struct act_row *
find_action(struct sl_str name, struct sl_str *paren)
{
	const struct act_row *row = registry_find(action_rows(), name);
	int at = sl_str_chr(name, '(');

	*paren = SL_STR_NULL;
	if (row != NULL || at <= 0 || name.p[name.len - 1] != ')')
		return row;
	*paren = sl_str_make(name.p + at + 1, name.len - (uint32_t)at - 2);
	return registry_find(action_rows(), sl_str_make(name.p, (uint32_t)at));
}

static int
add_row(struct conf *c, const struct expr_comp *comp, struct prog_builder *b,
	const struct conf_rule *r, uint32_t nword, const char *ruleset)
{
	struct sl_str paren, word[CONF_MAX_WORDS + 1];
	const struct act_row *row = find_action(r->word[0], &paren);
	struct act_parse ap = { .comp = comp, .prog = b, .word = word };
	struct act *act;

	if (row == NULL || !allowed_at(row, comp->point))
		return unknown_action(c, ruleset, r->word[0], comp->point);
	if (paren.p != NULL)
		word[ap.nword++] = paren;
	for (uint32_t i = 1; i < nword; i++)
		word[ap.nword++] = r->word[i];
	if (row->parse == NULL && ap.nword > 0) {
		conf_error(c, "'%s %s' cannot handle unexpected argument '%.*s'.", ruleset,
			row->name, SL_STR_ARG(word[0]));
		return -EINVAL;
	}
	if (row->parse != NULL && row->parse(&ap, row->priv) < 0)
		return -EINVAL;
	act = arena_zalloc(comp->mem, sizeof(*act));
	if (act == NULL)
		return conf_nomem(c);
	*act = (struct act){ .row = row, .data = ap.data, .pos = r->pos };
	return prog_add_op(b, OP_ACT, ap.nsamples, act);
}

static int
add_action(struct conf *c, const struct expr_comp *comp, struct prog_builder *b,
	const struct conf_rule *r, uint32_t nword, const char *ruleset)
{
	struct act_parse ap = { .comp = comp, .prog = b, .word = r->word + 1, .nword = nword - 1 };

	if (sl_str_starts(r->word[0], SL_STR("lua."), false))
		return act_lua_parse(&ap, r->word[0]);
	return add_row(c, comp, b, r, nword, ruleset);
}

static int
add_rule(struct conf *c, const struct expr_comp *comp, struct prog_builder *b,
	const struct conf_rule *r, const char *ruleset)
{
	uint32_t at = cond_find(r->word, r->n, 1);
	int jump = -1;

	if (at < r->n) {
		if (add_cond(b, comp, r->word + at, r->n - at) < 0)
			return -EINVAL;
		jump = prog_add_op(b, OP_JF, 0, NULL);
		if (jump < 0)
			return jump;
	}
	if (add_action(c, comp, b, r, at, ruleset) < 0)
		return -EINVAL;
	if (jump >= 0)
		prog_patch(b, (uint32_t)jump);
	return 0;
}

/* Compiles for the messages only. */
static int
try_rule(struct conf *c, const struct conf_rule *r, const char *ruleset, enum eval_point point)
{
	struct expr_comp comp = conf_comp(c, c->px, &c->tmp, point);
	struct prog_builder *b;
	uint32_t errors = c->count->errors;
	char what[160];
	struct sl_buf text;

	comp.mode = EXPR_ANY; // the section may say it later
	b = prog_begin(&comp);
	if (b == NULL)
		return conf_nomem(c);
	sl_buf_init(&text, what, sizeof(what));
	sl_buf_printf(&text, "error detected while parsing '%s %.*s' rule", ruleset,
		SL_STR_ARG(r->word[0]));
	c->what = what;
	if (add_rule(c, &comp, b, r, ruleset) < 0 || prog_end(b) == NULL) {
		// silent only when memory ran out: then the load must not go on either
		if (c->count->errors == errors)
			conf_nomem(c);
	}
	c->what = "";
	return c->count->errors == errors ? 0 : -EINVAL;
}

int
rules_add(struct conf *c, struct conf_rules *rules, const char *ruleset, enum eval_point point,
	const struct sl_str *word, uint32_t n)
{
	struct conf_rule *r = arena_zalloc(&c->tmp, sizeof(*r));

	if (r == NULL)
		return conf_nomem(c);
	r->pos = c->pos;
	r->n = n;
	r->word = conf_words(c, word, n);
	if (r->word == NULL)
		return -ENOMEM;
	if (try_rule(c, r, ruleset, point) < 0)
		return -EINVAL;
	*rules->last = r;
	rules->last = &r->next;
	return 0;
}

int
rules_compile(struct conf *c, struct conf_px *px, const struct conf_rules *rules,
	const struct conf_rules *also, enum eval_point point, const struct prog **out)
{
	const char *ruleset = point == EVAL_HTTP_RES ? "http-response"
		: point == EVAL_HTTP_AFTER           ? "http-after-response"
		: point == EVAL_TCP_CONTENT          ? "tcp-request content"
		: point == EVAL_TCP_RES              ? "tcp-response content"
						     : "http-request";
	struct expr_comp comp = conf_comp(c, px, &c->mem, point);
	struct prog_builder *b;

	*out = NULL;
	if (rules->first == NULL && (also == NULL || also->first == NULL))
		return 0;
	b = prog_begin(&comp);
	if (b == NULL)
		return conf_nomem(c);
	for (const struct conf_rules *list = rules; list != NULL;
		list = list == rules ? also : NULL) {
		for (const struct conf_rule *r = list->first; r != NULL; r = r->next) {
			c->pos = r->pos;
			pat_set_place(c->m->pats, r->pos.file, r->pos.line);
			if (add_rule(c, &comp, b, r, ruleset) < 0)
				return -EINVAL;
		}
	}
	*out = prog_end(b);
	return *out == NULL ? conf_nomem(c) : 0;
}

int
cond_compile(struct conf *c, struct conf_px *px, struct arena *mem, const struct sl_str *word,
	uint32_t n, enum eval_point point, const struct prog **out)
{
	struct expr_comp comp = conf_comp(c, px, mem, point);
	uint32_t errors = c->count->errors;
	struct prog_builder *b;

	*out = NULL;
	if (n == 0)
		return 0;
	b = prog_begin(&comp);
	if (b == NULL)
		return conf_nomem(c);
	if (add_cond(b, &comp, word, n) == 0)
		*out = prog_end(b);
	if (*out == NULL && c->count->errors == errors)
		return conf_nomem(c);
	return *out == NULL ? -EINVAL : 0;
}

int
fmt_compile(struct conf *c, struct conf_px *px, struct arena *mem, struct sl_str text,
	enum eval_point point, const struct prog **out)
{
	struct expr_comp comp = conf_comp(c, px, mem, point);
	struct prog_builder *b = prog_begin(&comp);
	uint32_t errors = c->count->errors;

	*out = NULL;
	if (b == NULL)
		return conf_nomem(c);
	if (prog_add_fmt(b, text) == 0)
		*out = prog_end(b);
	if (*out == NULL && c->count->errors == errors)
		return conf_nomem(c);
	return *out == NULL ? -EINVAL : 0;
}
