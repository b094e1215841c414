// SPDX-License-Identifier: BSD-3-Clause
/*
 * The HTTP/1 mux by itself: heads whole and in pieces, bodies with and without their framing, what
 * is sent around a body, and how a connection ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_mempool.h>

#include "dataplane/mux/mux_h1.h"
#include "tests/harness/eal.h"
#include "tests/harness/fake_conn.h"

static struct lcore *lc;
static struct fake_net net;

/* A user that takes requests, collects their bodies and answers when they are complete. */
static struct user {
	struct muxs *ms;
	struct http_msg msg;
	struct http_field hdr[HTTP_MAX_HDR];
	char mem[HTTP_MAX_HEAD + HTTP_REWRITE];
	char body[4096];
	uint32_t len, opened, gone, events;
	bool eom, raw, hold;
	const char *answer; // body of the answer; NULL: none is given
	bool chunked, close;
	enum mux_err err;
} u;

static void
answer(void)
{
	static struct http_field hdr[8];
	static char mem[512];
	struct http_msg m;
	struct chain c;

	http_msg_init(&m, hdr, 8, false);
	m.base = mem;
	m.cap = sizeof(mem);
	m.flags |= HTTP_F_OWNED;
	m.framing = u.chunked ? HTTP_BODY_CHUNKED : HTTP_BODY_LENGTH;
	assert_int_equal(http_set_status(&m, 200, SL_STR("OK")), 0);
	chain_init(&c);
	assert_int_equal(chain_copy_in(lc, &c, u.answer, (uint32_t)strlen(u.answer)), 0);
	assert_int_equal(muxs_send_head(lc, u.ms, &m, &c, true, u.close), 0);
	muxs_detach(lc, u.ms);
	u.ms = NULL;
}

static void *
on_open(struct lcore *l sl_unused, void *owner sl_unused, struct mux *mx sl_unused, struct muxs *ms)
{
	u.ms = ms;
	u.opened++;
	u.len = 0;
	u.eom = false;
	muxs_set_msg(ms, &u.msg, u.hdr, HTTP_MAX_HDR);
	return &u;
}

static char *
on_head_mem(
	struct lcore *l sl_unused, struct muxs *ms sl_unused, void *user sl_unused, uint32_t size)
{
	assert_true(size <= sizeof(u.mem));
	return u.mem;
}

static void
take_body(void)
{
	struct chain c;
	int rc;

	chain_init(&c);
	rc = muxs_recv(lc, u.ms, 100000, &c, &u.eom);
	assert_true(rc >= 0 || rc == -EBADMSG);
	u.len += chain_copy_out(&c, 0, u.body + u.len, c.len);
	chain_free(lc, &c);
}

static void
on_event(struct lcore *l sl_unused, struct muxs *ms, void *user sl_unused, uint32_t ev)
{
	u.events |= ev;
	if ((ev & MUX_EV_HEAD) != 0) {
		muxs_set_raw(ms, u.raw, false);
		if ((u.msg.flags & HTTP_F_OWNED) == 0)
			assert_int_equal(muxs_own(lc, ms, u.mem, sizeof(u.mem)), 0);
	}
	if ((ev & MUX_EV_ERROR) != 0)
		u.err = muxs_error(ms);
	if ((ev & (MUX_EV_HEAD | MUX_EV_BODY)) != 0 && !u.hold)
		take_body();
	if (muxs_error(ms) != MUX_OK) {
		u.err = muxs_error(ms);
		muxs_detach(lc, ms);
		u.ms = NULL;
	} else if (u.eom && u.answer != NULL) {
		answer();
	}
}

static void
on_gone(struct lcore *l sl_unused, void *owner sl_unused, struct mux *mx sl_unused)
{
	u.gone++;
}

static const struct mux_user user = {
	.open = on_open,
	.head_mem = on_head_mem,
	.event = on_event,
	.gone = on_gone,
};

static void *
on_accept(struct lcore *l, void *cookie sl_unused, struct conn *c)
{
	return mux_new(l, c, true, &user, &u);
}

static const struct conn_handler listener = { .accept = on_accept, .event = mux_conn_event };
static const struct ip_port here = { .ip = { .v4 = 1, .family = ADDR_V4 }, .port = 80 };

static int
group_setup(void **state sl_unused)
{
	struct lcore_spec spec = { .nlcores = 1, .socket = -1, .npx = 1, .nbind = 1, .nsrv = 1 };

	if (test_eal_start() < 0)
		return -1;
	spec.pool_size = 1023;
	spec.pool = test_pool_new("mux", spec.pool_size);
	if (spec.pool == NULL)
		return -1;
	lc = lcore_new(&spec);
	return lc != NULL ? 0 : -1;
}

static int
setup(void **state sl_unused)
{
	memset(&u, 0, sizeof(u));
	lcore_set_clock(lc, 1000000, 1000000);
	wheel_init(&lc->wheel, lc->now);
	fake_net_init(&net, lc);
	fake_transport.listen(lc, &here, &listener, NULL);
	return mux_attach(lc, 8);
}

static int
teardown(void **state sl_unused)
{
	for (uint32_t i = 0; i < FAKE_MAX; i++)
		if (net.conn[i].used && !net.conn[i].user_gone)
			fake_rst(&net.conn[i]);
	while (fake_run(&net))
		;
	assert_int_equal(lc->mux->muxes.used, 0);
	assert_int_equal(lc->mux->streams.used, 0);
	assert_int_equal(fake_net_fini(&net), 0);
	mux_detach(lc);
	assert_int_equal(rte_mempool_in_use_count(lc->pool), 0);
	return 0;
}

static void
run(void)
{
	while (fake_run(&net) || wheel_advance(&lc->wheel, lc->now, 64, lc) > 0)
		;
}

static void
give(struct fake *c, const char *text)
{
	fake_give(c, text, (uint32_t)strlen(text));
	run();
}

static struct fake *
client(void)
{
	struct ip_port from = here;

	return fake_client(&net, &here, &from);
}

static void
is_out(struct fake *c, const char *want)
{
	assert_int_equal(c->out_len, strlen(want));
	assert_memory_equal(c->out, want, c->out_len);
}

#define POST "POST /x HTTP/1.1\r\nHost: a\r\n"

/* Bodies as received at every split: what the user reads. */
static void
test_bodies(void **state sl_unused)
{
	static const struct {
		int line;
		const char *request;
		bool raw;
		const char *body;
		enum mux_err err;
	} rows[] = {
		{ __LINE__, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, "", MUX_OK },
		{ __LINE__, POST "Content-Length: 5\r\n\r\nhello", false, "hello", MUX_OK },
		{ __LINE__, POST "Content-Length: 0\r\n\r\n", false, "", MUX_OK },
		{ __LINE__,
			POST
			"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\n yo\r\n0\r\nt: u\r\n\r\n",
			false, "hello yo", MUX_OK },
		{ __LINE__,
			POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nt: u\r\n\r\n",
			true, "5\r\nhello\r\n0\r\nt: u\r\n\r\n", MUX_OK },
		{ __LINE__, POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhellox\r\n", false, NULL,
			MUX_ERR_PARSE },
		{ __LINE__, POST "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", true,
			NULL, MUX_ERR_PARSE },
		{ __LINE__, "GET / HTTP/1.1\r\nHost : a\r\n\r\n", false, NULL, MUX_ERR_PARSE },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		uint32_t n = (uint32_t)strlen(rows[i].request);

		for (uint32_t cut = 0; cut < n; cut++) {
			struct fake *c = client();

			u.raw = rows[i].raw;
			u.answer = "";
			u.err = MUX_OK;
			fake_give(c, rows[i].request, cut);
			run();
			fake_give(c, rows[i].request + cut, n - cut);
			run();
			if (u.err != rows[i].err)
				fail_msg("line %d cut %u: error %d", rows[i].line, cut, u.err);
			if (rows[i].body != NULL &&
				(u.len != strlen(rows[i].body) ||
					memcmp(u.body, rows[i].body, u.len) != 0))
				fail_msg("line %d cut %u: '%.*s'", rows[i].line, cut, (int)u.len,
					u.body);
			if (!c->user_gone)
				fake_rst(c);
			run();
			fake_forget(c);
		}
	}
}

static void
test_framing_out(void **state sl_unused)
{
	struct fake *c = client();

	u.answer = "hello";
	u.chunked = true;
	give(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	is_out(c, "HTTP/1.1 200 OK\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
	assert_int_equal(c->segs, 1);
	assert_false(c->shut);
}

static void
test_pipeline(void **state sl_unused)
{
	struct fake *c = client();

	u.answer = "x";
	give(c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3");
	assert_int_equal(u.opened, 3);
	is_out(c, "HTTP/1.1 200 OK\r\n\r\nxHTTP/1.1 200 OK\r\n\r\nx");
	give(c, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_int_equal(u.opened, 3);
	assert_true(c->user_gone);
	assert_int_equal(u.gone, 0); // told by muxs_detach()
}

/* A connection that we end reads on for a while, and then ends whatever the client does. */
static void
test_linger(void **state sl_unused)
{
	for (int fin = 0; fin < 2; fin++) {
		struct fake *c = client();

		u.answer = "bye";
		u.close = true;
		give(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		assert_true(c->shut);
		assert_false(c->user_gone);
		give(c, "GET /more HTTP/1.1\r\nHost: a\r\n\r\n");
		assert_int_equal(c->rx.len, 0); // read, not looked at
		assert_int_equal(u.opened, fin + 1);
		if (fin) {
			fake_fin(c);
			run();
		} else {
			lcore_set_clock(lc, lc->now_us + MUX_LINGER_MS * 1000 - 1000, 0);
			run();
			assert_false(c->user_gone);
			lcore_set_clock(lc, lc->now_us + 2000, 0);
			run();
		}
		assert_true(c->user_gone);
		assert_false(c->reset);
	}
}

static void
test_discard(void **state sl_unused)
{
	struct fake *c = client();

	u.hold = true;
	give(c, POST "Content-Length: 10\r\n\r\n12345");
	muxs_rx_discard(lc, u.ms);
	assert_int_equal(c->rx.len, 0);
	assert_false(muxs_rx_done(u.ms));
	give(c, "67890GET");
	assert_true(muxs_rx_done(u.ms));
	u.answer = "x";
	u.hold = false;
	answer();
	run();
	assert_int_equal(u.opened, 2); // the next request begins behind the body
	give(c, " / HTTP/1.1\r\nHost: a\r\n\r\n");
	is_out(c, "HTTP/1.1 200 OK\r\n\r\nxHTTP/1.1 200 OK\r\n\r\nx");
}

/* Heads that lie in several buffers, with bytes behind them; nothing of them stays queued. */
static void
test_gathered(void **state sl_unused)
{
	static char head[9000];
	struct fake *c = client();
	uint32_t n = (uint32_t)snprintf(
		head, sizeof(head), POST "X: %04000d\r\nContent-Length: 4\r\n\r\nbody", 1);

	u.answer = "x";
	fake_give(c, head, 3000);
	run();
	assert_int_equal(c->rx.len, 0);
	fake_give(c, head + 3000, n - 3000);
	run();
	assert_int_equal(u.len, 4);
	assert_memory_equal(u.body, "body", 4);
	assert_int_equal(c->rx.len, 0);
	is_out(c, "HTTP/1.1 200 OK\r\n\r\nx");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bodies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_framing_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipeline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_linger, setup, teardown),
		cmocka_unit_test_setup_teardown(test_discard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gathered, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
