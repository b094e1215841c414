// SPDX-License-Identifier: BSD-3-Clause
/*
 * Error pages of one's own: errorfile, errorloc, errorfiles, and the http-errors section.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2 and 3.8. What a later line says
 * of a status holds; a backend's page goes before its frontend's.
 */
#include "control/conf/conf_priv.h"

/* Index of the status that a word says, told if it is none of HAProxy's. */
static int
status_index(struct conf *c, const char *kw, struct sl_str word)
{
	uint64_t status;
	int i = -ENOENT;

	if (sl_str_u64(word, &status) == 0 && status <= UINT16_MAX)
		i = http_error_index((uint16_t)status);
	if (i < 0)
		conf_error(c, "%s : status code '%.*s' not handled.", kw, SL_STR_ARG(word));
	return i;
}

/* The newest first: what is inherited follows what is one's own. */
static struct conf_page *
add_line(struct conf *c)
{
	struct conf_page *e = arena_zalloc(&c->tmp, sizeof(*e));

	if (e == NULL) {
		(void)conf_nomem(c);
		return NULL;
	}
	e->pos = c->pos;
	e->next = c->px->pages;
	c->px->pages = e;
	return e;
}

static int
set_page(struct conf *c, int i, const struct http_page *p)
{
	struct conf_page *e;

	if (p == NULL)
		return -EINVAL;
	if (c->section == CONF_ERRORS) {
		c->errors->page[i] = p;
		return 0;
	}
	e = add_line(c);
	if (e == NULL)
		return -ENOMEM;
	e->only = 1u << i;
	e->page = p;
	return 0;
}

static int
kw_errorfile(struct conf *c, const struct conf_args *a)
{
	int i = status_index(c, a->kw, a->word[0]);

	return i < 0 ? -EINVAL : set_page(c, i, page_from_file(c, a->kw, a->word[1]));
}

static int
kw_errorloc(struct conf *c, const struct conf_args *a)
{
	int i = status_index(c, a->kw, a->word[0]);

	return i < 0 ? -EINVAL
		     : set_page(c, i, page_to_location(c, (uint16_t)a->priv, a->word[1]));
}

/* "errorfiles <name> [<code>...]": the section may come later in the file. */
static int
kw_errorfiles(struct conf *c, const struct conf_args *a)
{
	struct conf_page *e = add_line(c);

	if (e == NULL)
		return -ENOMEM;
	e->group = a->word[0];
	for (uint32_t k = 1; k < a->n; k++) {
		int i = status_index(c, a->kw, a->word[k]);

		if (i < 0)
			return -EINVAL;
		e->only |= 1u << i;
	}
	return 0;
}

const struct conf_errors *
conf_errors_find(const struct conf *c, struct sl_str name)
{
	for (const struct conf_errors *e = c->errors_all; e != NULL; e = e->next) {
		if (sl_str_eq(e->name, name))
			return e;
	}
	return NULL;
}

void
conf_errors_begin(struct conf *c, const struct sl_str *word, uint32_t n)
{
	struct conf_errors *e = arena_zalloc(&c->mem, sizeof(*e));
	const struct conf_errors *o;

	if (e == NULL) {
		(void)conf_nomem(c);
		return;
	}
	e->pos = c->pos;
	if (n < 2)
		conf_error(c, "'http-errors' expects a name as argument.");
	else
		(void)conf_name(c, "'http-errors'", word[1]);
	if (n > 2)
		conf_error(c, "'http-errors' cannot handle unexpected argument '%.*s'.",
			SL_STR_ARG(word[2]));
	e->name = n > 1 ? word[1] : SL_STR("");
	o = conf_errors_find(c, e->name);
	if (o != NULL)
		conf_error(c, "http-errors section '%.*s' already exists (declared at %s:%u).",
			SL_STR_ARG(e->name), o->pos.file, o->pos.line);
	e->next = c->errors_all;
	c->errors_all = e;
	c->errors = e;
	c->section_ident = e->name;
}

static void
take_group(struct conf *c, struct conf_px *px, const struct conf_page *line)
{
	const struct conf_errors *e = conf_errors_find(c, line->group);

	if (e == NULL) {
		conf_error_at(c, &line->pos, "proxy '%.*s': unknown http-errors section '%.*s'.",
			SL_STR_ARG(px->p->name), SL_STR_ARG(line->group));
		return;
	}
	for (uint32_t i = 0; i < HTTP_ERRORS; i++) {
		if (line->only != 0 && (line->only >> i & 1u) == 0)
			continue;
		if (e->page[i] == NULL && line->only != 0)
			conf_warning_at(c, &line->pos,
				"proxy '%.*s' : status '%u' not declared in http-errors section "
				"'%.*s'.",
				SL_STR_ARG(px->p->name), http_error_at(i), SL_STR_ARG(line->group));
		if (px->p->page[i] == NULL)
			px->p->page[i] = e->page[i];
	}
}

void
conf_errors_build(struct conf *c, struct conf_px *px)
{
	for (const struct conf_page *line = px->pages; line != NULL; line = line->next) {
		if (line->page == NULL) {
			take_group(c, px, line);
			continue;
		}
		for (uint32_t i = 0; i < HTTP_ERRORS; i++) {
			if ((line->only >> i & 1u) != 0 && px->p->page[i] == NULL)
				px->p->page[i] = line->page;
		}
	}
}

SL_CFG_ERRORS({ "errorfile", CONF_ERRORS, 2, 2, kw_errorfile, "<code> <file>",
	"what a status is answered with: head and body, as they are sent" }, );

SL_CFG_PROXY({ "errorfile", CONF_ANY_PX, 2, 2, kw_errorfile, "<code> <file>",
		     "what a status is answered with: head and body, as they are sent" },
	{ "errorloc", CONF_ANY_PX, 2, 2, kw_errorloc, "<code> <url>",
		"a status is answered by a redirection (302)", 302 },
	{ "errorloc302", CONF_ANY_PX, 2, 2, kw_errorloc, "<code> <url>", "the same", 302 },
	{ "errorloc303", CONF_ANY_PX, 2, 2, kw_errorloc, "<code> <url>",
		"a status is answered by a redirection (303), which is fetched with GET", 303 },
	{ "errorfiles", CONF_ANY_PX, 1, CONF_MANY, kw_errorfiles, "<section> [<code>...]",
		"takes pages from an http-errors section" }, );
