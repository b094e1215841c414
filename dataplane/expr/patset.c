// SPDX-License-Identifier: BSD-3-Clause
/*
 * Files of patterns: reading them, changing them at run time, versions.
 *
 * Runs on: control and script threads, under the set's lock; heap. What workers read is published by
 * one store, and what it replaces waits until main has seen a grace.
 * Follows: HAProxy 2.6: a key may stand several times, "set" and "del" mean all of them; versions of
 * "prepare" and "commit".
 * Not here: compiling and looking up (patview.c), the converters (conv_map.c).
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/expr/patset_priv.h"

struct pat_set *
pat_set_new(void)
{
	struct pat_set *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	if (pthread_mutex_init(&s->lock, NULL) != 0) {
		free(s);
		return NULL;
	}
	s->last = &s->files;
	return s;
}

/* ---- entries ---- */

static struct pat_entry *
entry_new(uint32_t ver, uint64_t id, struct sl_str key, struct sl_str value)
{
	struct pat_entry *e = malloc(sizeof(*e) + key.len + value.len + 2);
	char *p;

	if (e == NULL)
		return NULL;
	p = (char *)(e + 1);
	*e = (struct pat_entry){ .refs = 1, .ver = ver, .id = id };
	if (key.len != 0)
		memcpy(p, key.p, key.len);
	p[key.len] = '\0';
	e->key = sl_str_make(p, key.len);
	p += key.len + 1;
	if (value.len != 0)
		memcpy(p, value.p, value.len);
	p[value.len] = '\0';
	e->value = sl_str_make(p, value.len);
	return e;
}

static void
array_drop(struct pat_array *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		if (--a->e[i]->refs == 0)
			free(a->e[i]);
	}
	free(a->e);
	*a = (struct pat_array){ 0 };
}

/* Takes the reference over, also on failure. */
static int
array_push(struct pat_array *a, struct pat_entry *e)
{
	if (e != NULL && a->n == a->cap) {
		uint32_t cap = a->cap == 0 ? 16 : a->cap * 2;
		struct pat_entry **p = realloc(a->e, cap * sizeof(struct pat_entry *));
		if (p == NULL) {
			if (--e->refs == 0)
				free(e);
			return -ENOMEM;
		}
		a->e = p;
		a->cap = cap;
	}
	if (e == NULL)
		return -ENOMEM;
	a->e[a->n++] = e;
	return 0;
}

static int
array_share(struct pat_array *a, struct pat_entry *e)
{
	e->refs++;
	return array_push(a, e);
}

/* ---- the end ---- */

static void
lives_free(struct pat_live *l)
{
	while (l != NULL) {
		struct pat_live *next = l->next;

		pat_live_free(l);
		l = next;
	}
}

static void
file_free(struct pat_file *f)
{
	while (f->views != NULL) {
		struct pat_view *v = f->views;

		f->views = v->next;
		pat_live_free(atomic_load(&v->live));
		free(v);
	}
	array_drop(&f->all);
	free(f->use);
	free(f->path);
	free(f);
}

void
pat_set_free(struct pat_set *s)
{
	if (s == NULL)
		return;
	while (s->files != NULL) {
		struct pat_file *f = s->files;

		s->files = f->next;
		file_free(f);
	}
	lives_free(s->retired);
	lives_free(s->waiting);
	pthread_mutex_destroy(&s->lock);
	free(s->asks);
	free(s);
}

/*
 * Main does not wait for the lock: a script holds it for a walk over a whole file, on a thread that may
 * hardly have a CPU. There is a next tick.
 */
bool
pat_set_retire(struct pat_set *s)
{
	bool any;

	if (pthread_mutex_trylock(&s->lock) != 0)
		return false;
	if (s->waiting == NULL) {
		s->waiting = s->retired;
		s->nwaiting = s->nretired;
		s->retired = NULL;
		s->nretired = 0;
	}
	any = s->waiting != NULL;
	pthread_mutex_unlock(&s->lock);
	return any;
}

bool
pat_set_release(struct pat_set *s)
{
	if (pthread_mutex_trylock(&s->lock) != 0)
		return false;
	struct pat_live *l = s->waiting;
	s->waiting = NULL;
	s->nwaiting = 0;
	pthread_mutex_unlock(&s->lock);
	lives_free(l);
	return true;
}

/* ---- loading ---- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* HAProxy: a map's value is what follows the blanks behind the key, without blanks at its end. */
static int
add_line(struct pat_file *f, struct sl_str w, uint32_t line)
{
	struct sl_str value = SL_STR("");
	struct pat_entry *e;

	if (w.len != 0 && w.p[0] == '#')
		return 0;
	while (w.len != 0 && is_blank(w.p[0])) {
		w.p++;
		w.len--;
	}
	while (w.len != 0 &&
		(w.p[w.len - 1] == '\n' || w.p[w.len - 1] == '\r' ||
			(f->map && is_blank(w.p[w.len - 1]))))
		w.len--;
	if (w.len == 0)
		return 0;
	if (f->map) {
		uint32_t n = 0;
		while (n < w.len && !is_blank(w.p[n]))
			n++;
		value = sl_str_make(w.p + n, w.len - n);
		w.len = n;
		while (value.len != 0 && is_blank(value.p[0])) {
			value.p++;
			value.len--;
		}
	}
	e = entry_new(0, ++f->set->ids, w, value);
	if (e != NULL)
		e->line = line;
	return array_push(&f->all, e);
}

static int
read_lines(struct pat_file *f, FILE *in)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	uint32_t n = 0;
	int rc = 0;

	while (rc == 0 && (len = getline(&line, &cap, in)) >= 0)
		rc = add_line(f, sl_str_make(line, (size_t)len), ++n);
	free(line);
	return rc;
}

static void
say3(struct sl_buf *why, const char *a, struct sl_str b, const char *c)
{
	sl_buf_addc(why, a);
	sl_buf_add(why, b);
	sl_buf_addc(why, c);
}

static struct pat_file *
find_path(struct pat_set *s, struct sl_str path)
{
	struct pat_file *f = s->files;

	while (f != NULL && !sl_str_eq(sl_str_c(f->path), path))
		f = f->next;
	return f;
}

static int
file_read(
	struct pat_set *s, struct sl_str path, bool map, struct pat_file **out, struct sl_buf *why)
{
	struct pat_file *f = calloc(1, sizeof(*f));
	FILE *in = NULL;
	int rc = -ENOMEM;

	if (f != NULL)
		*f = (struct pat_file){ .set = s, .map = map, .id = -1 };
	if (f == NULL || (f->path = strndup(path.p, path.len)) == NULL)
		goto fail;
	f->last = &f->views;
	in = fopen(f->path, "re");
	if (in == NULL) {
		say3(why, "failed to open pattern file <", path, ">: ");
		sl_buf_addc(why, strerror(errno));
		rc = -EINVAL;
		goto fail;
	}
	rc = read_lines(f, in);
	fclose(in);
	if (rc < 0)
		goto fail;
	*s->last = f;
	s->last = &f->next;
	*out = f;
	return 0;
fail:
	if (f != NULL)
		file_free(f);
	return rc;
}

int
pat_file_open(
	struct pat_set *s, struct sl_str path, bool map, struct pat_file **out, struct sl_buf *why)
{
	struct pat_file *f;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	f = find_path(s, path);
	if (f == NULL && s->closed) {
		rc = -EPERM;
	} else if (f == NULL) {
		rc = file_read(s, path, map, &f, why);
	} else if (f->map != map) {
		say3(why, "the file '", path,
			map ? "' is there as a list of patterns already, and cannot be a map too"
			    : "' is there as a map already; '-M' before '-f' takes its keys");
		rc = -EINVAL;
	}
	*out = f;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int
pat_file_number(struct pat_file *f, int32_t id)
{
	for (const struct pat_file *o = f->set->files; o != NULL; o = o->next) {
		if (o != f && o->id == id)
			return -EEXIST;
	}
	f->id = id;
	return 0;
}

static bool
same_how(const struct pat_how *a, const struct pat_how *b)
{
	return a->m == b->m && a->icase == b->icase && a->out == b->out && a->expand == b->expand;
}

void
pat_set_place(struct pat_set *s, const char *path, uint32_t line)
{
	s->place = (struct pat_use){ .path = path, .line = line };
}

/* Once a line: it may be compiled several times. 0 or -ENOMEM. */
static int
note_use(struct pat_file *f)
{
	const struct pat_use *at = &f->set->place;
	struct pat_use *p;

	if (at->path == NULL || f->set->closed)
		return 0;
	for (uint32_t i = 0; i < f->nuse; i++) {
		if (f->use[i].line == at->line && strcmp(f->use[i].path, at->path) == 0)
			return 0;
	}
	p = realloc(f->use, (f->nuse + 1) * sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	f->use = p;
	p[f->nuse++] = *at;
	return 0;
}

bool
pat_file_use(const struct pat_file *f, uint32_t i, const char **path, uint32_t *line)
{
	if (i >= f->nuse)
		return false;
	*path = f->use[i].path;
	*line = f->use[i].line;
	return true;
}

int
pat_file_view(struct pat_file *f, const struct pat_how *how, const struct pat_view **out,
	struct sl_buf *why)
{
	struct pat_view *v;
	struct pat_live *l;
	int rc = 0;

	pthread_mutex_lock(&f->set->lock);
	for (v = f->views; v != NULL && !same_how(&v->how, how); v = v->next)
		continue;
	rc = note_use(f);
	if (v == NULL && rc == 0) {
		v = calloc(1, sizeof(*v));
		rc = v == NULL ? -ENOMEM : 0;
		if (rc == 0) {
			v->file = f;
			v->how = *how;
			rc = pat_live_new(v, &f->all, f->ver, &l, why);
		}
		if (rc == 0) {
			atomic_store(&v->live, l);
			*f->last = v;
			f->last = &v->next;
		} else {
			free(v);
		}
	}
	*out = v;
	pthread_mutex_unlock(&f->set->lock);
	return rc;
}

/* Those without a number of their own get the next that is free. */
void
pat_set_close(struct pat_set *s)
{
	int32_t next = 0;

	s->closed = true;
	for (struct pat_file *f = s->files; f != NULL; f = f->next) {
		while (f->id < 0) {
			if (pat_file_number(f, next) < 0)
				next++;
		}
	}
}

/* ---- changes ---- */

static bool
named(const struct pat_entry *e, const struct pat_edit *d)
{
	return d->key.p == NULL ? e->id == d->id : sl_str_eq(e->key, d->key);
}

/* What an entry counts for PAT_GROWN_MAX. */
static size_t
grown(const struct pat_entry *e)
{
	return e->bounded ? sizeof(*e) + e->key.len + e->value.len : 0;
}

/* The entry that a change makes, behind the others. */
static int
put(struct pat_array *a, const struct pat_edit *d, struct pat_entry *e)
{
	if (e != NULL)
		e->bounded = d->bounded;
	return array_push(a, e);
}

/* a becomes what it is behind one change, or stays as it is. */
static int
apply(struct pat_file *f, struct pat_array *a, const struct pat_edit *d)
{
	uint32_t ver = d->ver != 0 ? d->ver : f->ver;
	struct pat_array out = { 0 };
	bool any = false;
	size_t sum = 0;
	int rc = 0;

	for (uint32_t i = 0; i < a->n && rc == 0; i++) {
		struct pat_entry *e = a->e[i];
		bool is = d->op != PAT_ADD && e->ver == ver && (d->op == PAT_CLEAR || named(e, d));

		any |= is;
		if (!is)
			rc = array_share(&out, e);
		else if (d->op == PAT_SET || d->op == PAT_PUT)
			rc = put(&out, d, entry_new(ver, e->id, e->key, d->value));
	}
	if (rc == 0 && (d->op == PAT_ADD || (d->op == PAT_PUT && !any)))
		rc = put(&out, d, entry_new(ver, ++f->set->ids, d->key, d->value));
	else if (rc == 0 && !any && d->op != PAT_CLEAR)
		rc = -ENOENT;
	for (uint32_t i = 0; d->bounded && i < out.n; i++)
		sum += grown(out.e[i]);
	if (rc == 0 && sum > PAT_GROWN_MAX && d->op != PAT_DEL && d->op != PAT_CLEAR)
		rc = -ENOSPC;
	if (rc < 0) {
		array_drop(&out);
		return rc;
	}
	array_drop(a);
	*a = out;
	return 0;
}

/* All views anew, or none. */
static int
publish(struct pat_file *f, const struct pat_array *a, uint32_t ver, struct sl_buf *why)
{
	struct pat_set *s = f->set;
	int rc = 0;

	for (struct pat_view *v = f->views; v != NULL && rc == 0; v = v->next)
		rc = pat_live_new(v, a, ver, &v->fresh, why);
	for (struct pat_view *v = f->views; v != NULL; v = v->next) {
		if (rc < 0) {
			pat_live_free(v->fresh);
		} else {
			struct pat_live *old =
				atomic_exchange_explicit(&v->live, v->fresh, memory_order_acq_rel);
			old->next = s->retired;
			s->retired = old;
			s->nretired += old->l.n + PAT_RETIRED_LIST;
		}
		v->fresh = NULL;
	}
	return rc;
}

/* Can the others do without a change that failed so? */
static bool
is_alone(int rc)
{
	return rc == -ENOENT || rc == -ENOSPC;
}

int
pat_edit_locked(
	struct pat_file *f, const struct pat_edit *e, uint32_t n, int *each, struct sl_buf *why)
{
	struct pat_set *s = f->set;
	struct pat_array a = { 0 };
	bool other = false; // than what is in force
	uint32_t left_out = 0;
	int rc = 0;

	if (s->nretired + s->nwaiting > PAT_RETIRED_MAX)
		rc = -EAGAIN;
	for (uint32_t i = 0; i < f->all.n && rc == 0; i++)
		rc = array_share(&a, f->all.e[i]);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		other |= e[i].ver != 0 && e[i].ver != f->ver;
		rc = apply(f, &a, &e[i]);
		if (each == NULL)
			continue;
		each[i] = rc;
		if (is_alone(rc)) {
			left_out++;
			rc = 0;
		}
	}
	// a prepared version is compiled too, for its errors
	for (struct pat_view *v = f->views; other && v != NULL && rc == 0; v = v->next) {
		struct pat_live *l;
		rc = pat_live_new(v, &a, e[0].ver, &l, why);
		pat_live_free(l);
	}
	if (rc == 0 && !other && left_out < n)
		rc = publish(f, &a, f->ver, why);
	if (rc == 0) {
		array_drop(&f->all);
		f->all = a;
	} else {
		array_drop(&a);
	}
	return rc;
}

int
pat_file_edit(struct pat_file *f, const struct pat_edit *e, uint32_t n, struct sl_buf *why)
{
	pthread_mutex_lock(&f->set->lock);
	int rc = pat_edit_locked(f, e, n, NULL, why);
	pthread_mutex_unlock(&f->set->lock);
	return rc;
}

uint32_t
pat_file_prepare(struct pat_file *f)
{
	pthread_mutex_lock(&f->set->lock);
	uint32_t ver = ++f->next_ver;
	pthread_mutex_unlock(&f->set->lock);
	return ver;
}

int
pat_file_commit(struct pat_file *f, uint32_t ver)
{
	struct pat_array a = { 0 };
	char text[128];
	struct sl_buf why;
	int rc = 0;

	sl_buf_init(&why, text, sizeof(text));
	pthread_mutex_lock(&f->set->lock);
	if (ver <= f->ver || ver > f->next_ver)
		rc = -EINVAL;
	for (uint32_t i = 0; i < f->all.n && rc == 0; i++) {
		if (f->all.e[i]->ver >= ver)
			rc = array_share(&a, f->all.e[i]);
	}
	if (rc == 0)
		rc = publish(f, &a, ver, &why);
	if (rc == 0) {
		array_drop(&f->all);
		f->all = a;
		f->ver = ver;
	} else {
		array_drop(&a);
	}
	pthread_mutex_unlock(&f->set->lock);
	return rc;
}

/* ---- listing ---- */

struct pat_file *
pat_set_find(struct pat_set *s, struct sl_str name, bool map)
{
	struct pat_file *f;
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	f = find_path(s, name);
	if (name.len > 1 && name.p[0] == '#' &&
		sl_str_u64(sl_str_make(name.p + 1, name.len - 1), &n) == 0) {
		for (f = s->files; f != NULL && f->id != (int64_t)n; f = f->next)
			continue;
	}
	pthread_mutex_unlock(&s->lock);
	return f != NULL && f->map == map ? f : NULL;
}

struct pat_file *
pat_set_at(struct pat_set *s, uint32_t i)
{
	struct pat_file *f = s->files;

	while (f != NULL && i-- > 0)
		f = f->next;
	return f;
}

void
pat_file_info(const struct pat_file *f, struct pat_file_info *out)
{
	pthread_mutex_lock(&f->set->lock);
	*out = (struct pat_file_info){ .id = f->id,
		.path = sl_str_c(f->path),
		.map = f->map,
		.ver = f->ver,
		.next_ver = f->next_ver };
	for (uint32_t i = 0; i < f->all.n; i++)
		out->entries += f->all.e[i]->ver == f->ver;
	pthread_mutex_unlock(&f->set->lock);
}

void
pat_file_entries(const struct pat_file *f, uint32_t ver,
	void (*each)(void *ctx, uint64_t id, struct sl_str key, struct sl_str value), void *ctx)
{
	pthread_mutex_lock(&f->set->lock);
	for (uint32_t i = 0; i < f->all.n; i++) {
		const struct pat_entry *e = f->all.e[i];

		if (e->ver == (ver != 0 ? ver : f->ver))
			each(ctx, e->id, e->key, e->value);
	}
	pthread_mutex_unlock(&f->set->lock);
}
