// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reading flags and patterns: "-m beg -i www. static.", "gt 5", "10.0.0.0/8", "-f file".
 *
 * Runs on: the thread that loads a configuration.
 * Follows: HAProxy's manual 7.1; its messages where they are known.
 * Not here: one pattern (pattern_read.c), comparing (match.c); run-time edits, which are refused.
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
	[PAT_REG] = "reg",
};

/* Lists longer than this are searched by halves. */
#define SORT_ABOVE 4

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

/* ---- flags, files, words ---- */

static int
read_lines(struct pat_reader *r, FILE *f)
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
			rc = pat_read(r, w);
	}
	free(line);
	return rc;
}

static int
read_file(struct pat_reader *r, struct sl_str path)
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
bad_flag(const struct pat_reader *r, struct sl_str w)
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
read_flags(struct pat_reader *r, const struct sl_str *word, uint32_t n)
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

static enum pat_cmp
find_op(struct sl_str w)
{
	static const char *const names[] = { "eq", "ge", "gt", "le", "lt" };

	for (int i = 0; i < CMP_NONE; i++) {
		if (sl_str_eq(w, sl_str_c(names[i])))
			return (enum pat_cmp)i;
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

static int
cmp_pat_net(const void *a, const void *b)
{
	const struct pat_net *x = a, *y = b;
	int d = x->ip.family - y->ip.family;

	if (d == 0)
		d = memcmp(x->mask, y->mask, sizeof(x->mask));
	return d != 0 ? d : memcmp(x->ip.b, y->ip.b, sizeof(x->ip.b));
}

static bool
same_group(const struct pat_net *x, const struct pat_net *y)
{
	return x->ip.family == y->ip.family && x->mask[0] == y->mask[0] && x->mask[1] == y->mask[1];
}

/* One group for each mask: a search per group instead of a walk. */
static int
group_nets(struct pat_reader *r, struct pat_list *l)
{
	struct pat_group *g;
	uint32_t n = 1, k = 0;

	qsort(r->items, r->n, r->size, cmp_pat_net);
	for (uint32_t i = 1; i < l->n; i++)
		n += !same_group(&l->net[i - 1], &l->net[i]);
	g = arena_alloc(r->e->mem, n * sizeof(*g));
	if (g == NULL)
		return expr_nomem(r->e);
	for (uint32_t i = 0; i < l->n; i++) {
		if (i == 0 || !same_group(&l->net[i - 1], &l->net[i]))
			g[k++] = (struct pat_group){ .start = i };
		g[k - 1].n++;
	}
	l->group = g;
	l->ngroups = n;
	return 0;
}

static int
finish(struct pat_reader *r, struct pat_list *l)
{
	l->m = r->m;
	l->n = r->n;
	l->str = r->items; // any member of the union
	if (r->n <= SORT_ABOVE)
		return 0;
	if (r->m == PAT_IP)
		return group_nets(r, l);
	if (r->m != PAT_STR)
		return 0;
	qsort(r->items, r->n, r->size, cmp_pat_str);
	while (l->nexact < l->n && !l->str[l->nexact].icase)
		l->nexact++;
	l->sorted = true;
	return 0;
}

const struct pat_list *
pat_compile(
	const struct expr_comp *e, const struct pat_ctx *ctx, const struct sl_str *word, uint32_t n)
{
	struct pat_reader r = { .e = e, .cmp = CMP_EQ };

	if (choose_method(e, ctx, word, n, &r.m) < 0)
		return NULL;
	r.size = pat_item_size(r.m);
	int at = read_flags(&r, word, n);
	if (at < 0)
		return NULL;
	for (uint32_t i = (uint32_t)at; i < n; i++) {
		enum pat_cmp op = r.m == PAT_INT || r.m == PAT_LEN ? find_op(word[i]) : CMP_NONE;
		if (op != CMP_NONE) {
			r.cmp = op;
			if (i + 1 == n) {
				expr_error(e, word[i], "a number is missing behind '%.*s'",
					SL_STR_ARG(word[i]));
				return NULL;
			}
			continue;
		}
		if (pat_read(&r, word[i]) < 0)
			return NULL;
	}
	struct pat_list *l = arena_zalloc(e->mem, sizeof(*l));
	if (l == NULL) {
		expr_nomem(e);
		return NULL;
	}
	return finish(&r, l) < 0 ? NULL : l;
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
	case PAT_REG:
		sl_buf_addc(out, l->re[i].icase ? "i/" : "/");
		sl_buf_add(out, l->re[i].s);
		sl_buf_char(out, '/');
		break;
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
