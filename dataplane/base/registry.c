// SPDX-License-Identifier: BSD-3-Clause
/*
 * Collects the keyword tables of one kind out of their linker section into one sorted index.
 *
 * Runs on: the main thread at start (allocates); afterwards read-only for everybody. A name that
 * stands in two tables stops the start with both file names, so that link order never decides.
 */
#include "dataplane/base/registry.h"

#include <stdlib.h>

#include "dataplane/base/buf.h"

#define NEAR_MAX 3 // more edits than this are no typing mistake

struct entry {
	const void *row;
	const char *file;
};

/* Every row type starts with its name. */
static const char *
row_name(const void *row)
{
	return *(const char *const *)row;
}

static int
entry_cmp(const void *a, const void *b)
{
	return strcmp(
		row_name(((const struct entry *)a)->row), row_name(((const struct entry *)b)->row));
}

static uint32_t
collect(struct entry *out, const struct sl_kwtab *const *start, const struct sl_kwtab *const *stop)
{
	uint32_t n = 0;

	for (const struct sl_kwtab *const *t = start; t < stop; t++) {
		for (uint32_t i = 0; *t != NULL && i < (*t)->count; i++) {
			const void *row = (const uint8_t *)(*t)->rows + (size_t)i * (*t)->row_size;
			if (row_name(row) == NULL)
				continue;
			if (out != NULL)
				out[n] = (struct entry){ row, (*t)->file };
			n++;
		}
	}
	return n;
}

static int
refuse_duplicates(struct registry *r, const struct entry *e, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		const char *name = row_name(e[i].row);
		struct sl_buf b;
		char *text;
		size_t size;

		if (strcmp(row_name(e[i - 1].row), name) != 0)
			continue;
		size = strlen(name) + strlen(e[i - 1].file) + strlen(e[i].file) + 8;
		text = malloc(size);
		if (text == NULL)
			return -ENOMEM;
		sl_buf_init(&b, text, (uint32_t)size);
		sl_buf_printf(&b, "%s: %s, %s", name, e[i - 1].file, e[i].file);
		r->dup = text;
		return -EEXIST;
	}
	return 0;
}

sl_cold int
registry_open_section(struct registry *r, const char *kind, const struct sl_kwtab *const *start,
	const struct sl_kwtab *const *stop)
{
	uint32_t n = collect(NULL, start, stop);
	struct entry *e;
	int rc;

	*r = (struct registry){ .kind = kind };
	if (n == 0)
		return -ENOENT;
	e = calloc(n, sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	collect(e, start, stop);
	qsort(e, n, sizeof(*e), entry_cmp);
	rc = refuse_duplicates(r, e, n);
	if (rc < 0)
		goto free_entries;
	r->rows = calloc(n, sizeof(*r->rows));
	if (r->rows == NULL) {
		rc = -ENOMEM;
		goto free_entries;
	}
	for (uint32_t i = 0; i < n; i++)
		r->rows[i] = e[i].row;
	r->count = n;
free_entries:
	free(e);
	return rc;
}

sl_cold void
registry_close(struct registry *r)
{
	free(r->rows);
	free((void *)(uintptr_t)r->dup);
	*r = (struct registry){ 0 };
}

const void *
registry_find(const struct registry *r, struct sl_str name)
{
	uint32_t lo = 0, hi = r->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int diff = sl_str_cmp(name, sl_str_c(row_name(r->rows[mid])));

		if (diff == 0)
			return r->rows[mid];
		if (diff < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const void *
registry_nearest(const struct registry *r, struct sl_str name)
{
	// at most a third of the word may be wrong, else everything short resembles everything
	uint32_t best = sl_min(name.len / 3 + 1, (uint32_t)NEAR_MAX) + 1;
	const void *row = NULL;

	for (uint32_t i = 0; i < r->count; i++) {
		struct sl_str other = sl_str_c(row_name(r->rows[i]));
		uint32_t d = registry_distance(name, other, best - 1);

		if (d < best && d < other.len) {
			best = d;
			row = r->rows[i];
		}
		if (best == 0)
			break;
	}
	return row;
}

/* Levenshtein with one row of the matrix; neighbours swapped count as two edits. */
uint32_t
registry_distance(struct sl_str a, struct sl_str b, uint32_t max)
{
	uint32_t row[65];

	if (a.len > 64 || b.len > 64)
		return sl_str_eq(a, b) ? 0 : max + 1;
	for (uint32_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (uint32_t i = 1; i <= a.len; i++) {
		uint32_t diag = row[0];
		uint32_t low = row[0] = i;

		for (uint32_t j = 1; j <= b.len; j++) {
			uint32_t subst = diag + (a.p[i - 1] != b.p[j - 1]);
			uint32_t step = sl_min(row[j], row[j - 1]) + 1;

			diag = row[j];
			row[j] = sl_min(subst, step);
			low = sl_min(low, row[j]);
		}
		if (low > max)
			return max + 1;
	}
	return row[b.len] > max ? max + 1 : row[b.len];
}
