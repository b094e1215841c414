// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reading flags and patterns: "-m beg -i www. static.", "gt 5", "10.0.0.0/8", "-f file".
 *
 * Runs on: the thread that loads a configuration.
 * Follows: HAProxy's manual 7.1; its messages where they are known.
 * Not here: comparing (match.c); regular expressions, maps and run-time edits, which are refused.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/expr/expr_priv.h"

static const char *const method_names[PAT_NR] = {
	[PAT_FOUND] = "found",
	[PAT_BOOL] = "bool",
	[PAT_INT] = "int",
	[PAT_IP] = "ip",
	[PAT_BIN] = "bin",
	[PAT_LEN] = "len",
	[PAT_STR] = "str",
	[PAT_BEG] = "beg",
	[PAT_SUB] = "sub",
	[PAT_DIR] = "dir",
	[PAT_DOM] = "dom",
	[PAT_END] = "end",
};

/* Lists longer than this are searched by halves. */
#define SORT_ABOVE 4

enum cmp { CMP_EQ, CMP_GE, CMP_GT, CMP_LE, CMP_LT, CMP_NONE };

/* Patterns being collected. */
struct reader {
	const struct expr_comp *e;
	enum pat_method m;
	enum cmp op;
	bool icase;
	void *items;
	uint32_t n, cap;
	size_t size; // of one
};

const char *
pat_method_name(enum pat_method m)
{
	return m < PAT_NR ? method_names[m] : "?";
}

enum sample_type
pat_needs(enum pat_method m)
{
	switch (m) {
	case PAT_FOUND:
		return T_ANY;
	case PAT_BOOL:
		return T_BOOL;
	case PAT_INT:
		return T_SINT;
	case PAT_IP:
		return T_ADDR;
	case PAT_BIN:
		return T_BIN;
	default:
		return T_STR;
	}
}

static int
method_find(const struct expr_comp *e, struct sl_str name, enum pat_method *out)
{
	for (int i = 0; i < PAT_NR; i++) {
		if (sl_str_eq(sl_str_c(method_names[i]), name)) {
			*out = (enum pat_method)i;
			return 0;
		}
	}
	if (sl_str_eq(name, SL_STR("reg")))
		return expr_error(e, name,
			"regular expressions (matching method 'reg') are not supported yet");
	return expr_error(e, name, "unknown matching method '%.*s' when parsing ACL expression",
		SL_STR_ARG(name));
}

/* PAT_NR: the type has none. */
static enum pat_method
method_of_type(enum sample_type t)
{
	switch (t) {
	case T_BOOL:
		return PAT_BOOL;
	case T_SINT:
		return PAT_INT;
	case T_ADDR:
		return PAT_IP;
	case T_STR:
	case T_METH:
		return PAT_STR;
	default:
		return PAT_NR;
	}
}

static size_t
item_size(enum pat_method m)
{
	if (m == PAT_INT || m == PAT_LEN)
		return sizeof(struct pat_range);
	return m == PAT_IP ? sizeof(struct pat_net) : sizeof(struct pat_str);
}

static void *
add_item(struct reader *r)
{
	if (r->n == r->cap) {
		uint32_t cap = r->cap == 0 ? 4 : r->cap * 2;
		void *mem = arena_alloc(r->e->mem, cap * r->size);
		if (mem == NULL) {
			expr_nomem(r->e);
			return NULL;
		}
		if (r->n != 0)
			memcpy(mem, r->items, r->n * r->size);
		r->items = mem;
		r->cap = cap;
	}
	return (char *)r->items + r->n++ * r->size;
}

/* ---- one pattern of each kind ---- */

static int
read_string(struct reader *r, struct sl_str w)
{
	struct pat_str *p = add_item(r);

	if (p == NULL)
		return -EINVAL;
	p->icase = r->icase;
	p->s = arena_str(r->e->mem, w);
	if (p->s.p == NULL)
		return expr_nomem(r->e);
	if (r->icase) {
		char *to = (char *)(uintptr_t)p->s.p; // the copy just made
		for (uint32_t i = 0; i < w.len; i++)
			to[i] = sl_lower(to[i]);
	}
	return 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = sl_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
read_bin(struct reader *r, struct sl_str w)
{
	struct pat_str *p = add_item(r);
	char *to = arena_alloc(r->e->mem, w.len / 2 + 1);

	if (p == NULL || to == NULL)
		return expr_nomem(r->e);
	if (w.len % 2 != 0)
		return expr_error(r->e, w, "an even number of hex digits is expected, not '%.*s'",
			SL_STR_ARG(w));
	for (uint32_t i = 0; i < w.len / 2; i++) {
		int hi = hex_digit(w.p[2 * i]), lo = hex_digit(w.p[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return expr_error(
				r->e, w, "'%.*s' is not a series of hex digits", SL_STR_ARG(w));
		to[i] = (char)(hi << 4 | lo);
	}
	*p = (struct pat_str){ .s = sl_str_make(to, w.len / 2) };
	return 0;
}

static int
bad_number(struct reader *r, struct sl_str w, bool range)
{
	return expr_error(
		r->e, w, "'%.*s' is not a valid number%s", SL_STR_ARG(w), range ? " range" : "");
}

static int
read_range(struct reader *r, struct sl_str w, int colon)
{
	struct sl_str lo = sl_str_make(w.p, (size_t)colon);
	struct sl_str hi = sl_str_make(w.p + colon + 1, w.len - (size_t)colon - 1);
	struct pat_range v = { .lo = INT64_MIN, .hi = INT64_MAX };

	if (r->op != CMP_EQ)
		return expr_error(
			r->e, w, "a range such as '%.*s' goes with 'eq' only", SL_STR_ARG(w));
	if ((lo.len == 0 && hi.len == 0) || (lo.len != 0 && sl_str_i64(lo, &v.lo) < 0) ||
		(hi.len != 0 && sl_str_i64(hi, &v.hi) < 0) || v.lo > v.hi)
		return bad_number(r, w, true);
	struct pat_range *p = add_item(r);
	if (p == NULL)
		return -EINVAL;
	*p = v;
	return 0;
}

static int
read_number(struct reader *r, struct sl_str w)
{
	int colon = w.len != 0 ? sl_str_chr(w, ':') : -ENOENT;
	struct pat_range v = { .lo = INT64_MIN, .hi = INT64_MAX };
	int64_t n;

	if (colon >= 0)
		return read_range(r, w, colon);
	if (sl_str_i64(w, &n) < 0)
		return expr_error(r->e, w, "'%.*s' is not a number", SL_STR_ARG(w));
	switch (r->op) {
	case CMP_EQ:
		v.lo = v.hi = n;
		break;
	case CMP_GE:
		v.lo = n;
		break;
	case CMP_LE:
		v.hi = n;
		break;
	case CMP_GT: // nothing is above the largest number: an empty range
		v = n == INT64_MAX ? (struct pat_range){ 1, 0 } : (struct pat_range){ n + 1, v.hi };
		break;
	default:
		v = n == INT64_MIN ? (struct pat_range){ 1, 0 } : (struct pat_range){ v.lo, n - 1 };
		break;
	}
	struct pat_range *p = add_item(r);
	if (p == NULL)
		return -EINVAL;
	*p = v;
	return 0;
}

/* "192.168.1" is 192.168.0.1: the last number fills what is left. */
static int
parse_short_v4(struct sl_str w, struct ip_addr *out)
{
	struct ip_addr ip = { .family = ADDR_V4 };
	uint32_t at = 0;

	while (w.p != NULL) {
		struct sl_str part = sl_str_cut(&w, '.');
		uint64_t n;
		if (at > 3 || sl_str_u64(part, &n) < 0)
			return -EINVAL;
		if (w.p != NULL) {
			if (n > 255)
				return -EINVAL;
			ip.b[at++] = (uint8_t)n;
			continue;
		}
		if (n >> (8 * (4 - at)) != 0)
			return -EINVAL;
		for (int i = 3; i >= (int)at; i--, n >>= 8)
			ip.b[i] = (uint8_t)n;
	}
	*out = ip;
	return 0;
}

static int
parse_net(struct sl_str w, struct pat_net *out)
{
	struct sl_str rest = w, addr = sl_str_cut(&rest, '/');
	struct ip_addr mask = { 0 };
	uint64_t bits;

	memset(out, 0, sizeof(*out));
	if (addr.len == 0)
		return -EINVAL;
	if (addr_parse(addr, &out->ip) < 0 && parse_short_v4(addr, &out->ip) < 0)
		return -EINVAL;
	uint32_t max = out->ip.family == ADDR_V4 ? 32 : 128;
	if (rest.p == NULL) {
		bits = max;
	} else if (sl_str_u64(rest, &bits) < 0) {
		if (max != 32 || addr_parse(rest, &mask) < 0 || mask.family != ADDR_V4)
			return -EINVAL;
		bits = 0;
	}
	if (bits > max)
		return -EINVAL;
	for (uint32_t i = 0; i < bits; i++)
		mask.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
	for (int i = 0; i < 2; i++) {
		out->mask[i] = mask.q[i];
		out->ip.q[i] &= mask.q[i];
	}
	return 0;
}

static int
read_net(struct reader *r, struct sl_str w)
{
	struct pat_net v;

	if (parse_net(w, &v) < 0)
		return expr_error(
			r->e, w, "'%.*s' is not a valid IPv4 or IPv6 address", SL_STR_ARG(w));
	struct pat_net *p = add_item(r);
	if (p == NULL)
		return -EINVAL;
	*p = v;
	return 0;
}

static int
read_one(struct reader *r, struct sl_str w)
{
	switch (r->m) {
	case PAT_FOUND:
	case PAT_BOOL:
		return 0; // HAProxy ignores what follows
	case PAT_INT:
	case PAT_LEN:
		return read_number(r, w);
	case PAT_IP:
		return read_net(r, w);
	case PAT_BIN:
		return read_bin(r, w);
	default:
		return read_string(r, w);
	}
}

/* ---- flags, files, words ---- */

static int
read_lines(struct reader *r, FILE *f)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int rc = 0;

	while (rc == 0 && (len = getline(&line, &cap, f)) >= 0) {
		struct sl_str w = sl_str_make(line, (size_t)len);
		if (w.len != 0 && w.p[0] == '#')
			continue;
		while (w.len != 0 && (w.p[0] == ' ' || w.p[0] == '\t')) {
			w.p++;
			w.len--;
		}
		while (w.len != 0 && (w.p[w.len - 1] == '\n' || w.p[w.len - 1] == '\r'))
			w.len--;
		if (w.len != 0)
			rc = read_one(r, w);
	}
	free(line);
	return rc;
}

static int
read_file(struct reader *r, struct sl_str path)
{
	struct sl_str name = arena_str(r->e->mem, path); // with a NUL

	if (name.p == NULL)
		return expr_nomem(r->e);
	FILE *f = fopen(name.p, "re");
	if (f == NULL)
		return expr_error(r->e, path, "failed to open pattern file <%.*s>: %s",
			SL_STR_ARG(path), strerror(errno));
	int rc = read_lines(r, f);
	fclose(f);
	return rc;
}

static int
bad_flag(const struct reader *r, struct sl_str w)
{
	if (sl_str_eq(w, SL_STR("-M")) || sl_str_eq(w, SL_STR("-u")))
		return expr_error(r->e, w, "ACL option '%.*s' is not supported yet", SL_STR_ARG(w));
	return expr_error(r->e, w,
		"'%.*s' is not a valid ACL option. Please use '--' before any pattern beginning "
		"with a '-'",
		SL_STR_ARG(w));
}

/* Reads flags up to the first pattern; returns its index. */
static int
read_flags(struct reader *r, const struct sl_str *word, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n && word[i].len > 1 && word[i].p[0] == '-'; i++) {
		struct sl_str w = word[i];
		if (sl_str_eq(w, SL_STR("--")))
			return (int)i + 1;
		if (sl_str_eq(w, SL_STR("-i"))) {
			r->icase = true;
		} else if (sl_str_eq(w, SL_STR("-n"))) {
			continue; // names are never resolved
		} else if (sl_str_eq(w, SL_STR("-m")) || sl_str_eq(w, SL_STR("-f"))) {
			if (++i == n)
				return expr_error(
					r->e, w, "'%.*s' needs a word behind it", SL_STR_ARG(w));
			if (w.p[1] == 'f' && read_file(r, word[i]) < 0)
				return -EINVAL;
			if (w.p[1] == 'm' && r->n != 0)
				return expr_error(r->e, w, "'-m' must stand before '-f'");
		} else {
			return bad_flag(r, w);
		}
	}
	return (int)i;
}

/* The method: of -m, of the fetch's name, of the type. */
static int
choose_method(const struct expr_comp *e, const struct pat_ctx *ctx, const struct sl_str *word,
	uint32_t n, enum pat_method *out)
{
	*out = PAT_NR;
	if (ctx->match != NULL && method_find(e, sl_str_c(ctx->match), out) < 0)
		return -EINVAL;
	for (uint32_t i = 0; i < n && word[i].len > 1 && word[i].p[0] == '-'; i++) {
		if (sl_str_eq(word[i], SL_STR("--")))
			break;
		bool method = sl_str_eq(word[i], SL_STR("-m"));
		if (!method && !sl_str_eq(word[i], SL_STR("-f")))
			continue;
		if (++i == n)
			break; // read_flags() reports it
		if (method && method_find(e, word[i], out) < 0)
			return -EINVAL;
	}
	if (*out == PAT_NR)
		*out = method_of_type(ctx->type);
	if (*out == PAT_NR)
		return expr_error(e, ctx->who,
			"matching method must be specified first (using '-m') when using a sample "
			"fetch of this type ('%.*s')",
			SL_STR_ARG(ctx->who));
	if (!sample_can_cast(ctx->type, pat_needs(*out)))
		return expr_error(e, ctx->who,
			"matching method '%s' cannot be used with fetch keyword '%.*s'",
			pat_method_name(*out), SL_STR_ARG(ctx->who));
	return 0;
}

static enum cmp
find_op(struct sl_str w)
{
	static const char *const names[] = { "eq", "ge", "gt", "le", "lt" };

	for (int i = 0; i < CMP_NONE; i++) {
		if (sl_str_eq(w, sl_str_c(names[i])))
			return (enum cmp)i;
	}
	return CMP_NONE;
}

static int
cmp_pat_str(const void *a, const void *b)
{
	const struct pat_str *x = a, *y = b;

	if (x->icase != y->icase)
		return x->icase ? 1 : -1;
	return pat_str_cmp(x->s, y->s, false);
}

static void
finish(struct reader *r, struct pat_list *l)
{
	l->m = r->m;
	l->n = r->n;
	l->str = r->items; // any member of the union
	if (r->m != PAT_STR || r->n <= SORT_ABOVE)
		return;
	qsort(r->items, r->n, r->size, cmp_pat_str);
	while (l->nexact < l->n && !l->str[l->nexact].icase)
		l->nexact++;
	l->sorted = true;
}

const struct pat_list *
pat_compile(
	const struct expr_comp *e, const struct pat_ctx *ctx, const struct sl_str *word, uint32_t n)
{
	struct reader r = { .e = e, .op = CMP_EQ };

	if (choose_method(e, ctx, word, n, &r.m) < 0)
		return NULL;
	r.size = item_size(r.m);
	int at = read_flags(&r, word, n);
	if (at < 0)
		return NULL;
	for (uint32_t i = (uint32_t)at; i < n; i++) {
		enum cmp op = r.m == PAT_INT || r.m == PAT_LEN ? find_op(word[i]) : CMP_NONE;
		if (op != CMP_NONE) {
			r.op = op;
			if (i + 1 == n) {
				expr_error(e, word[i], "a number is missing behind '%.*s'",
					SL_STR_ARG(word[i]));
				return NULL;
			}
			continue;
		}
		if (read_one(&r, word[i]) < 0)
			return NULL;
	}
	struct pat_list *l = arena_zalloc(e->mem, sizeof(*l));
	if (l == NULL) {
		expr_nomem(e);
		return NULL;
	}
	finish(&r, l);
	return l;
}

/* ---- listing ---- */

static void
dump_item(const struct pat_list *l, uint32_t i, struct sl_buf *out)
{
	switch (l->m) {
	case PAT_INT:
	case PAT_LEN:
		if (l->range[i].lo != INT64_MIN)
			sl_buf_i64(out, l->range[i].lo);
		if (l->range[i].lo == l->range[i].hi)
			break;
		sl_buf_char(out, ':');
		if (l->range[i].hi != INT64_MAX)
			sl_buf_i64(out, l->range[i].hi);
		break;
	case PAT_IP: {
		int bits = __builtin_popcountll(l->net[i].mask[0]) +
			__builtin_popcountll(l->net[i].mask[1]);
		addr_format(out, &l->net[i].ip);
		sl_buf_char(out, '/');
		sl_buf_u64(out, (uint64_t)bits);
		break;
	}
	default:
		sl_buf_addc(out, l->str[i].icase ? "i'" : "'");
		sl_buf_add(out, l->str[i].s);
		sl_buf_char(out, '\'');
		break;
	}
}

void
pat_dump(const struct pat_list *l, struct sl_buf *out)
{
	sl_buf_addc(out, pat_method_name(l->m));
	for (uint32_t i = 0; i < l->n; i++) {
		sl_buf_char(out, ' ');
		dump_item(l, i, out);
	}
}
