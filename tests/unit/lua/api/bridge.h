/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker played by the test: rings and slots as a real one has them, real script threads behind.
 * The test's thread is the worker's.
 */
#pragma once

#include "tests/unit/lua/api/load.h"

#include <time.h>

#include "dataplane/proxy/call.h"

#define BR_SLOTS   64u
#define BR_RING    256u
#define BR_THREADS 2u

static const char br_request[] = "GET /a/b.html?x=1&y=2 HTTP/1.1\r\n"
				 "Host: www.example.com\r\n"
				 "User-Agent: test\r\n"
				 "X-One: 1\r\n"
				 "A1: first, second\r\n"
				 "Accept: text/html\r\n"
				 "x-one: 2\r\n"
				 "Cookie: a=b\r\n"
				 "\r\n";
static const char br_response[] = "HTTP/1.1 404 Not Found\r\n"
				  "Server: s\r\n"
				  "Content-Length: 0\r\n"
				  "\r\n";

struct bridge {
	struct lcore *lc;
	struct script_gen *gen;
	struct model model;
	struct proxy fe;
	struct call_slot *slots;
	uint32_t next; // slot to use
	uint32_t calls;
	struct xmsg *ring[BR_THREADS][2];
	char logged[8192];
	_Atomic(uint32_t) nlogged;
};

static inline void
br_log(void *ctx, enum sl_level level, struct sl_str text)
{
	struct bridge *b = ctx;
	uint32_t at = atomic_load(&b->nlogged);
	char line[2048];
	int n = snprintf(line, sizeof(line), "%d:%.*s\n", (int)level, SL_STR_ARG(text));

	// several threads write
	do {
		if (n <= 0 || n >= (int)sizeof(line) || at + (uint32_t)n >= sizeof(b->logged))
			return;
	} while (!atomic_compare_exchange_weak(&b->nlogged, &at, at + (uint32_t)n));
	memcpy(b->logged + at, line, (size_t)n);
}

/* conf may be NULL. Script threads run afterwards; br_free() ends them. */
static inline struct bridge *
br_with(const char *text, const struct global_conf *conf, uint16_t nthreads, bool per_thread,
	const struct script_spec *more)
{
	struct bridge *b = calloc(1, sizeof(*b));
	struct script_err err = { "" };
	struct script_spec spec = *more;

	spec.nthreads = nthreads;
	spec.nlcores = 1;
	spec.log = br_log;
	spec.log_ctx = b;

	b->lc = aligned_alloc(SL_CACHE_LINE, SL_ALIGN_UP(sizeof(*b->lc), (size_t)SL_CACHE_LINE));
	memset(b->lc, 0, sizeof(*b->lc));
	b->lc->nlcores = 1;
	b->lc->nscripts = nthreads;
	assert_int_equal(waker_init(&b->lc->waker), 0);
	for (uint16_t i = 0; i < nthreads; i++) {
		for (int k = 0; k < 2; k++)
			b->ring[i][k] = calloc(BR_RING, sizeof(struct xmsg));
		xring_init(&b->lc->script[i].to, b->ring[i][0], BR_RING);
		xring_init(&b->lc->script[i].from, b->ring[i][1], BR_RING);
	}
	b->slots = aligned_alloc(SL_CACHE_LINE,
		SL_ALIGN_UP(BR_SLOTS * sizeof(struct call_slot), (size_t)SL_CACHE_LINE));
	memset(b->slots, 0, BR_SLOTS * sizeof(struct call_slot));
	assert_int_equal(script_gen_new(&b->gen), 0);
	if (conf != NULL)
		script_gen_conf(b->gen, conf);
	if (load_text(b->gen, text, per_thread, &err) < 0 ||
		(!per_thread && script_gen_ready(b->gen, nthreads, &err) < 0))
		fail_msg("%s", err.text);
	b->model.lua = b->gen;
	b->fe.mode = PX_HTTP;
	b->fe.name = SL_STR("fe");
	spec.lc = &b->lc;
	assert_int_equal(script_start(&spec), 0);
	return b;
}

static inline struct bridge *
br_start(const char *text, const struct global_conf *conf, uint16_t nthreads, bool per_thread)
{
	static const struct script_spec none = { 0 };

	return br_with(text, conf, nthreads, per_thread, &none);
}

static inline struct bridge *
br_new(const char *text, const struct global_conf *conf, uint16_t nthreads)
{
	return br_start(text, conf, nthreads, false);
}

static inline struct bridge *
br_new_per_thread(const char *text, const struct global_conf *conf, uint16_t nthreads)
{
	return br_start(text, conf, nthreads, true);
}

static inline void
br_free(struct bridge *b)
{
	script_stop();
	script_gen_free(b->gen);
	waker_fini(&b->lc->waker);
	for (uint16_t i = 0; i < b->lc->nscripts; i++) {
		for (int k = 0; k < 2; k++)
			free(b->ring[i][k]);
	}
	free(b->lc);
	free(b->slots);
	free(b);
}

static inline void
br_head(struct call_slot *s, struct http_msg *m, struct http_field *hdr, const char *text,
	bool request)
{
	uint32_t len = (uint32_t)strlen(text);
	char *base = call_alloc(s, len + HTTP_REWRITE);
	struct h1_parser p = { 0 };
	int rc;

	memcpy(base, text, len);
	http_msg_init(m, hdr, HTTP_MAX_HDR, request);
	rc = request ? h1_parse_request(&p, m, base, len)
		     : h1_parse_response(&p, m, base, len, HTTP_GET);
	assert_int_equal(rc, len);
	m->cap = len + HTTP_REWRITE;
	m->flags |= HTTP_F_OWNED;
}

/* A slot filled for a function by name; at a response when `res`. */
static inline struct call_slot *
br_slot(struct bridge *b, uint8_t kind, const char *fn, bool res)
{
	uint32_t i = b->next++ % BR_SLOTS;
	struct call_slot *s = &b->slots[i];
	int id = script_lookup(b->gen, (char)kind, sl_str_c(fn), NULL);

	if (id < 0)
		fail_msg("no function '%s'", fn);
	assert_false(s->busy);
	s->busy = true;
	if (s->index != i) // fixed for a worker; a late cancellation may look at it just now
		s->index = (uint16_t)i;
	s->seq++;
	s->stream = (struct sl_handle){ i, 2 * s->seq + 1 };
	s->kind = kind;
	s->fn = (uint16_t)id;
	s->model = &b->model;
	s->nargs = 0;
	s->id = SL_STR("");
	s->point = res ? EVAL_HTTP_RES : EVAL_HTTP_REQ;
	s->used = 0;
	s->full = false;
	s->first = s->last = NULL;
	s->vars = (struct vars){ 0 };
	s->view = (struct txn_view){ .vars = &s->vars,
		.fe = &b->fe,
		.req = &s->req,
		.now_us = 1000000,
		.wall_us = 1700000000000000ull,
		.unique = 7 };
	assert_int_equal(addr_parse(SL_STR("192.0.2.1"), &s->view.src.ip), 0);
	assert_int_equal(addr_parse(SL_STR("198.51.100.2"), &s->view.dst.ip), 0);
	s->view.src.port = 4711;
	s->view.dst.port = 80;
	br_head(s, &s->req, s->req_hdr, br_request, true);
	if (res) {
		br_head(s, &s->res, s->res_hdr, br_response, false);
		s->view.res = &s->res;
	}
	return s;
}

static inline void
br_push(struct bridge *b, struct call_slot *s, uint16_t thread)
{
	struct xmsg m = { .w = { XMSG_CALL, (uintptr_t)s } };

	s->script = thread;
	assert_true(xring_push(&b->lc->script[thread].from, &m));
	waker_wake(b->lc->script[thread].peer);
}

static inline void
br_cancel(struct bridge *b, struct call_slot *s, uint32_t seq)
{
	struct xmsg m = { .w = { XMSG_CALL_CANCEL, (uintptr_t)s, seq } };

	assert_true(xring_push(&b->lc->script[s->script].from, &m));
	waker_wake(b->lc->script[s->script].peer);
}

/* The next answer, or NULL if there is none at the moment. */
static inline struct call_slot *
br_poll(struct bridge *b)
{
	struct xmsg m;

	for (uint16_t i = 0; i < b->lc->nscripts; i++) {
		if (!xring_pop(&b->lc->script[i].to, &m))
			continue;
		assert_int_equal(m.w[0], XMSG_CALL_DONE);
		struct call_slot *s = (struct call_slot *)(uintptr_t)m.w[1];
		assert_true(s->busy);
		s->busy = false;
		b->calls++;
		return s;
	}
	return NULL;
}

/* Waits for an answer; the test framework's limit bounds it. */
static inline struct call_slot *
br_wait(struct bridge *b)
{
	struct timespec ts = { .tv_nsec = 20000 };
	struct call_slot *s;

	while ((s = br_poll(b)) == NULL)
		nanosleep(&ts, NULL);
	return s;
}

static inline struct call_slot *
br_call(struct bridge *b, uint8_t kind, const char *fn, bool res)
{
	br_push(b, br_slot(b, kind, fn, res), 0);
	return br_wait(b);
}

/* Buffers for br_result(). */
#define BR_TEXT 256

/* "str:x", "sint:1", "bool:0", "none" or "error:text" of a finished fetch or converter. */
static inline const char *
br_result(const struct call_slot *s, char *out, size_t size)
{
	if (s->end != CALL_OK)
		snprintf(out, size, "error:%s", s->error);
	else if (s->value.type == T_STR)
		snprintf(out, size, "str:%.*s", SL_STR_ARG(s->value.s));
	else if (s->value.type == T_SINT)
		snprintf(out, size, "sint:%lld", (long long)s->value.i);
	else if (s->value.type == T_BOOL)
		snprintf(out, size, "bool:%lld", (long long)s->value.i);
	else
		snprintf(out, size, "none");
	return out;
}
