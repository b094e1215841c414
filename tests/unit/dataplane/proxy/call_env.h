/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests of call slots share, from the worker's side. They play the script thread and the flow: call.c
 * is compiled in, what it needs of streams is below. Included once by each test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/proxy/call.h"
#include "dataplane/proxy/content.h"
#include "dataplane/proxy/stream.h"

#define NSLOTS   4u
#define NSTREAMS 16u

static struct world {
	struct lcore *lc;
	struct xmsg ring[2][64];
	struct call_lcore *calls;
	struct pool streams;
	void *mem;
	struct arena_map *map;
	struct model model;
	struct call_fn_count fn[8];
	struct proxy fe;
	struct session ses;
	/* what the flow was told */
	struct stream *told;
	struct call_result result;
	struct sample value;
	uint32_t ntold;
	/* of a service behind its head, as svc.c would keep it */
	struct stream *served;
	struct call_slot *svc_slot;
	enum call_end svc_end;
	uint32_t svc_asks, svc_ends;
} w;

/* ---- the flow's side of call_priv.h ---- */

struct call_lcore **
px_calls(struct lcore *lc sl_unused)
{
	return &w.calls;
}

struct sl_handle
stream_handle(const struct stream *s)
{
	return pool_handle(&w.streams, s);
}

struct stream *
stream_lookup(struct lcore *lc sl_unused, struct sl_handle h)
{
	return pool_lookup(&w.streams, h);
}

int
stream_set_var(
	struct stream *s, enum var_scope scope, struct sl_str name, const struct sample *value)
{
	return var_set(&s->vars, &s->arena, scope, name, value);
}

void
stream_unset_var(struct stream *s, enum var_scope scope, struct sl_str name)
{
	var_unset(&s->vars, scope, name);
}

static void
tell(struct stream *s, const struct call_result *r)
{
	w.told = s;
	w.result = *r;
	if (r->value != NULL)
		w.value = *r->value;
	w.ntold++;
}

void
stream_call_done(struct lcore *lc sl_unused, struct stream *s, const struct call_result *r)
{
	tell(s, r);
}

enum act_ret
stream_call_now(struct stream *s, const struct call_result *r, struct sample *out)
{
	tell(s, r);
	out->type = T_ANY;
	return r->verdict == CALLV_CONT ? ACT_CONT : ACT_DONE;
}

void
stream_set_call_deadline(struct stream *s, sl_tick at)
{
	s->call_exp = at;
}

bool
svc_holds(const struct stream *s, const struct call_slot *slot)
{
	return s == w.served && slot == w.svc_slot;
}

void
content_asked(struct stream *s sl_unused, struct call_slot *slot sl_unused)
{
}

int
content_apply(struct stream *s sl_unused, struct call_slot *slot sl_unused)
{
	return 0;
}

struct sl_str
logval_unique_id(struct stream *s sl_unused)
{
	return SL_STR("unique");
}

void
svc_asked(struct stream *s sl_unused, struct call_slot *slot sl_unused)
{
	w.svc_asks++;
}

void
svc_done(struct stream *s, struct call_slot *slot, enum call_end end)
{
	if (s->call.slot == slot)
		s->call.slot = NULL;
	w.svc_slot = NULL;
	w.svc_end = end;
	w.svc_ends++;
}

/* ---- set-up ---- */

static int
setup(void **state sl_unused)
{
	struct px_spec spec = { .nscripts = 1, .call_slots = NSLOTS };

	memset(&w, 0, sizeof(w));
	w.lc = aligned_alloc(SL_CACHE_LINE, SL_ALIGN_UP(sizeof(*w.lc), (size_t)SL_CACHE_LINE));
	memset(w.lc, 0, sizeof(*w.lc));
	w.lc->nscripts = 1;
	lcore_set_clock(w.lc, 5000000, 0);
	xring_init(&w.lc->script[0].to, w.ring[0], 64);
	xring_init(&w.lc->script[0].from, w.ring[1], 64);
	w.mem = calloc(1, pool_bytes(NSTREAMS, sizeof(struct stream)));
	pool_init(&w.streams, w.mem, NSTREAMS, sizeof(struct stream));
	w.map = arena_map_new();
	w.fe.mode = PX_HTTP;
	w.model.lua_fn = w.fn;
	assert_int_equal(call_attach(w.lc, &spec), 0);
	return 0;
}

static int
teardown(void **state sl_unused)
{
	call_detach(w.lc);
	arena_map_free(w.map);
	free(w.mem);
	free(w.lc);
	return 0;
}

static struct http_msg *
make_head(struct stream *s, struct http_msg *m, const char *text, uint32_t pad, bool request)
{
	struct arena *a = &s->arena;
	struct h1_parser p = { 0 };
	uint32_t len = (uint32_t)strlen(text), n = 0;
	char *base = arena_alloc(a, len + pad + 8 + HTTP_REWRITE);

	memcpy(base, text, len - 2);
	n = len - 2;
	if (pad >= 5) { // a header of that many bytes
		memcpy(base + n, "P: ", 3);
		memset(base + n + 3, 'x', pad - 5);
		memcpy(base + n + pad - 2, "\r\n", 2);
		n += pad;
	}
	memcpy(base + n, "\r\n", 2);
	n += 2;
	http_msg_init(
		m, arena_alloc(a, HTTP_MAX_HDR * sizeof(struct http_field)), HTTP_MAX_HDR, request);
	assert_int_equal(request ? h1_parse_request(&p, m, base, n)
				 : h1_parse_response(&p, m, base, n, HTTP_GET),
		n);
	m->cap = n + HTTP_REWRITE;
	m->flags |= HTTP_F_OWNED;
	return m;
}

static struct stream *
new_stream(uint32_t pad)
{
	struct stream *s = pool_new(&w.streams);

	assert_non_null(s);
	arena_init(&s->arena, arena_map_src(w.map));
	s->lc = w.lc;
	s->model = &w.model;
	s->fe = &w.fe;
	s->ses = &w.ses;
	s->view.vars = &s->vars;
	s->view.stream = s;
	s->view.req =
		make_head(s, &s->req, "GET /p HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n", pad, true);
	return s;
}

static sl_unused void
add_response(struct stream *s, uint32_t pad)
{
	s->phase = ST_RES_RULES_BE;
	s->view.res = make_head(s, &s->res, "HTTP/1.1 200 OK\r\nB: 2\r\n\r\n", pad, false);
}

static const struct prog_call plain = { .fn = 3, .kind = 'a' };

static enum act_ret
start(struct stream *s, const struct prog_call *c)
{
	struct sample out;

	return call_start(s, c, NULL, &out);
}

/* The next message to the script thread; its type. */
static uint16_t
taken(struct call_slot **slot, uint32_t *seq)
{
	struct xmsg m;

	if (!xring_pop(&w.lc->script[0].from, &m))
		return XMSG_NONE;
	*slot = (struct call_slot *)(uintptr_t)m.w[1];
	if (seq != NULL)
		*seq = (uint32_t)m.w[2];
	return (uint16_t)m.w[0];
}

static struct call_slot *
take(void)
{
	struct call_slot *slot = NULL;

	assert_int_equal(taken(&slot, NULL), XMSG_CALL);
	return slot;
}

static void
done(struct call_slot *slot, enum call_end end)
{
	struct xmsg m = { .w = { XMSG_CALL_DONE, (uintptr_t)slot } };

	slot->end = end;
	px_script_message(w.lc, 0, &m);
}

static sl_unused uint64_t
stat(enum lc_stat s)
{
	return counter_get(&w.lc->stat[s]);
}

static sl_unused struct sample
str(const char *t)
{
	return (struct sample){ .type = T_STR, .s = sl_str_c(t) };
}
