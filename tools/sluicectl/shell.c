// SPDX-License-Identifier: BSD-3-Clause
/*
 * Interactive mode: editing and history by libedit, completion out of the daemon's own commands.
 * Without a terminal lines are read as they come, so that a file of commands can be fed.
 */
#include "tools/sluicectl/ctl.h"

#include <errno.h>
#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shell {
	struct ctl_conn *c;
	struct ctl_rows rows;
	EditLine *el;
};

static char *
prompt(EditLine *el)
{
	static char text[] = "sluice> ";

	(void)el;
	return text;
}

/* What all candidates have in common, and how many they are. */
struct found {
	char common[128];
	size_t len, n;
};

static void
on_word(void *ctx, const char *word, size_t len)
{
	struct found *f = ctx;

	if (len >= sizeof(f->common))
		return;
	if (f->n++ == 0) {
		memcpy(f->common, word, len);
		f->len = len;
		return;
	}
	while (f->len > 0 && (f->len > len || memcmp(f->common, word, f->len) != 0))
		f->len--;
}

static void
on_list(void *ctx, const char *word, size_t len)
{
	fprintf(ctx, "%.*s  ", (int)len, word);
}

static unsigned char
complete(EditLine *el, int ch)
{
	struct shell *s;
	const LineInfo *li = el_line(el);
	char line[1024], add[160];
	size_t n = (size_t)(li->cursor - li->buffer), have;
	struct found f = { .n = 0 };
	const char *blank;

	(void)ch;
	if (el_get(el, EL_CLIENTDATA, &s) != 0 || n >= sizeof(line))
		return CC_ERROR;
	memcpy(line, li->buffer, n);
	line[n] = '\0';
	ctl_rows_complete(&s->rows, line, on_word, &f);
	if (f.n == 0)
		return CC_ERROR;
	blank = strrchr(line, ' ');
	have = strlen(blank != NULL ? blank + 1 : line);
	if (f.n > 1 && f.len <= have) {
		fputc('\n', stdout);
		ctl_rows_complete(&s->rows, line, on_list, stdout);
		fputc('\n', stdout);
		return CC_REDISPLAY;
	}
	snprintf(add, sizeof(add), "%.*s%s", (int)(f.len - have), f.common + have,
		f.n == 1 ? " " : "");
	return el_insertstr(el, add) == 0 ? CC_REFRESH : CC_ERROR;
}

/* What waits for events ends by the next line of a terminal. */
static int
run(struct shell *s, const char *line)
{
	bool no_end = ctl_has_no_end(line);
	struct ctl_text t;
	int rc = no_end ? ctl_follow(s->c, line, stdout, isatty(STDIN_FILENO) ? STDIN_FILENO : -1)
			: ctl_ask(s->c, line, &t);

	if (rc < 0) {
		fprintf(stderr, "sluicectl: %s: %s\n", s->c->where, strerror(-rc));
		return rc;
	}
	if (no_end)
		return 0;
	fputs(t.p, stdout);
	ctl_text_free(&t);
	fflush(stdout);
	return 0;
}

static bool
is_quit(const char *line)
{
	return strcmp(line, "quit") == 0 || strcmp(line, "exit") == 0;
}

/* "prompt" would switch off what tells us where answers end. */
static bool
is_ours(const char *line)
{
	return strcmp(line, "prompt") == 0 || line[0] == '\0';
}

static int
loop_plain(struct shell *s)
{
	char *line = NULL;
	size_t size = 0;
	int rc = 0;

	while (rc == 0 && getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		if (is_quit(line))
			break;
		if (!is_ours(line))
			rc = run(s, line);
	}
	free(line);
	return rc < 0;
}

static int
loop_edit(struct shell *s)
{
	History *h = history_init();
	HistEvent ev;
	const char *p;
	int n, rc = 0;

	s->el = el_init("sluicectl", stdin, stdout, stderr);
	if (h == NULL || s->el == NULL)
		return 1;
	history(h, &ev, H_SETSIZE, 500);
	el_set(s->el, EL_PROMPT, prompt);
	el_set(s->el, EL_EDITOR, "emacs");
	el_set(s->el, EL_SIGNAL, 1);
	el_set(s->el, EL_CLIENTDATA, s);
	el_set(s->el, EL_HIST, history, h);
	el_set(s->el, EL_ADDFN, "ctl-complete", "complete a command", complete);
	el_set(s->el, EL_BIND, "^I", "ctl-complete", NULL);
	el_source(s->el, NULL);
	while ((p = el_gets(s->el, &n)) != NULL && n > 0) {
		char *line = strndup(p, strcspn(p, "\n"));

		if (line == NULL)
			break;
		if (is_quit(line)) {
			free(line);
			break;
		}
		if (!is_ours(line)) {
			history(h, &ev, H_ENTER, line);
			rc = run(s, line); // an error is shown; the next line tries again
		}
		free(line);
	}
	el_end(s->el);
	history_end(h);
	return rc < 0;
}

int
ctl_shell(struct ctl_conn *c)
{
	struct shell s = { .c = c };
	int rc;

	if (!isatty(STDIN_FILENO))
		return loop_plain(&s);
	rc = ctl_rows_get(c, &s.rows);
	if (rc < 0) {
		fprintf(stderr, "sluicectl: %s: %s\n", c->where, strerror(-rc));
		return 1;
	}
	rc = loop_edit(&s);
	ctl_rows_free(&s.rows);
	return rc;
}
