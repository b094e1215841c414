// SPDX-License-Identifier: BSD-3-Clause
/*
 * Converters on strings: case, length, parts, joining.
 *
 * Runs on: workers and script threads. Parts are views into the input; what must be made new comes
 * from the caller's arena.
 * Follows: HAProxy's manual 7.3.1; field() without such a field gives nothing, word() without such
 * a word gives the empty string.
 * Not here: regsub, json and the like.
 */
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

static char *
copy_text(struct sample *s, struct arena *mem)
{
	char *p = arena_alloc(mem, s->s.len);

	if (p != NULL && s->s.len != 0)
		memcpy(p, s->s.p, s->s.len);
	return p;
}

static bool
conv_case(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem, uintptr_t upper)
{
	char *p = copy_text(s, mem);
	char first = upper ? 'a' : 'A';

	if (p == NULL)
		return false;
	for (uint32_t i = 0; i < s->s.len; i++) {
		if (p[i] >= first && p[i] <= first + 25)
			p[i] ^= 0x20;
	}
	s->s.p = p;
	return true;
}

static bool
conv_length(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	int64_t len = s->s.len;

	s->type = T_SINT;
	s->i = len;
	return true;
}

/* ---- fields and words ---- */

static bool
is_in(struct sl_str set, char c)
{
	return set.len != 0 && memchr(set.p, c, set.len) != NULL;
}

/*
 * Cuts one piece off the front (or the back) of *rest: up to a delimiter, which goes away too.
 * False behind the last one.
 */
static bool
next_piece(struct sl_str *rest, struct sl_str delims, bool back, struct sl_str *out)
{
	struct sl_str r = *rest;
	uint32_t i = 0;

	if (r.p == NULL)
		return false;
	while (i < r.len && !is_in(delims, back ? r.p[r.len - 1 - i] : r.p[i]))
		i++;
	*out = back ? sl_str_make(r.p + r.len - i, i) : sl_str_make(r.p, i);
	if (i == r.len)
		*rest = SL_STR_NULL;
	else
		*rest = sl_str_make(back ? r.p : r.p + i + 1, r.len - i - 1);
	return true;
}

/* Pieces from the n-th (1: first, -1: last); empty ones count only if `empty`. */
static bool
pieces(struct sl_str text, const struct arg *args, bool empty, struct sl_str *out)
{
	bool back = args[0].i < 0;
	uint64_t skip = back ? 0 - (uint64_t)args[0].i : (uint64_t)args[0].i;
	uint64_t count = args[2].type == ARG_END ? 1 : (uint64_t)args[2].i;
	const char *from = NULL, *to = NULL;
	struct sl_str rest = text, p;
	uint64_t seen = 0, got = 0;

	while ((count == 0 || got < count) && next_piece(&rest, args[1].s, back, &p)) {
		if ((p.len == 0 && !empty) || ++seen < skip)
			continue;
		got++;
		if (from == NULL || back)
			from = p.p;
		if (to == NULL || !back)
			to = p.p + p.len;
	}
	if (got == 0)
		return false;
	/* All that remains, or all there was: outer delimiters stay (HAProxy's word()). */
	if (!empty && (count == 0 || got < count)) {
		if (back)
			from = text.p;
		else
			to = text.p + text.len;
	}
	*out = sl_str_make(from, (size_t)(to - from));
	return true;
}

static bool
conv_field(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args,
	struct arena *mem sl_unused, uintptr_t words)
{
	if (pieces(s->s, args, !words, &s->s))
		return true;
	s->s.len = 0;
	return words;
}

static const char *
check_field(const struct arg *args)
{
	if (args[0].i == 0)
		return "unexpected value 0 for index: the first is 1, the last is -1";
	return args[2].type == ARG_SINT && args[2].i < 0 ? "a negative count" : NULL;
}

/* ---- the rest ---- */

static bool
conv_bytes(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	uint64_t off = args[0].i < 0 ? UINT64_MAX : (uint64_t)args[0].i;

	if (off >= s->s.len) {
		s->s.len = 0;
		return true;
	}
	s->s.p += off;
	s->s.len -= (uint32_t)off;
	if (args[1].type == ARG_SINT && (uint64_t)args[1].i < s->s.len)
		s->s.len = (uint32_t)args[1].i; // a negative length is "the rest" too
	return true;
}

static bool
conv_concat(const struct txn_view *v, struct sample *s, const struct arg *args, struct arena *mem,
	uintptr_t priv sl_unused)
{
	struct sample var = { .type = T_STR, .s = SL_STR("") };
	struct sl_str first = args[0].type == ARG_STR ? args[0].s : SL_STR("");
	struct sl_str last = args[2].type == ARG_STR ? args[2].s : SL_STR("");
	struct sl_buf b;

	if (args[1].type == ARG_VAR && v != NULL &&
		var_read(v->vars, args[1].scope, args[1].s, &var, mem) &&
		!sample_cast(&var, T_STR, mem))
		return false;
	size_t size = (size_t)s->s.len + first.len + var.s.len + last.len + 1;
	char *p = size < UINT32_MAX ? arena_alloc(mem, size) : NULL;
	if (p == NULL)
		return false;
	sl_buf_init(&b, p, (uint32_t)size);
	sl_buf_add(&b, s->s);
	sl_buf_add(&b, first);
	sl_buf_add(&b, var.s);
	sl_buf_add(&b, last);
	s->s = sl_buf_str(&b);
	return true;
}

static bool
conv_trim(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args,
	struct arena *mem sl_unused, uintptr_t right)
{
	struct sl_str *t = &s->s;

	while (t->len != 0 && is_in(args[0].s, right ? t->p[t->len - 1] : t->p[0])) {
		t->p += !right;
		t->len--;
	}
	return true;
}

static bool
conv_strcmp(const struct txn_view *v, struct sample *s, const struct arg *args, struct arena *mem,
	uintptr_t priv sl_unused)
{
	struct sample var;

	if (v == NULL || !var_read(v->vars, args[0].scope, args[0].s, &var, mem) ||
		!sample_cast(&var, T_STR, mem))
		return false;
	int64_t d = sl_str_cmp(s->s, var.s);
	s->type = T_SINT;
	s->i = d;
	return true;
}

// clang-format off
SL_CONVERTERS(
	{ "lower",  conv_case,   SL_NOARGS, T_STR, T_STR, WHERE_PURE, "to lower case", 0 },
	{ "upper",  conv_case,   SL_NOARGS, T_STR, T_STR, WHERE_PURE, "to upper case", 1 },
	{ "length", conv_length, SL_NOARGS, T_STR, T_SINT, WHERE_PURE, "number of bytes" },
	{ "field",  conv_field,  SL_ARGS(2, ARG_SINT, ARG_STR, ARG_SINT), T_STR, T_STR, WHERE_PURE,
		"fields from the n-th on, between delimiters", 0, check_field },
	{ "word",   conv_field,  SL_ARGS(2, ARG_SINT, ARG_STR, ARG_SINT), T_STR, T_STR, WHERE_PURE,
		"words from the n-th on; empty ones do not count", 1, check_field },
	{ "bytes",  conv_bytes,  SL_ARGS(1, ARG_SINT, ARG_SINT), T_BIN, T_BIN, WHERE_PURE,
		"bytes from an offset on, up to a length" },
	{ "concat", conv_concat, SL_ARGS(0, ARG_STR, ARG_VAR, ARG_STR), T_STR, T_STR, WHERE_PURE,
		"appends a string, a variable and a string" },
	{ "ltrim",  conv_trim,   SL_ARGS(1, ARG_STR), T_STR, T_STR, WHERE_PURE,
		"without leading bytes of a set", 0 },
	{ "rtrim",  conv_trim,   SL_ARGS(1, ARG_STR), T_STR, T_STR, WHERE_PURE,
		"without trailing bytes of a set", 1 },
	{ "strcmp", conv_strcmp, SL_ARGS(1, ARG_VAR), T_STR, T_SINT, WHERE_PURE,
		"order relative to a variable" },
);
// clang-format on
