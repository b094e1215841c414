// SPDX-License-Identifier: BSD-3-Clause
/*
 * A file of patterns as one way of matching needs it: compiling its entries into a list, and what
 * others than workers look up in it.
 *
 * Runs on: control and script threads, under the set's lock.
 * Follows: HAProxy 2.6's words for values that are none.
 */
#include <stdlib.h>

#include "dataplane/expr/patset_priv.h"

/* The first error of a list. */
struct notes {
	struct sl_buf *why;
	bool told;
};

static void
on_error(void *ctx, struct sl_str word sl_unused, const char *text)
{
	struct notes *n = ctx;

	if (!n->told)
		sl_buf_addc(n->why, text);
	n->told = true;
}

static int
read_value(const struct pat_view *v, const struct pat_entry *e, struct arena *mem,
	struct sample *out, struct sl_buf *why)
{
	*out = (struct sample){ .type = v->how.out };
	if (v->how.out == T_STR) {
		out->s = arena_str(mem, e->value);
		return out->s.p != NULL ? 0 : -ENOMEM;
	}
	if (v->how.out == T_SINT ? sl_str_i64(e->value, &out->i) == 0
				 : addr_parse(e->value, &out->ip) == 0)
		return 0;
	sl_buf_addc(why, "unable to parse '");
	sl_buf_add(why, e->value);
	sl_buf_char(why, '\'');
	return -EINVAL;
}

static int
read_entry(struct pat_reader *r, const struct pat_view *v, const struct pat_entry *e,
	struct sample *value, struct sl_buf *why)
{
	int rc = pat_read(r, e->key);

	if (rc == 0 && value != NULL)
		rc = read_value(v, e, r->e->mem, value, why);
	if (rc == -EINVAL && e->line != 0) {
		sl_buf_addc(why, " at line ");
		sl_buf_u64(why, e->line);
		sl_buf_addc(why, " of file '");
		sl_buf_addc(why, v->file->path);
		sl_buf_char(why, '\'');
	}
	return rc;
}

static int
read_all(struct pat_reader *r, const struct pat_view *v, const struct pat_array *a, uint32_t ver,
	struct pat_list *l, struct sl_buf *why)
{
	struct sample *value = NULL;
	uint32_t n = 0;

	if (v->how.out != T_ANY) {
		value = arena_zalloc(r->e->mem, (a->n + 1) * sizeof(*value));
		if (value == NULL)
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->e[i]->ver != ver)
			continue;
		int rc = read_entry(r, v, a->e[i], value != NULL ? &value[n] : NULL, why);
		if (rc < 0)
			return rc;
		n++;
	}
	l->value = value;
	return pat_finish(r, l);
}

int
pat_live_new(const struct pat_view *v, const struct pat_array *a, uint32_t ver,
	struct pat_live **out, struct sl_buf *why)
{
	struct notes notes = { .why = why };
	struct expr_diag diag = { .error = on_error, .ctx = &notes };
	struct pat_live *l = calloc(1, sizeof(*l));
	struct arena mem;
	struct expr_comp comp = { .mem = &mem, .diag = &diag };
	struct pat_reader r = { .e = &comp, .m = v->how.m, .cmp = CMP_EQ, .icase = v->how.icase };
	int rc;

	*out = NULL;
	if (l != NULL)
		l->map = arena_map_new();
	if (l == NULL || l->map == NULL) {
		free(l);
		return -ENOMEM;
	}
	arena_init(&mem, arena_map_src(l->map));
	r.size = pat_item_size(r.m);
	rc = read_all(&r, v, a, ver, &l->l, why);
	if (rc < 0) {
		pat_live_free(l);
		return mem.failed ? -ENOMEM : rc;
	}
	*out = l;
	return 0;
}

void
pat_live_free(struct pat_live *l)
{
	if (l == NULL)
		return;
	arena_map_free(l->map);
	free(l);
}

/* ---- for scripts and the runtime API ---- */

/* The entry that a key finds; -1: none, or the key is no such thing. */
static int64_t
find_text(const struct pat_view *v, struct sl_str key)
{
	struct sample s = { .type = T_STR, .s = key };
	const struct pat_live *l = atomic_load_explicit(&v->live, memory_order_relaxed);
	enum sample_type need = pat_needs(v->how.m);

	if (need != T_ANY && need != T_STR && !sample_cast(&s, need, NULL))
		return -1;
	return pat_lookup(&l->l, &s);
}

static bool
put_text(const struct pat_view *v, int64_t i, struct sl_buf *out)
{
	const struct pat_live *l = atomic_load_explicit(&v->live, memory_order_relaxed);
	const struct sample *s = l->l.value != NULL ? &l->l.value[i] : NULL;

	if (s != NULL && s->type == T_STR)
		sl_buf_add(out, s->s);
	else if (s != NULL && s->type == T_SINT)
		sl_buf_i64(out, s->i);
	else if (s != NULL)
		addr_format(out, &s->ip);
	return !out->full;
}

bool
pat_view_text(const struct pat_view *v, struct sl_str key, struct sl_buf *out)
{
	struct pat_set *s = v->file->set;
	bool ok;

	pthread_mutex_lock(&s->lock);
	int64_t i = find_text(v, key);
	ok = i >= 0 && put_text(v, i, out);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

/* The n-th entry in force. */
static const struct pat_entry *
entry_at(const struct pat_file *f, int64_t n)
{
	for (uint32_t i = 0; i < f->all.n; i++) {
		if (f->all.e[i]->ver == f->ver && n-- == 0)
			return f->all.e[i];
	}
	return NULL;
}

bool
pat_file_get(const struct pat_file *f, uint32_t i, struct sl_str key,
	void (*tell)(void *ctx, const struct pat_found *r), void *ctx)
{
	const struct pat_view *v = f->views;

	for (; v != NULL && i > 0; i--)
		v = v->next;
	if (v == NULL)
		return false;
	struct pat_found r = { .method = pat_method_name(v->how.m),
		.icase = v->how.icase,
		.tree = v->how.m == PAT_IP ||
			(!v->how.icase && (v->how.m == PAT_STR || v->how.m == PAT_BEG)),
		.out = v->how.out };

	pthread_mutex_lock(&f->set->lock);
	int64_t at = find_text(v, key);
	const struct pat_entry *e = at >= 0 ? entry_at(f, at) : NULL;
	if (e != NULL) {
		r.found = true;
		r.key = e->key;
		r.value = e->value;
	}
	tell(ctx, &r);
	pthread_mutex_unlock(&f->set->lock);
	return true;
}
