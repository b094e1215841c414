/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests of expressions share: an arena over malloc, a request and response parsed from text,
 * captured messages, fake external functions, and one call that compiles and runs an expression.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/expr/expr.h"
#include "dataplane/expr/patset.h"
#include "dataplane/model/model.h"

struct env {
	struct arena_src src;
	struct env_defer *defers;
	struct arena mem; // of the generation
	struct arena txn; // of the transaction
	struct expr_diag diag;
	struct expr_extern ext;
	struct expr_comp comp;
	char error[600];
	char word[200];
	uint32_t nerrors;

	char req_text[4096], res_text[1024];
	struct http_field req_hdr[HTTP_MAX_HDR], res_hdr[HTTP_MAX_HDR];
	struct http_msg req, res;
	struct vars vars;
	struct sl_rand rand;
	struct proxy fe, be;
	struct server srv;
	struct txn_view view;
};

static struct arena_chunk *
env_get(void *ctx sl_unused, uint32_t need)
{
	/* One allocation per chunk: ASan sees every overrun. */
	struct arena_chunk *c = malloc(sizeof(*c) + need);

	assert_non_null(c);
	c->size = need;
	return c;
}

static void
env_put(void *ctx sl_unused, struct arena_chunk *c)
{
	free(c);
}

struct env_defer {
	struct env_defer *next;
	void (*fn)(void *p);
	void *p;
};

static int
env_defer(void *ctx, void (*fn)(void *p), void *p)
{
	struct env_defer **list = ctx, *d = malloc(sizeof(*d));

	assert_non_null(d);
	*d = (struct env_defer){ *list, fn, p };
	*list = d;
	return 0;
}

static void
env_error(void *ctx, struct sl_str word, const char *text)
{
	struct env *e = ctx;

	if (e->nerrors++ == 0) {
		snprintf(e->error, sizeof(e->error), "%s", text);
		snprintf(e->word, sizeof(e->word), "%.*s", SL_STR_ARG(word));
	}
}

static inline void
env_request(struct env *e, const char *text)
{
	struct h1_parser p = { 0 };
	size_t len = strlen(text);

	assert_true(len < sizeof(e->req_text));
	memcpy(e->req_text, text, len);
	http_msg_init(&e->req, e->req_hdr, HTTP_MAX_HDR, true);
	int rc = h1_parse_request(&p, &e->req, e->req_text, (uint32_t)len);
	if (rc != (int)len)
		fail_msg("request: %d %s", rc, h1_error_name(p.err));
	e->view.req = &e->req;
}

static inline void
env_response(struct env *e, const char *text)
{
	struct h1_parser p = { 0 };
	size_t len = strlen(text);

	assert_true(len < sizeof(e->res_text));
	memcpy(e->res_text, text, len);
	http_msg_init(&e->res, e->res_hdr, HTTP_MAX_HDR, false);
	int rc = h1_parse_response(&p, &e->res, e->res_text, (uint32_t)len, HTTP_GET);
	if (rc != (int)len)
		fail_msg("response: %d %s", rc, h1_error_name(p.err));
	e->view.res = &e->res;
}

static inline void
env_open(struct env *e)
{
	static bool opened;
	const char *dup = "";

	if (!opened && expr_init(&dup) < 0)
		fail_msg("expr_init: %s", dup);
	opened = true;
	memset(e, 0, sizeof(*e));
	e->src = (struct arena_src){
		.get = env_get, .put = env_put, .defer = env_defer, .ctx = &e->defers
	};
	arena_init(&e->mem, &e->src);
	arena_init(&e->txn, &e->src);
	e->diag = (struct expr_diag){ .error = env_error, .ctx = e };
	e->comp = (struct expr_comp){ .mem = &e->mem,
		.diag = &e->diag,
		.acls = acl_scope_new(&e->mem),
		.pats = pat_set_new(),
		.point = EVAL_HTTP_REQ };
	rand_seed(&e->rand, 7);
	e->fe = (struct proxy){ .name = SL_STR("front"), .id = 2 };
	e->be = (struct proxy){ .name = SL_STR("back"), .id = 3 };
	e->srv = (struct server){ .name = SL_STR("s1"), .id = 1 };
	e->view = (struct txn_view){ .fe = &e->fe,
		.be = &e->be,
		.vars = &e->vars,
		.rand = &e->rand,
		.now_us = 1,
		.wall_us = 1700000000123456ull };
	addr_parse(SL_STR("127.0.0.1"), &e->view.src.ip);
	e->view.src.port = 40000;
	addr_parse(SL_STR("10.0.0.80"), &e->view.dst.ip);
	e->view.dst.port = 80;
}

static inline void
env_close(struct env *e)
{
	for (struct env_defer *d = e->defers, *next; d != NULL; d = next) {
		next = d->next;
		d->fn(d->p);
		free(d);
	}
	pat_set_free(e->comp.pats);
	arena_reset(&e->mem);
	arena_reset(&e->txn);
}

/* Splits at blanks. */
static inline uint32_t
env_words(const char *text, struct sl_str *word, uint32_t max)
{
	struct sl_str rest = sl_str_c(text);
	uint32_t n = 0;

	while (rest.p != NULL) {
		struct sl_str w = sl_str_cut(&rest, ' ');
		if (w.len == 0)
			continue;
		assert_true(n < max);
		word[n++] = w;
	}
	return n;
}

static inline enum prog_status
env_run(struct env *e, const struct prog *p, struct prog_cursor *c)
{
	struct prog_env pe = { .view = &e->view, .mem = &e->txn };

	prog_start(c, p);
	return prog_run(c, &pe);
}

/* Compiles an expression; NULL after an error. */
static inline const struct prog *
env_expr(struct env *e, const char *text, enum sample_type want)
{
	struct prog_builder *b = prog_begin(&e->comp);

	e->nerrors = 0;
	e->error[0] = '\0';
	if (b == NULL || prog_add_expr(b, sl_str_c(text), want) < 0)
		return NULL;
	return prog_end(b);
}

static inline const struct prog *
env_fmt(struct env *e, const char *text)
{
	struct prog_builder *b = prog_begin(&e->comp);

	e->nerrors = 0;
	e->error[0] = '\0';
	if (b == NULL || prog_add_fmt(b, sl_str_c(text)) < 0)
		return NULL;
	return prog_end(b);
}

static inline const struct prog *
env_cond(struct env *e, const char *text, bool unless)
{
	struct prog_builder *b = prog_begin(&e->comp);
	struct sl_str word[64];

	e->nerrors = 0;
	e->error[0] = '\0';
	if (b == NULL || prog_add_cond(b, word, env_words(text, word, 64), unless) < 0)
		return NULL;
	return prog_end(b);
}

/* The value of an expression as text; NULL: no sample. Fails with the line of the table. */
static inline const char *
env_value(struct env *e, int line, const char *text)
{
	const struct prog *p = env_expr(e, text, T_ANY);
	struct prog_cursor c;

	if (p == NULL)
		fail_msg("line %d: '%s': %s", line, text, e->error);
	if (env_run(e, p, &c) != PROG_END || c.sp != 1)
		fail_msg("line %d: '%s' did not end", line, text);
	struct sample *s = &c.stack[0];
	if (s->type == T_ANY)
		return NULL;
	if (!sample_cast(s, T_STR, &e->txn))
		fail_msg("line %d: '%s' gives no text", line, text);
	return arena_str(&e->txn, s->s).p;
}

/* A row of a table: expression and its value as HAProxy gives it. */
struct value_row {
	int line;
	const char *expr, *want;
};

static inline void
env_values(struct env *e, const struct value_row *row, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *got = env_value(e, row[i].line, row[i].expr);
		bool same = got == NULL || row[i].want == NULL ? got == row[i].want
							       : strcmp(got, row[i].want) == 0;
		if (!same)
			fail_msg("line %d: '%s' is '%s', not '%s'", row[i].line, row[i].expr,
				got ? got : "(none)", row[i].want ? row[i].want : "(none)");
	}
}
