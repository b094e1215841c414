// SPDX-License-Identifier: BSD-3-Clause
/*
 * The commands of the daemon that is running, out of its "help": what completion offers is what is
 * there, as far as the session's level allows.
 */
#include "tools/sluicectl/ctl.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* "  show stat [desc|json]*     : report …": the words before the arguments. */
static size_t
name_length(const char *line, const char *end)
{
	const char *p = line, *last = line;

	while (p < end) {
		const char *w = p;

		while (p < end && (islower((unsigned char)*p) || *p == '-'))
			p++;
		if (p == w || (p < end && *p != ' '))
			break;
		last = p;
		while (p < end && *p == ' ')
			p++;
		if (p - last > 1)
			break; // the column of the help text
	}
	return (size_t)(last - line);
}

static int
add(struct ctl_rows *r, const char *p, size_t n)
{
	char **more = realloc(r->name, (r->n + 1) * sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	r->name = more;
	r->name[r->n] = strndup(p, n);
	if (r->name[r->n] == NULL)
		return -ENOMEM;
	r->n++;
	return 0;
}

int
ctl_rows_get(struct ctl_conn *c, struct ctl_rows *rows)
{
	struct ctl_text t;
	int rc = ctl_ask(c, "help", &t);

	*rows = (struct ctl_rows){ 0 };
	if (rc < 0)
		return rc;
	for (const char *p = t.p; rc == 0 && *p != '\0';) {
		const char *end = strchr(p, '\n');
		size_t n;

		if (end == NULL)
			end = p + strlen(p);
		if (end - p > 2 && p[0] == ' ' && p[1] == ' ' && (n = name_length(p + 2, end)) > 0)
			rc = add(rows, p + 2, n);
		p = *end != '\0' ? end + 1 : end;
	}
	ctl_text_free(&t);
	if (rc < 0)
		ctl_rows_free(rows);
	return rc;
}

void
ctl_rows_free(struct ctl_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		free(rows->name[i]);
	free(rows->name);
	*rows = (struct ctl_rows){ 0 };
}

/* Where the last word of the line begins; the words before it must be those of the row. */
static const char *
next_word(const char *name, const char *line, size_t *len)
{
	for (;;) {
		size_t w = strcspn(name, " "), l;

		while (*line == ' ')
			line++;
		l = strcspn(line, " ");
		if (line[l] == '\0') { // the last one: a beginning
			*len = w;
			return l <= w && strncmp(name, line, l) == 0 && w > 0 ? name : NULL;
		}
		if (l != w || strncmp(name, line, l) != 0 || name[w] == '\0')
			return NULL;
		name += w + 1;
		line += l;
	}
}

void
ctl_rows_complete(const struct ctl_rows *rows, const char *line,
	void (*put)(void *ctx, const char *word, size_t len), void *ctx)
{
	for (size_t i = 0; i < rows->n; i++) {
		size_t len, other;
		const char *w = next_word(rows->name[i], line, &len);
		bool told = w == NULL;

		for (size_t k = 0; k < i && !told; k++) {
			const char *o = next_word(rows->name[k], line, &other);

			told = o != NULL && other == len && strncmp(o, w, len) == 0;
		}
		if (!told)
			put(ctx, w, len);
	}
}
