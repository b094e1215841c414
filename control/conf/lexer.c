// SPDX-License-Identifier: BSD-3-Clause
/*
 * One line of configuration -> words.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 2.2 and 2.3, and its behaviour
 * where the manual is silent or wrong: an unknown escape keeps its backslash (so does that of a tab),
 * "\$" is an escape inside double quotes only, a carriage return right behind a word or inside
 * quotes ends the line, there is no continuation of lines.
 * Not here: what the words mean (parser.c).
 */
#include "control/conf/conf_priv.h"

#include <stdio.h>
#include <stdlib.h>

/* A growing word. Big enough for any line without variables; variables make it grow. */
struct out {
	struct arena *mem;
	char *p;
	uint32_t len, size;
	bool open; // a word has begun (an empty pair of quotes is one)
	bool failed;
};

struct lexer {
	const struct lex_in *in;
	struct lex_err *err;
	struct sl_str *word;
	uint32_t n, max;
	struct out out;
	bool toomany;
};

static void
put(struct out *o, char ch)
{
	o->open = true;
	if (o->len + 1 >= o->size) {
		uint32_t size = o->size == 0 ? 64 : o->size * 2;
		char *p = arena_alloc(o->mem, size);

		if (p == NULL) {
			o->failed = true;
			return;
		}
		if (o->len > 0)
			memcpy(p, o->p, o->len);
		o->p = p;
		o->size = size;
	}
	o->p[o->len++] = ch;
}

static void
word_end(struct lexer *lx)
{
	struct out *o = &lx->out;

	if (!o->open || o->failed)
		return;
	if (lx->n == lx->max) {
		lx->toomany = true;
		lx->err->word = sl_str_make(o->p, o->len);
		return;
	}
	if (o->p == NULL) { // an empty pair of quotes
		lx->word[lx->n++] = SL_STR("");
	} else {
		o->p[o->len] = '\0';
		lx->word[lx->n++] = sl_str_make(o->p, o->len);
	}
	*o = (struct out){ .mem = o->mem };
}

static int
fail(struct lexer *lx, const char *what, uint32_t at)
{
	*lx->err = (struct lex_err){ .what = what, .at = at };
	return -EINVAL;
}

/* Behind the backslash at `at`; returns the bytes consumed after it. */
static int
escape(struct lexer *lx, uint32_t at, bool quoted)
{
	struct sl_str s = lx->in->line;
	char ch = at + 1 < s.len ? s.p[at + 1] : '\0';
	int hi, lo;

	switch (ch) {
	case ' ':
	case '#':
	case '\\':
	case '\'':
	case '"':
		put(&lx->out, ch);
		return 1;
	case 'n':
		put(&lx->out, '\n');
		return 1;
	case 'r':
		put(&lx->out, '\r');
		return 1;
	case 't':
		put(&lx->out, '\t');
		return 1;
	case 'x':
		hi = at + 2 < s.len ? sl_hex_value(s.p[at + 2]) : -1;
		lo = at + 3 < s.len ? sl_hex_value(s.p[at + 3]) : -1;
		if (hi < 0 || lo < 0)
			return fail(lx, "truncated or invalid hexadecimal sequence", at);
		put(&lx->out, (char)(hi * 16 + lo));
		return 3;
	case '$':
		if (quoted) {
			put(&lx->out, '$');
			return 1;
		}
		break;
	default:
		break;
	}
	put(&lx->out, '\\');
	return 0;
}

static bool
is_name_char(char ch, bool pseudo)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
		ch == '_' || (pseudo && ch == '.');
}

/* The value, or NULL. buf: room for the number of a line. */
static const char *
variable(const struct lexer *lx, struct sl_str name, char buf[16])
{
	char c[128];

	if (name.p[0] == '.') {
		if (sl_str_eq(name, SL_STR(".FILE")))
			return lx->in->pos.file;
		if (sl_str_eq(name, SL_STR(".SECTION")))
			return lx->in->section;
		if (sl_str_eq(name, SL_STR(".LINE"))) {
			snprintf(buf, 16, "%u", lx->in->pos.line);
			return buf;
		}
		return NULL;
	}
	if (name.len >= sizeof(c))
		return NULL;
	memcpy(c, name.p, name.len);
	c[name.len] = '\0';
	return getenv(c);
}

/* "${A[*]}": every blank of the value separates words. */
static void
put_split(struct lexer *lx, const char *v)
{
	bool gap = false;

	for (; *v != '\0'; v++) {
		if (*v == ' ' || *v == '\t') {
			gap = true;
			continue;
		}
		if (gap && lx->out.open)
			word_end(lx);
		gap = false;
		put(&lx->out, *v);
	}
}

/* At the dollar inside double quotes; returns the bytes consumed after it. */
static int
expand(struct lexer *lx, uint32_t at)
{
	struct sl_str s = lx->in->line;
	bool brace = at + 1 < s.len && s.p[at + 1] == '{', split = false;
	uint32_t i = at + 1 + (brace ? 1 : 0), begin = i;
	struct sl_str name, def = SL_STR_NULL;
	const char *v;
	char buf[16];

	if (i >= s.len || !(is_name_char(s.p[i], true) && !(s.p[i] >= '0' && s.p[i] <= '9')))
		return fail(lx, "forbidden first char in environment variable name", i);
	while (i < s.len && is_name_char(s.p[i], i == begin))
		i++;
	name = sl_str_make(s.p + begin, i - begin);
	if (brace) {
		if (s.len - i >= 3 && memcmp(s.p + i, "[*]", 3) == 0) {
			split = true;
			i += 3;
		}
		if (i < s.len && s.p[i] == '-') {
			def.p = s.p + ++i;
			while (i < s.len && s.p[i] != '}' && s.p[i] != '"')
				i++;
			def.len = (uint32_t)(s.p + i - def.p);
		}
		if (i >= s.len || s.p[i] != '}')
			return fail(lx, "unmatched brace in environment variable name", begin - 1);
		i++;
	}
	v = variable(lx, name, buf);
	if (v != NULL && split) {
		put_split(lx, v);
	} else if (v != NULL) {
		for (; *v != '\0'; v++)
			put(&lx->out, *v);
	} else {
		for (uint32_t k = 0; k < def.len; k++)
			put(&lx->out, def.p[k]);
	}
	return (int)(i - at - 1);
}

/* At an opening quote; returns the index of the closing one. */
static int
quoted(struct lexer *lx, uint32_t at)
{
	struct sl_str s = lx->in->line;
	char q = s.p[at];

	lx->out.open = true;
	for (uint32_t i = at + 1; i < s.len; i++) {
		int rc = 0;

		if (s.p[i] == q)
			return (int)i;
		if (s.p[i] == '\r')
			break;
		if (q == '"' && s.p[i] == '\\')
			rc = escape(lx, i, true);
		else if (q == '"' && s.p[i] == '$')
			rc = expand(lx, i);
		else
			put(&lx->out, s.p[i]);
		if (rc < 0)
			return rc;
		i += (uint32_t)rc;
	}
	return fail(lx, "unmatched quote", at);
}

int
lex_line(const struct lex_in *in, struct arena *mem, struct sl_str *word, uint32_t max,
	struct lex_err *err)
{
	struct lexer lx = { .in = in, .err = err, .word = word, .max = max, .out.mem = mem };
	struct sl_str s = in->line;

	*err = (struct lex_err){ 0 };
	for (uint32_t i = 0; i < s.len && !lx.toomany && !lx.out.failed; i++) {
		int rc = 0;

		switch (s.p[i]) {
		case ' ':
		case '\t':
		case '\v':
		case '\f':
			word_end(&lx);
			break;
		case '\r':
			if (lx.out.open)
				s.len = i;
			break;
		case '#':
			s.len = i;
			break;
		case '\\':
			rc = escape(&lx, i, false);
			i += rc > 0 ? (uint32_t)rc : 0;
			break;
		case '"':
		case '\'':
			rc = quoted(&lx, i);
			i = rc > 0 ? (uint32_t)rc : i;
			break;
		default:
			put(&lx.out, s.p[i]);
			break;
		}
		if (rc < 0)
			return rc;
	}
	word_end(&lx);
	if (lx.out.failed)
		return -ENOMEM;
	return lx.toomany ? -E2BIG : (int)lx.n;
}
