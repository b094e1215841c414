// SPDX-License-Identifier: BSD-3-Clause
/*
 * Formats: text with %[expression], as values of rules have them.
 *
 * Runs on: the thread that loads a configuration.
 * Follows: HAProxy's manual 8.2.6 as far as %% and %[…]; a '%' at the end is dropped as there.
 * Not here: log variables such as %ci and flags in %{}, which are refused by name.
 */
#include "dataplane/expr/expr_priv.h"

/* A format being compiled: how many samples wait to be joined, and which are literal. */
struct fmt {
	struct prog_builder *b;
	uint32_t n;
	uintptr_t literal;
};

static int
fmt_join(struct fmt *f)
{
	if (prog_add_op(f->b, OP_CONCAT, f->n, (const void *)f->literal) < 0)
		return -EINVAL;
	f->n = 1;
	f->literal = 1; // what was joined is encoded already
	return 0;
}

static int
fmt_pushed(struct fmt *f, bool literal)
{
	f->literal |= (uintptr_t)literal << f->n;
	f->n++;
	return f->n == FMT_GROUP ? fmt_join(f) : 0;
}

static int
fmt_text(struct fmt *f, struct sl_str t)
{
	struct sample s = { .type = T_STR, .s = t };

	if (t.len == 0)
		return 0;
	if (expr_literal(f->b, &s) < 0) {
		f->b->failed = true;
		return -EINVAL;
	}
	return fmt_pushed(f, true);
}

static int
fmt_error(struct fmt *f, struct sl_str word, const char *why)
{
	f->b->failed = true;
	return expr_error(f->b->e, word, "'%.*s': %s", SL_STR_ARG(word), why);
}

static int
fmt_alias(struct fmt *f, struct expr_lex *lx)
{
	const char *p = lx->p - 1; // the '%'
	const char *q = lx->p;

	if (*q == '{')
		return fmt_error(f, sl_str_make(p, (size_t)sl_min(lx->end - p, 20)),
			"flags in %{} are not supported yet in this place");
	while (q < lx->end && ((*q >= 'a' && *q <= 'z') || (*q >= 'A' && *q <= 'Z')))
		q++;
	if (q == lx->p)
		return fmt_error(f, sl_str_make(p, 2), "expected '%%' or '%[' here");
	return fmt_error(f, sl_str_make(p, (size_t)(q - p)),
		"log variables are not supported yet in this place");
}

static int
one_expr(struct prog_builder *b, struct expr_lex *lx, char end, struct sl_str *text,
	struct expr_info *info)
{
	const char *start = lx->p;

	if (expr_compile(b, lx, false, info) < 0)
		return -EINVAL;
	*text = sl_str_make(start, (size_t)(lx->p - start));
	if (lx->p < lx->end && *lx->p == end)
		return 0;
	b->failed = true;
	return expr_error(b->e, *text, "expected '%c' after '%.*s'%s%.*s%s", end, SL_STR_ARG(*text),
		lx->p == lx->end ? "" : ", but found '", lx->p == lx->end ? 0 : 1, lx->p,
		lx->p == lx->end ? "" : "'");
}

/* Behind "%[". */
static int
fmt_expr(struct fmt *f, struct expr_lex *lx)
{
	struct expr_info info;
	struct sl_str text;

	if (one_expr(f->b, lx, ']', &text, &info) < 0)
		return -EINVAL;
	lx->p++;
	if (!sample_can_cast(info.out, T_STR))
		return expr_want(f->b, text, info.out, T_STR);
	return fmt_pushed(f, false);
}

int
prog_add_value(struct prog_builder *b, struct sl_str source, char end, enum sample_type want)
{
	struct expr_lex lx = { .p = source.p, .end = source.p + source.len };
	struct expr_info info;
	struct sl_str text;

	if (b->failed || one_expr(b, &lx, end, &text, &info) < 0 ||
		expr_want(b, text, info.out, want) < 0)
		return -EINVAL;
	return (int)text.len;
}

int
prog_add_fmt(struct prog_builder *b, struct sl_str text)
{
	struct expr_lex lx = { .p = text.p, .end = text.p + text.len };
	struct fmt f = { .b = b };
	char *lit, *to;

	if (b->failed)
		return -EINVAL;
	/* Literals shrink only: "%%" is one byte. */
	lit = to = arena_alloc(b->e->mem, (size_t)text.len + 1);
	if (lit == NULL) {
		b->failed = true;
		return expr_nomem(b->e);
	}
	while (lx.p < lx.end) {
		char c = *lx.p++;
		if (c != '%') {
			*to++ = c;
		} else if (lx.p == lx.end) {
			break; // HAProxy drops a '%' at the end
		} else if (*lx.p == '%') {
			*to++ = *lx.p++;
		} else if (*lx.p == '[') {
			lx.p++;
			if (fmt_text(&f, sl_str_make(lit, (size_t)(to - lit))) < 0 ||
				fmt_expr(&f, &lx) < 0)
				return -EINVAL;
			lit = to;
		} else {
			return fmt_alias(&f, &lx);
		}
	}
	if (fmt_text(&f, sl_str_make(lit, (size_t)(to - lit))) < 0)
		return -EINVAL;
	if (f.n == 0) {
		struct sample none = { .type = T_STR, .s = SL_STR("") };
		return expr_literal(b, &none) < 0 ? (b->failed = true, -EINVAL) : 0;
	}
	if (f.n == 1 && f.literal == 1)
		return 0;
	return fmt_join(&f);
}
