// SPDX-License-Identifier: BSD-3-Clause
/*
 * From files to keyword rows: reads files and directories, cuts lines, keeps the conditional
 * blocks (.if …), and hands each line to the row that names it.
 *
 * Runs on: the loader. Follows: HAProxy 2.6, configuration manual 2.1 and 2.4. Reading goes on
 * behind every error.
 * Not here: sections (section.c), the rows (kw_*.c), what is refused by name (unsupported.c).
 */
#include "control/conf/conf_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX     (64u << 20) // nobody writes more by hand; protects from a device or a pipe
#define NAME_WORDS   4           // the longest keyword has so many words
#define NAME_MAX_LEN 160
#define SHOWN        200u // of a line that has a mistake in its quotes

/* One level of ".if". */
struct block {
	bool taken;  // a branch was (or an outer level is off): no other one may be
	bool active; // lines of the current branch count
	bool has_else;
	uint32_t line;
};

struct reader {
	struct block block[COND_MAX_DEPTH];
	uint32_t depth;
};

/* "a b c" of the first n words; empty if too long for any keyword. */
static struct sl_str
join(const struct sl_str *word, uint32_t n, char buf[NAME_MAX_LEN])
{
	struct sl_buf b;

	sl_buf_init(&b, buf, NAME_MAX_LEN);
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			sl_buf_char(&b, ' ');
		sl_buf_add(&b, word[i]);
	}
	return b.full ? SL_STR("") : sl_buf_str(&b);
}

const struct conf_kw *
conf_find(const struct registry *r, const struct sl_str *word, uint32_t n, uint32_t *used)
{
	char buf[NAME_MAX_LEN];

	for (uint32_t k = sl_min(n, (uint32_t)NAME_WORDS); k > 0; k--) {
		const struct conf_kw *kw = registry_find(r, join(word, k, buf));

		if (kw != NULL) {
			*used = k;
			return kw;
		}
	}
	return NULL;
}

static const struct registry *
section_rows(const struct conf *c)
{
	const struct conf_tables *t = conf_tables();

	if (c->section == CONF_GLOBAL)
		return &t->global;
	if (c->section == CONF_ERRORS)
		return &t->errors;
	if (c->section == CONF_RING)
		return &t->ring;
	return c->section == CONF_PORT ? &t->port : &t->proxy;
}

/* Rows of which the first word is `w`, as "'timeout client', 'timeout …'". */
static bool
family(const struct registry *r, struct sl_str w, struct sl_buf *out)
{
	bool any = false;

	for (uint32_t i = 0; i < r->count; i++) {
		struct sl_str name = sl_str_c(((const struct conf_kw *)r->rows[i])->name);

		if (name.len <= w.len || !sl_str_starts(name, w, false) || name.p[w.len] != ' ')
			continue;
		sl_buf_printf(out, "%s'%.*s'", any ? ", " : "", (int)(name.len - w.len - 1),
			name.p + w.len + 1);
		any = true;
	}
	return any;
}

static bool
known_unsupported(struct conf *c, const struct sl_str *word, uint32_t n)
{
	enum unsup_scope scope = c->section == CONF_GLOBAL ? UNSUP_GLOBAL : UNSUP_PROXY;
	const char *kind = "keyword";
	const struct unsup *u;

	if ((c->section & (CONF_PORT | CONF_ERRORS | CONF_RING)) != 0)
		return false;
	if (scope == UNSUP_PROXY && n > 1 && sl_str_eq(word[0], SL_STR("option"))) {
		scope = UNSUP_OPTION;
		kind = "option";
		word++;
		n--;
	}
	u = unsup_find(scope, word, n);
	if (u == NULL)
		return false;
	unsup_tell(c, u, kind);
	return true;
}

void
conf_unknown(struct conf *c, const struct sl_str *word, uint32_t n)
{
	const struct registry *r = section_rows(c);
	const struct conf_kw *near;
	char list[600], name[NAME_MAX_LEN];
	struct sl_buf b;

	if (known_unsupported(c, word, n))
		return;
	sl_buf_init(&b, list, sizeof(list));
	if (family(r, word[0], &b)) {
		near = n > 1 ? registry_nearest(r, join(word, 2, name)) : NULL;
		if (n == 1)
			conf_error(c, "'%.*s' expects one of %s.", SL_STR_ARG(word[0]), list);
		else if (sl_str_eq(word[0], SL_STR("option")))
			conf_error(c, "unknown option '%.*s'%s", SL_STR_ARG(word[1]),
				conf_hint(near, ".").text);
		else
			conf_error(c, "'%.*s' supports %s (got '%.*s').", SL_STR_ARG(word[0]), list,
				SL_STR_ARG(word[1]));
		return;
	}
	near = registry_nearest(r, word[0]);
	conf_error(c, "unknown keyword '%.*s' in '%s' section%s", SL_STR_ARG(word[0]),
		c->section_name, conf_hint(near, "").text);
}

/* HAProxy warns of, and skips, what the kind of proxy can make no use of. */
static bool
is_useless_here(struct conf *c, const struct conf_kw *kw, const char *name)
{
	const char *cap = NULL;

	if ((kw->flags & CONF_KW_FE) != 0 && (c->section & (CONF_FE | CONF_DEFAULTS)) == 0)
		cap = "frontend";
	if ((kw->flags & CONF_KW_BE) != 0 && (c->section & (CONF_BE | CONF_DEFAULTS)) == 0)
		cap = "backend";
	if (cap == NULL)
		return false;
	conf_warning(c, "'%s' ignored because %s '%.*s' has no %s capability.", name,
		c->section_name, SL_STR_ARG(c->section_ident), cap);
	return true;
}

static void
run_row(struct conf *c, const struct conf_kw *kw, struct conf_args *a)
{
	a->kw = kw->name;
	a->priv = kw->priv;
	if ((kw->sections & c->section) == 0) {
		conf_error(c, "'%s' not allowed in '%s' section.", kw->name, c->section_name);
		return;
	}
	if ((a->no || a->to_default) && (kw->flags & CONF_KW_NO) == 0) {
		conf_error(c, "negation/default is not supported for '%s'.", kw->name);
		return;
	}
	if (!a->no && !a->to_default && a->n < kw->min) {
		if (a->n == 0)
			conf_error(c, "'%s' expects %s as argument.", kw->name, kw->args);
		else
			conf_error(c, "'%s' expects %s as arguments, got only '%.*s'.", kw->name,
				kw->args, SL_STR_ARG(a->word[a->n - 1]));
		return;
	}
	if (kw->max != CONF_MANY && a->n > kw->max) {
		conf_error(c, "'%s' cannot handle unexpected argument '%.*s'.", kw->name,
			SL_STR_ARG(a->word[kw->max]));
		return;
	}
	if (!is_useless_here(c, kw, kw->name))
		(void)kw->parse(c, a);
}

static void
run_line(struct conf *c, struct sl_str *word, uint32_t n)
{
	struct conf_args a = { 0 };
	const struct conf_kw *kw;
	uint32_t used = 0;

	if (n > 1 && sl_str_eq(word[0], SL_STR("no")))
		a.no = true;
	else if (n > 1 && sl_str_eq(word[0], SL_STR("default")))
		a.to_default = true;
	if (a.no || a.to_default) {
		word++;
		n--;
	} else if (conf_section_begin(c, word, n) != 0) {
		return;
	}
	if (c->skip)
		return;
	if (c->section == 0) {
		conf_error(c, "unknown keyword '%.*s' out of section.", SL_STR_ARG(word[0]));
		return;
	}
	kw = conf_find(section_rows(c), word, n, &used);
	if (kw == NULL) {
		conf_unknown(c, word, n);
		return;
	}
	a.word = word + used;
	a.n = n - used;
	run_row(c, kw, &a);
}

/* ---- conditional blocks ---- */

static bool
is_active(const struct reader *r)
{
	return r->depth == 0 || r->block[r->depth - 1].active;
}

/* The rest of the line is the condition. */
static bool
condition(struct conf *c, const struct sl_str *word, uint32_t n)
{
	char cond[1024], text[256];
	struct sl_buf b, why;
	int rc;

	sl_buf_init(&b, cond, sizeof(cond));
	for (uint32_t i = 1; i < n; i++) {
		if (i > 1)
			sl_buf_char(&b, ' ');
		sl_buf_add(&b, word[i]);
	}
	sl_buf_init(&why, text, sizeof(text));
	rc = b.full ? -EINVAL : conf_condition(sl_buf_str(&b), &why);
	if (rc < 0)
		conf_error(c, "unparsable conditional expression '%s' in '%.*s': %s.", cond,
			SL_STR_ARG(word[0]), b.full ? "too long" : text);
	return rc > 0;
}

static void
block_open(struct conf *c, struct reader *r, const struct sl_str *word, uint32_t n)
{
	bool outer = is_active(r);
	struct block *b;

	if (r->depth == COND_MAX_DEPTH) {
		conf_error(c, "too many nested '.if'.");
		return;
	}
	b = &r->block[r->depth];
	*b = (struct block){ .taken = !outer, .line = c->pos.line };
	if (outer)
		b->active = b->taken = condition(c, word, n);
	r->depth++;
}

static void
block_turn(struct conf *c, struct reader *r, const struct sl_str *word, uint32_t n)
{
	struct block *b = r->depth == 0 ? NULL : &r->block[r->depth - 1];
	bool is_else = sl_str_eq(word[0], SL_STR(".else"));

	if (b == NULL || b->has_else) {
		conf_error(c, "lone or misplaced '%.*s'.", SL_STR_ARG(word[0]));
		return;
	}
	b->has_else = is_else;
	b->active = false;
	if (b->taken)
		return;
	b->active = b->taken = is_else || condition(c, word, n);
}

/* ".notice text" and its like. */
static void
say(struct conf *c, const struct sl_str *word, uint32_t n)
{
	struct sl_str text = n > 1 ? word[1] : SL_STR("");

	if (n > 2)
		conf_error(c,
			"Unexpected argument '%.*s' for '%.*s'. Use quotes if the message should "
			"contain spaces.",
			SL_STR_ARG(word[2]), SL_STR_ARG(word[0]));
	else if (sl_str_eq(word[0], SL_STR(".alert")))
		conf_error(c, "'%.*s'.", SL_STR_ARG(text));
	else if (sl_str_eq(word[0], SL_STR(".warning")))
		conf_warning(c, "'%.*s'.", SL_STR_ARG(text));
	else if (sl_str_eq(word[0], SL_STR(".notice")))
		conf_notice(c, "'%.*s'.", SL_STR_ARG(text));
	else if (!sl_str_eq(word[0], SL_STR(".diag"))) // only told with -dD, which sluice has not
		conf_error(c, "unknown keyword '%.*s' out of section.", SL_STR_ARG(word[0]));
}

static void
directive(struct conf *c, struct reader *r, const struct sl_str *word, uint32_t n)
{
	if (sl_str_eq(word[0], SL_STR(".if"))) {
		block_open(c, r, word, n);
	} else if (sl_str_eq(word[0], SL_STR(".elif")) || sl_str_eq(word[0], SL_STR(".else"))) {
		block_turn(c, r, word, n);
	} else if (sl_str_eq(word[0], SL_STR(".endif"))) {
		if (r->depth == 0)
			conf_error(c, "lone '.endif' without an '.if'.");
		else
			r->depth--;
	} else if (is_active(r)) {
		say(c, word, n);
	}
}

/* ---- lines and files ---- */

static void
lex_failed(struct conf *c, int rc, struct sl_str line, const struct lex_err *err)
{
	uint32_t skip = 0;

	if (rc == -ENOMEM) {
		(void)conf_nomem(c);
		return;
	}
	if (rc == -E2BIG) {
		conf_error(c,
			"too many words on one line: '%.*s' is one more than %u, use several lines.",
			SL_STR_ARG(err->word), CONF_MAX_WORDS);
		return;
	}
	while (skip < err->at && (line.p[skip] == ' ' || line.p[skip] == '\t'))
		skip++;
	if (err->at - skip > SHOWN / 2) // of a long line, what is around it
		skip = err->at - SHOWN / 2;
	// as HAProxy: the position in the line, which is shown without its indentation
	conf_error(c, "%s at position %u:\n  %.*s\n  %*s", err->what, err->at + 1,
		(int)sl_min(line.len - skip, SHOWN), line.p + skip, (int)(err->at - skip + 1), "^");
}

static void
parse_line(struct conf *c, struct reader *r, struct sl_str line)
{
	struct sl_str word[CONF_MAX_WORDS];
	struct lex_in in = { .line = line, .pos = c->pos, .section = c->section_ident.p };
	struct lex_err err;
	int n;

	if (line.len > 0 && memchr(line.p, '\0', line.len) != NULL) {
		conf_error(
			c, "stray NUL character at position %u.", (uint32_t)(strlen(line.p) + 1));
		return;
	}
	if (in.section == NULL)
		in.section = "";
	n = lex_line(&in, &c->mem, word, CONF_MAX_WORDS, &err);
	if (n < 0)
		lex_failed(c, n, line, &err);
	if (n <= 0)
		return;
	if (word[0].len > 1 && word[0].p[0] == '.')
		directive(c, r, word, (uint32_t)n);
	else if (is_active(r))
		run_line(c, word, (uint32_t)n);
}

int
conf_parse_text(struct conf *c, const char *file, struct sl_str text)
{
	struct reader r = { .depth = 0 };

	c->pos.file = conf_copy(c, sl_str_c(file)).p;
	c->pos.line = 0;
	conf_section_end(c);
	while (text.len > 0 && !c->nomem && !conf_cancelled(c)) {
		int end = sl_str_chr(text, '\n');
		uint32_t len = end < 0 ? text.len : (uint32_t)end;

		c->pos.line++;
		parse_line(c, &r, sl_str_make(text.p, len));
		if (end < 0) {
			conf_error(c,
				"Missing LF on last line, file might have been truncated at "
				"position %u.",
				len + 1);
			break;
		}
		text = sl_str_make(text.p + len + 1, text.len - len - 1);
	}
	if (r.depth > 0)
		conf_error(c, "'.if' of line %u has no '.endif'.", r.block[r.depth - 1].line);
	conf_section_end(c);
	return c->nomem ? -ENOMEM : 0;
}

/* Everything up to the end, which of a pipe nobody knows before. */
static int
read_all(int fd, struct sl_str *out)
{
	size_t size = 64u << 10, len = 0;
	char *text = malloc(size);

	while (text != NULL) {
		ssize_t got = read(fd, text + len, size - len - 1); // a NUL follows

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			int rc = got < 0 ? -errno : 0;

			text[len] = '\0';
			*out = sl_str_make(text, len);
			return rc;
		}
		len += (size_t)got;
		if (len > FILE_MAX) {
			*out = sl_str_make(text, 0);
			return -EFBIG;
		}
		if (len + 1 == size) {
			char *more = realloc(text, size * 2);

			if (more == NULL)
				free(text);
			text = more;
			size *= 2;
		}
	}
	*out = SL_STR_NULL;
	return -ENOMEM;
}

static void
cannot(struct conf *c, const char *what, const char *path, int err)
{
	c->count->unread++;
	conf_error_at(c, NULL, "Cannot %s %s : %s", what, path, strerror(err));
}

static int
parse_file(struct conf *c, const char *path, int fd)
{
	struct sl_str text;
	int rc = read_all(fd, &text);

	close(fd);
	if (rc == -ENOMEM)
		(void)conf_nomem(c);
	else if (rc < 0)
		cannot(c, "read configuration file", path, -rc);
	else {
		c->count->files++;
		rc = conf_parse_text(c, path, text);
	}
	free((char *)(uintptr_t)text.p);
	return rc;
}

static int
is_cfg(const struct dirent *d)
{
	return d->d_name[0] != '.' && sl_str_ends(sl_str_c(d->d_name), SL_STR(".cfg"), false);
}

/* Files of a directory that end in .cfg, in the order of their names. */
static int
parse_dir(struct conf *c, const char *path)
{
	struct dirent **entry;
	int n = scandir(path, &entry, is_cfg, alphasort), rc = 0;

	if (n < 0) {
		cannot(c, "open configuration file/directory", path, errno);
		return -EINVAL;
	}
	for (int i = 0; i < n; i++) {
		char name[4096];
		struct sl_buf b;

		sl_buf_init(&b, name, sizeof(name));
		sl_buf_printf(&b, "%s/%s", path, entry[i]->d_name);
		if (!b.full && rc == 0)
			rc = conf_parse_path(c, name);
		free(entry[i]);
	}
	free(entry);
	return rc;
}

int
conf_parse_path(struct conf *c, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		cannot(c, "open configuration file/directory", path, errno);
		if (fd >= 0)
			close(fd);
		return -EINVAL;
	}
	if (S_ISDIR(st.st_mode)) {
		close(fd);
		return parse_dir(c, path);
	}
	return parse_file(c, path, fd);
}
