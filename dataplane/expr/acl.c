// SPDX-License-Identifier: BSD-3-Clause
/*
 * Conditions and named ACLs. An ACL is compiled where it is declared, into instructions that are
 * copied inline to every condition that uses it.
 *
 * Runs on: the thread that loads a configuration.
 * Follows: HAProxy's manual 7.2 and 7.4 (predefined ACLs); its messages where they are known.
 * Not here: patterns (pattern.c).
 */
#include "dataplane/expr/expr_priv.h"

/* One line "acl NAME …". */
struct acl_line {
	struct acl_line *next;
	const struct prog_insn *code;
	uint32_t len;
	uint32_t points;
	struct sl_str culprit;
	const char *culprit_what;
};

struct acl {
	struct acl *next;
	struct sl_str name;
	struct acl_line *first, **last; // any of them matches
};

struct acl_scope {
	struct arena *mem;
	struct acl *head;
};

#define PRE(nm, nw, ...)                                     \
	{                                                    \
		.name = nm, .n = nw, .word = { __VA_ARGS__ } \
	}
static const struct predef {
	const char *name;
	uint32_t n;
	const char *word[3];
} predefs[] = {
	PRE("FALSE", 1, "always_false"),
	PRE("HTTP", 1, "req.proto_http"),
	PRE("HTTP_1.0", 2, "req.ver", "1.0"),
	PRE("HTTP_1.1", 2, "req.ver", "1.1"),
	PRE("HTTP_2.0", 2, "req.ver", "2.0"),
	PRE("HTTP_CONTENT", 3, "req.hdr_val(content-length)", "gt", "0"),
	PRE("HTTP_URL_ABS", 1, "internal.url_abs"),
	PRE("HTTP_URL_SLASH", 2, "url_beg", "/"),
	PRE("HTTP_URL_STAR", 2, "url", "*"),
	PRE("LOCALHOST", 3, "src", "127.0.0.1/8", "::1"),
	PRE("METH_CONNECT", 2, "method", "CONNECT"),
	PRE("METH_DELETE", 2, "method", "DELETE"),
	PRE("METH_GET", 3, "method", "GET", "HEAD"),
	PRE("METH_HEAD", 2, "method", "HEAD"),
	PRE("METH_OPTIONS", 2, "method", "OPTIONS"),
	PRE("METH_POST", 2, "method", "POST"),
	PRE("METH_PUT", 2, "method", "PUT"),
	PRE("METH_TRACE", 2, "method", "TRACE"),
	PRE("REQ_CONTENT", 3, "req.len", "gt", "0"),
	PRE("TRUE", 1, "always_true"),
	PRE("WAIT_END", 1, "wait_end"),
};

/* ---- one test: criterion, flags, patterns ---- */

static int
failed(struct prog_builder *b)
{
	b->failed = true;
	return -EINVAL;
}

static int
add_test(struct prog_builder *b, const struct sl_str *word, uint32_t n)
{
	const struct expr_comp *e = b->e;
	struct expr_info info;

	if (n == 0) {
		expr_error(e, SL_STR(""), "missing fetch method in ACL expression ''");
		return failed(b);
	}
	struct expr_lex lx = { .p = word[0].p, .end = word[0].p + word[0].len };
	if (expr_compile(b, &lx, true, &info) < 0)
		return failed(b);
	if (lx.p != lx.end) {
		expr_error(e, word[0], "expected ',' or a blank behind '%.*s', found '%.*s'",
			(int)(lx.p - word[0].p), word[0].p, (int)(lx.end - lx.p), lx.p);
		return failed(b);
	}
	struct pat_ctx ctx = { .who = word[0], .type = info.out, .match = info.match };
	const struct pat_list *l = pat_compile(e, &ctx, word + 1, n - 1);
	if (l == NULL || expr_want(b, word[0], info.out, pat_needs(l->m)) < 0 ||
		prog_add_op(b, OP_MATCH, 0, l) < 0)
		return failed(b);
	if (info.each && prog_add_op(b, OP_AGAIN, info.start, NULL) < 0)
		return failed(b);
	return 0;
}

/* ---- named ACLs ---- */

static struct acl *
find(const struct acl_scope *s, struct sl_str name)
{
	for (struct acl *a = s != NULL ? s->head : NULL; a != NULL; a = a->next) {
		if (sl_str_eq(a->name, name))
			return a;
	}
	return NULL;
}

/* Copies the instructions of a line; its one kind of jump goes backwards inside of it. */
static int
splice(struct prog_builder *b, const struct acl_line *l)
{
	uint32_t base = b->len;

	if (expr_check_point(b, l->points, l->culprit, l->culprit_what) < 0)
		return failed(b);
	for (uint32_t i = 0; i < l->len; i++) {
		const struct prog_insn *in = &l->code[i];
		uint32_t n = in->op == OP_AGAIN ? in->n + base : in->n;
		if (in->op == OP_FETCH &&
			expr_check_mode(b, ((const struct expr_fetch *)in->ptr)->row) < 0)
			return failed(b);
		if (prog_add_op(b, (enum prog_op)in->op, n, in->ptr) < 0)
			return -EINVAL;
	}
	return 0;
}

/* Jumps still to be patched to one place. */
#define MAX_JUMPS 64
struct jumps {
	uint32_t at[MAX_JUMPS];
	uint32_t n;
};

static int
jump(struct prog_builder *b, struct jumps *j, enum prog_op op)
{
	if (j->n == MAX_JUMPS) {
		expr_error(b->e, SL_STR(""), "condition too long: more than %d parts", MAX_JUMPS);
		return failed(b);
	}
	int at = prog_add_op(b, op, 0, NULL);
	if (at < 0)
		return at;
	j->at[j->n++] = (uint32_t)at;
	return 0;
}

static void
land(struct prog_builder *b, struct jumps *j)
{
	for (uint32_t i = 0; i < j->n; i++)
		prog_patch(b, j->at[i]);
	j->n = 0;
}

static int
add_named(struct prog_builder *b, const struct acl *a)
{
	struct jumps out = { .n = 0 };

	/* A list of any length: jump over the rest through the neighbour's jump. */
	for (const struct acl_line *l = a->first; l != NULL; l = l->next) {
		if (splice(b, l) < 0)
			return -EINVAL;
		if (l->next != NULL && out.n == MAX_JUMPS) {
			int over = prog_add_op(b, OP_JF, 0, NULL);
			if (over < 0)
				return over;
			land(b, &out);
			if (jump(b, &out, OP_JT) < 0)
				return -EINVAL;
			prog_patch(b, (uint32_t)over);
		} else if (l->next != NULL && jump(b, &out, OP_JT) < 0) {
			return -EINVAL;
		}
	}
	land(b, &out);
	return 0;
}

static int
add_by_name(struct prog_builder *b, struct sl_str name)
{
	const struct acl *a = find(b->e->acls, name);
	struct sl_str word[3];

	if (a != NULL)
		return add_named(b, a);
	for (size_t i = 0; i < SL_ARRAY_SIZE(predefs); i++) {
		if (!sl_str_eq(sl_str_c(predefs[i].name), name))
			continue;
		for (uint32_t k = 0; k < predefs[i].n; k++)
			word[k] = sl_str_c(predefs[i].word[k]);
		return add_test(b, word, predefs[i].n);
	}
	expr_error(b->e, name, "no such ACL : '%.*s'", SL_STR_ARG(name));
	return failed(b);
}

/* ---- conditions ---- */

/* Words of a condition being read. */
struct cond {
	struct prog_builder *b;
	const struct sl_str *word;
	uint32_t n, at;
};

static bool
is_or(struct sl_str w)
{
	return sl_str_eq(w, SL_STR("or")) || sl_str_eq(w, SL_STR("||"));
}

/* Strips "!" from the front of words; false at the end of the words. */
static bool
read_not(struct cond *c, struct sl_str *w, bool *neg)
{
	*neg = false;
	while (c->at < c->n) {
		*w = c->word[c->at++];
		while (w->len != 0 && w->p[0] == '!') {
			*neg = !*neg;
			w->p++;
			w->len--;
		}
		if (w->len != 0)
			return true;
	}
	return false;
}

/* Does what was added since look at bytes for which rules may wait? */
static bool
may_wait(const struct prog_builder *b, uint32_t from)
{
	if (b->e->point != EVAL_TCP_CONTENT && b->e->point != EVAL_TCP_RES)
		return false;
	for (uint32_t i = from; i < b->len; i++) {
		const struct expr_fetch *f = b->code[i].ptr;

		if (b->code[i].op == OP_FETCH && f->row->waits)
			return true;
	}
	return false;
}

/* Behind a part of a condition. */
static int
end_term(struct prog_builder *b, uint32_t from, bool neg)
{
	int at = 0;

	if (may_wait(b, from))
		at = prog_add_op(b, OP_TERM, neg, NULL);
	else if (neg)
		at = prog_add_op(b, OP_NOT, 0, NULL);
	return at < 0 ? -EINVAL : 0;
}

static int
add_term(struct cond *c)
{
	struct prog_builder *b = c->b;
	uint32_t from = b->len;
	struct sl_str w;
	bool neg;
	int rc;

	if (!read_not(c, &w, &neg) || is_or(w)) {
		expr_error(b->e, SL_STR("!"), "missing ACL behind '!' in condition");
		return failed(b);
	}
	if (sl_str_eq(w, SL_STR("{"))) {
		uint32_t first = c->at;
		while (c->at < c->n && !sl_str_eq(c->word[c->at], SL_STR("}")))
			c->at++;
		if (c->at == c->n) {
			expr_error(b->e, w, "missing closing '}' in condition");
			return failed(b);
		}
		rc = add_test(b, c->word + first, c->at - first);
		c->at++;
	} else {
		rc = add_by_name(b, w);
	}
	return rc == 0 ? end_term(b, from, neg) : rc;
}

/*
 * a b or c:  a; JF next; b; next: JT end; c; end:
 * At `next` the flag is that of the term which failed, or of the last.
 */
static int
add_or_list(struct cond *c)
{
	struct jumps next = { .n = 0 }, end = { .n = 0 };
	bool first = true; // of this alternative
	bool any = false;

	while (c->at < c->n) {
		if (is_or(c->word[c->at])) {
			c->at++;
			first = true; // HAProxy takes a stray "or" for nothing
			continue;
		}
		if (first && any) {
			land(c->b, &next);
			if (jump(c->b, &end, OP_JT) < 0)
				return -EINVAL;
		} else if (!first && jump(c->b, &next, OP_JF) < 0) {
			return -EINVAL;
		}
		if (add_term(c) < 0)
			return -EINVAL;
		first = false;
		any = true;
	}
	land(c->b, &next);
	land(c->b, &end);
	if (!any) {
		expr_error(c->b->e, SL_STR(""), "missing condition: an ACL or '{ … }' is expected");
		return failed(c->b);
	}
	return 0;
}

int
prog_add_cond(struct prog_builder *b, const struct sl_str *word, uint32_t n, bool unless)
{
	struct cond c = { .b = b, .word = word, .n = n };
	uint32_t from = b->len;

	if (b->failed || add_or_list(&c) < 0)
		return -EINVAL;
	if (may_wait(b, from) && prog_add_op(b, OP_WAIT, 0, NULL) < 0)
		return -EINVAL;
	if (unless && prog_add_op(b, OP_NOT, 0, NULL) < 0)
		return -EINVAL;
	return 0;
}

struct acl_scope *
acl_scope_new(struct arena *mem)
{
	struct acl_scope *s = arena_zalloc(mem, sizeof(*s));

	if (s != NULL)
		s->mem = mem;
	return s;
}

static int
check_name(const struct expr_comp *e, struct sl_str name)
{
	if (name.len == 0)
		return expr_error(e, name, "missing ACL name");
	if (is_or(name))
		return expr_error(e, name, "'or' cannot name an ACL: it is an operator");
	for (uint32_t i = 0; i < name.len; i++) {
		char c = name.p[i], l = sl_lower(c);
		if ((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
			c == '.' || c == ':')
			continue;
		return expr_error(e, name, "character '%c' is not permitted in ACL name '%.*s'", c,
			SL_STR_ARG(name));
	}
	return 0;
}

static struct acl *
get_or_add(struct acl_scope *s, struct sl_str name)
{
	struct acl *a = find(s, name);

	if (a != NULL)
		return a;
	a = arena_zalloc(s->mem, sizeof(*a));
	if (a == NULL)
		return NULL;
	a->name = arena_str(s->mem, name);
	if (a->name.p == NULL)
		return NULL;
	a->last = &a->first;
	a->next = s->head;
	s->head = a;
	return a;
}

int
acl_add(struct acl_scope *s, const struct expr_comp *e, struct sl_str name,
	const struct sl_str *word, uint32_t n)
{
	struct expr_comp here = *e;

	if (check_name(e, name) < 0)
		return -EINVAL;
	here.point = EVAL_NONE; // where it may be used is known when it is
	struct prog_builder *b = prog_begin(&here);
	if (b == NULL)
		return expr_nomem(e);
	if (add_test(b, word, n) < 0)
		return -EINVAL;
	struct acl_line *l = arena_zalloc(s->mem, sizeof(*l));
	struct acl *a = get_or_add(s, name);
	if (l == NULL || a == NULL)
		return expr_nomem(e);
	l->code = b->code;
	l->len = b->len;
	l->points = b->points;
	l->culprit = b->culprit;
	l->culprit_what = b->culprit_what;
	*a->last = l;
	a->last = &l->next;
	return 0;
}
