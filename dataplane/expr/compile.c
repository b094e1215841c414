// SPDX-License-Identifier: BSD-3-Clause
/*
 * From text to instructions: "fetch(args),conv(args),…".
 *
 * Runs on: the thread that loads a configuration.
 * Follows: HAProxy's syntax, where no blank may stand around names and commas.
 * Not here: formats (format.c), conditions (acl.c), argument types (arg.c).
 */
#include "dataplane/expr/expr_priv.h"

/* The state of one expression being compiled. */
struct piece {
	struct prog_builder *b;
	struct expr_lex *lx;
	const char *start;  // of the whole expression
	struct sl_str name; // of this fetch or converter
	const char *what;   // "fetch method" or "converter"
	struct sl_str text[EXPR_MAX_ARGS];
	uint32_t ntext;
};

static struct sl_str
whole(const struct piece *p)
{
	return sl_str_make(p->start, (size_t)(p->lx->p - p->start));
}

static bool
is_name_byte(char c)
{
	return c != '(' && c != ')' && c != ',' && c != ']' && c != ' ' && c != '\t';
}

static struct sl_str
lex_name(struct expr_lex *lx)
{
	const char *p = lx->p;

	while (lx->p < lx->end && is_name_byte(*lx->p))
		lx->p++;
	return sl_str_make(p, (size_t)(lx->p - p));
}

static int
unknown(const struct piece *p, const struct registry *reg)
{
	const struct expr_comp *e = p->b->e;
	const void *near = registry_nearest(reg, p->name);
	const char *why = e->diag->absent == NULL
		? NULL
		: e->diag->absent(e->diag->ctx, reg == expr_fetches() ? 'f' : 'c', p->name);

	if (why != NULL)
		return expr_error(e, p->name, "not supported yet by sluice: %s '%.*s': %s", p->what,
			SL_STR_ARG(p->name), why);

	/* Every row type starts with its name. A guess that shares less than half helps nobody. */
	const char *guess = near != NULL ? *(const char *const *)near : NULL;
	if (guess == NULL || registry_distance(p->name, sl_str_c(guess), 9) * 2 >= p->name.len)
		return expr_error(e, p->name, "unknown %s '%.*s'", p->what, SL_STR_ARG(p->name));
	return expr_error(e, p->name, "unknown %s '%.*s' (did you mean '%s'?)", p->what,
		SL_STR_ARG(p->name), guess);
}

int
expr_declare(const struct expr_comp *e, enum var_scope scope, struct sl_str name)
{
	if (scope != VAR_PROC || e->procs == NULL || proc_var_declare(e->procs, name) == 0)
		return 0;
	return expr_error(e, name,
		"no room for variable 'proc.%.*s': there are at most %u, and a name has at most "
		"%u bytes",
		SL_STR_ARG(name), PROC_VARS_NAMES, PROC_VAR_NAME);
}

/* Texts to a freshly allocated row + arguments; both kinds start with the row's pointer. */
static void *
with_args(const struct piece *p, const void *row, const struct arg_spec *spec,
	const char *(*check)(const struct arg *args))
{
	const struct expr_comp *e = p->b->e;
	struct arg all[EXPR_MAX_ARGS + 1];
	char mem[300];
	struct sl_buf why;
	uint32_t n = 0;

	sl_buf_init(&why, mem, sizeof(mem));
	int rc = expr_args_convert(spec, p->text, p->ntext, e->mem, all, &why);
	if (rc == -ENOMEM) {
		expr_nomem(e);
		return NULL;
	}
	if (rc < 0) {
		expr_error(e, p->name, "%s '%.*s': %s", p->what, SL_STR_ARG(p->name), mem);
		return NULL;
	}
	const char *wrong = check != NULL ? check(all) : NULL;
	if (wrong != NULL) {
		expr_error(e, p->name, "%s '%.*s': %s", p->what, SL_STR_ARG(p->name), wrong);
		return NULL;
	}
	while (n < EXPR_MAX_ARGS && spec->type[n] != ARG_END) {
		if (all[n].type == ARG_VAR && expr_declare(e, all[n].scope, all[n].s) < 0)
			return NULL;
		n++;
	}
	static_assert(offsetof(struct expr_fetch, args) == offsetof(struct expr_conv, args),
		"allocated alike");
	struct expr_fetch *f = arena_alloc(e->mem, sizeof(*f) + (n + 1) * sizeof(all[0]));
	if (f == NULL) {
		expr_nomem(e);
		return NULL;
	}
	f->row = row;
	memcpy(f->args, all, (n + 1) * sizeof(all[0]));
	return f;
}

int
expr_want(struct prog_builder *b, struct sl_str text, enum sample_type have, enum sample_type want)
{
	if (want == T_ANY || have == want)
		return 0;
	if (!sample_can_cast(have, want)) {
		b->failed = true;
		return expr_error(b->e, text, "'%.*s' gives type %s, which cannot become %s",
			SL_STR_ARG(text), sample_type_name(have), sample_type_name(want));
	}
	return prog_add_op(b, OP_CAST, (uint32_t)want, NULL) < 0 ? -EINVAL : 0;
}

/* ---- external functions: lua.NAME ---- */

static const char *const point_names[EVAL_NR] = {
	[EVAL_NONE] = "this place",
	[EVAL_CONF] = "the global section and the runtime API",
	[EVAL_TCP_CONN] = "tcp-request connection rules",
	[EVAL_TCP_CONTENT] = "tcp-request content rules",
	[EVAL_TCP_RES] = "tcp-response content rules",
	[EVAL_HTTP_REQ] = "http-request rules",
	[EVAL_BE_SWITCH] = "use_backend rules",
	[EVAL_HTTP_RES] = "http-response rules",
	[EVAL_HTTP_AFTER] = "http-after-response rules",
	[EVAL_LOG] = "log formats",
};

int
expr_check_point(struct prog_builder *b, uint32_t points, struct sl_str name, const char *what)
{
	const struct expr_comp *e = b->e;

	if (e->mode != EXPR_TCP && e->point == EVAL_TCP_CONTENT && (points & EVAL_BIT(EVAL_HTTP_REQ)) != 0)
		return 0;
	if (e->mode != EXPR_TCP && e->point == EVAL_TCP_RES && (points & EVAL_BIT(EVAL_HTTP_RES)) != 0)
		return 0;
	if (e->point == EVAL_NONE) {
		if ((b->points & points) != b->points) {
			b->culprit = name;
			b->culprit_what = what;
		}
		b->points &= points;
		return 0;
	}
	if (points >> e->point & 1)
		return 0;
	return expr_error(e, name, "%s '%.*s' cannot be used in %s%s", what, SL_STR_ARG(name),
		point_names[e->point],
		points & ~EVAL_RES_LOG || (points & EVAL_ANY_RES) == 0
			? ""
			: ": there is no response yet");
}

int
expr_check_mode(struct prog_builder *b, const struct fetch_row *row)
{
	if (!row->bytes || b->e->mode != EXPR_HTTP || b->e->point == EVAL_NONE)
		return 0;
	return expr_error(b->e, sl_str_c(row->name),
		"fetch method '%s' reads the bytes of mode tcp: in mode http there are messages", row->name);
}

/*
 * 1: compiled; 0: no such function; or an error. What comes back has a type at run time only, and
 * is matched as a string unless -m says otherwise (HAProxy declares Lua's samples as strings).
 */
static int
compile_call(const struct piece *p, char kind, struct expr_info *out)
{
	const struct expr_comp *e = p->b->e;
	uint32_t points = 0;

	if (e->ext == NULL || e->ext->lookup == NULL)
		return 0;
	int fn = e->ext->lookup(e->ext->ctx, kind, p->name, &points);
	if (fn < 0)
		return 0;
	if (expr_check_point(p->b, points, p->name, p->what) < 0)
		return -EINVAL;
	if (kind == 'c' && expr_want(p->b, p->name, out->out, T_STR) < 0)
		return -EINVAL;
	struct prog_call *c = arena_zalloc(e->mem, sizeof(*c));
	if (c == NULL)
		return expr_nomem(e);
	c->fn = (uint16_t)fn;
	c->kind = (uint8_t)kind;
	if (p->ntext != 1 || p->text[0].len != 0) // "lua.x()" has no argument
		c->nargs = (uint8_t)p->ntext;
	for (uint32_t i = 0; i < c->nargs; i++)
		c->args[i] = p->text[i];
	out->out = T_ANY;
	out->match = "str";
	return prog_add_op(p->b, OP_CALL, (uint32_t)fn, c) < 0 ? -EINVAL : 1;
}

/* ---- one fetch, one converter ---- */

int
expr_literal(struct prog_builder *b, const struct sample *s)
{
	struct sample *lit = arena_alloc(b->e->mem, sizeof(*lit));

	if (lit == NULL)
		return expr_nomem(b->e);
	*lit = *s;
	return prog_add_op(b, OP_LIT, 0, lit) < 0 ? -EINVAL : 0;
}

/* Rows that depend on their arguments alone are evaluated here: env() costs nothing per request. */
static int
add_constant(struct prog_builder *b, const struct expr_fetch *f)
{
	struct arena *mem = b->e->mem;
	struct sample s = { .type = T_ANY };

	mem->failed = false;
	if (!f->row->fn(NULL, f->args, &s, mem, f->row->priv))
		s.type = T_ANY;
	if (mem->failed)
		return expr_nomem(b->e);
	return expr_literal(b, &s);
}

static int
compile_fetch(struct piece *p, bool cond, struct expr_info *out)
{
	struct prog_builder *b = p->b;

	p->what = "fetch method";
	p->name = lex_name(p->lx);
	if (p->name.len == 0)
		return expr_error(b->e, whole(p), "missing fetch method");
	out->start = b->len;
	int rc = arg_lex(b->e, p->lx, p->name, p->what, p->text, &p->ntext);
	if (rc < 0)
		return rc;
	const struct fetch_row *row = registry_find(expr_fetches(), p->name);
	if (row == NULL) {
		rc = compile_call(p, 'f', out);
		return rc != 0 ? sl_min(rc, 0) : unknown(p, expr_fetches());
	}
	if (row->match != NULL && !cond)
		return expr_error(b->e, p->name,
			"'%s' exists in conditions only: it carries the match method '%s'",
			row->name, row->match);
	if (expr_check_point(b, row->points, p->name, p->what) < 0 || expr_check_mode(b, row) < 0)
		return -EINVAL;
	const struct expr_fetch *f = with_args(p, row, &row->args, row->check);
	if (f == NULL)
		return -EINVAL;
	out->out = row->out;
	out->match = row->match;
	if (row->constant)
		return add_constant(b, f);
	out->each = cond && row->each != NULL;
	return prog_add_op(b, out->each ? OP_EACH : OP_FETCH, 0, f) < 0 ? -EINVAL : 0;
}

/* The file that a map converter names, for its way of matching. */
static int
open_map(const struct piece *p, const struct conv_row *row, struct expr_conv *c)
{
	const struct expr_comp *e = p->b->e;
	struct pat_file *f;
	struct pat_how how;
	char text[400];
	struct sl_buf why;
	int rc = -EINVAL;

	sl_buf_init(&why, text, sizeof(text));
	pat_how_of(row->priv, &how);
	if (e->pats == NULL)
		sl_buf_addc(&why, "files cannot be read here");
	else
		rc = pat_file_open(e->pats, c->args[0].s, true, &f, &why);
	if (rc == 0)
		rc = pat_file_view(f, &how, &c->args[0].map, &why);
	if (rc == -ENOMEM)
		return expr_nomem(e);
	return rc < 0 ? expr_error(e, p->name, "invalid args in converter '%s' : %s", row->name, text)
		      : 0;
}

static int
compile_conv(struct piece *p, struct expr_info *out)
{
	struct prog_builder *b = p->b;

	p->what = "converter";
	p->name = lex_name(p->lx);
	if (p->name.len == 0)
		return expr_error(b->e, whole(p), "missing converter behind ','");
	int rc = arg_lex(b->e, p->lx, p->name, p->what, p->text, &p->ntext);
	if (rc < 0)
		return rc;
	const struct conv_row *row = registry_find(expr_convs(), p->name);
	out->match = NULL; // what counts now is the type
	if (row == NULL) {
		rc = compile_call(p, 'c', out);
		return rc != 0 ? sl_min(rc, 0) : unknown(p, expr_convs());
	}
	struct expr_conv *c = with_args(p, row, &row->args, row->check);
	if (c == NULL || (row->args.type[0] == ARG_MAP && open_map(p, row, c) < 0))
		return -EINVAL;
	if (row->in != T_ANY && !sample_can_cast(out->out, row->in))
		return expr_error(b->e, p->name,
			"converter '%s' cannot be applied: it takes type %s, but gets %s",
			row->name, sample_type_name(row->in), sample_type_name(out->out));
	if (row->in != T_ANY && row->in != out->out &&
		prog_add_op(b, OP_CAST, (uint32_t)row->in, NULL) < 0)
		return -EINVAL;
	if (row->out != T_ANY || row->in != T_ANY)
		out->out = row->out;
	return prog_add_op(b, OP_CONV, 0, c) < 0 ? -EINVAL : 0;
}

int
expr_compile(struct prog_builder *b, struct expr_lex *lx, bool cond, struct expr_info *out)
{
	struct piece p = { .b = b, .lx = lx, .start = lx->p };
	int rc;

	*out = (struct expr_info){ .out = T_ANY };
	rc = compile_fetch(&p, cond, out);
	while (rc == 0 && lx->p < lx->end && *lx->p == ',') {
		lx->p++;
		rc = compile_conv(&p, out);
	}
	if (rc < 0)
		b->failed = true;
	return rc;
}

int
prog_add_expr(struct prog_builder *b, struct sl_str text, enum sample_type want)
{
	struct expr_lex lx = { .p = text.p, .end = text.p + text.len };
	struct expr_info info;

	if (b->failed)
		return -EINVAL;
	if (expr_compile(b, &lx, false, &info) < 0)
		return -EINVAL;
	if (lx.p != lx.end) {
		b->failed = true;
		return expr_error(b->e, text, "expected ',' or the end behind '%.*s', found '%.*s'",
			(int)(lx.p - text.p), text.p, (int)(lx.end - lx.p), lx.p);
	}
	return expr_want(b, text, info.out, want);
}
