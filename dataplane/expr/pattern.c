// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reading flags and patterns: "-m beg -i www. static.", "gt 5", "10.0.0.0/8", "-f file".
 *
 * Runs on: the thread that loads a configuration.
 * Follows: HAProxy's manual 7.1; its messages where they are known.
 * Not here: one pattern (pattern_read.c), comparing (match.c), files (patset.c).
 */
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

/* "-f file": a view of it, which follows what becomes of the file at run time. */
static int
read_file(struct pat_reader *r, struct sl_str path)
{
	struct pat_how how = { .m = r->m, .icase = r->icase, .out = T_ANY };
	const struct pat_view *v;
	struct pat_file *f;
	char text[400];
	struct sl_buf why;

	sl_buf_init(&why, text, sizeof(text));
	if (r->e->pats == NULL)
		return expr_error(r->e, path, "files cannot be read here");
	if (r->nview == SL_ARRAY_SIZE(r->view))
		return expr_error(r->e, path, "more than %u files", r->nview);
	int rc = pat_file_open(r->e->pats, path, r->maps, &f, &why);
	if (rc == 0 && r->id >= 0 && pat_file_number(f, r->id) < 0)
		return expr_error(r->e, path, "'-u %d': another file has this number", r->id);
	if (rc == 0)
		rc = pat_file_view(f, &how, &v, &why);
	if (rc == -ENOMEM)
		return expr_nomem(r->e);
	if (rc < 0)
		return expr_error(r->e, path, "%s", text);
	r->view[r->nview++] = v;
	return 0;
}

/* "-u 12", before "-f": the number of the file. */
static int
read_number_of_file(struct pat_reader *r, struct sl_str w)
{
	uint64_t n;

	if (sl_str_u64(w, &n) < 0 || n > INT32_MAX)
		return expr_error(r->e, w, "'-u' expects a number, got '%.*s'", SL_STR_ARG(w));
	r->id = (int32_t)n;
	return 0;
}

static int
bad_flag(const struct pat_reader *r, struct sl_str w)
{
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
		} else if (sl_str_eq(w, SL_STR("-M"))) {
			r->maps = true;
		} else if (sl_str_eq(w, SL_STR("-m")) || sl_str_eq(w, SL_STR("-f")) ||
			sl_str_eq(w, SL_STR("-u"))) {
			if (++i == n)
				return expr_error(
					r->e, w, "'%.*s' needs a word behind it", SL_STR_ARG(w));
			if (w.p[1] == 'f' && read_file(r, word[i]) < 0)
				return -EINVAL;
			if (w.p[1] == 'u' && read_number_of_file(r, word[i]) < 0)
				return -EINVAL;
			if (w.p[1] == 'm' && (r->n != 0 || r->nview != 0))
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
		if (!method && !sl_str_eq(word[i], SL_STR("-f")) && !sl_str_eq(word[i], SL_STR("-u")))
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
	int d = pat_str_cmp(x->s, y->s, false);
	return d != 0 ? d : (x->idx > y->idx) - (x->idx < y->idx);
}

static int
cmp_pat_net(const void *a, const void *b)
{
	const struct pat_net *x = a, *y = b;
	int d = x->ip.family - y->ip.family;

	if (d == 0)
		d = memcmp(x->mask, y->mask, sizeof(x->mask));
	if (d == 0)
		d = memcmp(x->ip.b, y->ip.b, sizeof(x->ip.b));
	return d != 0 ? d : (x->idx > y->idx) - (x->idx < y->idx);
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

int
pat_finish(struct pat_reader *r, struct pat_list *l)
{
	l->m = r->m;
	l->n = r->n;
	l->str = r->items; // any member of the union
	if (r->n <= SORT_ABOVE)
		return 0;
	if (r->m == PAT_IP)
		return group_nets(r, l);
	if (r->m != PAT_STR && (r->m != PAT_BEG || r->any_icase))
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
	struct pat_reader r = { .e = e, .cmp = CMP_EQ, .id = -1 };

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
	if (r.nview != 0) {
		const struct pat_view **v = arena_alloc(e->mem, r.nview * sizeof(*v));
		if (v == NULL) {
			expr_nomem(e);
			return NULL;
		}
		memcpy(v, r.view, r.nview * sizeof(*v));
		l->view = v;
		l->nview = r.nview;
	}
	return pat_finish(&r, l) < 0 ? NULL : l;
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
	for (uint32_t i = 0; i < l->nview; i++)
		sl_buf_addc(out, " (file)");
}
