// SPDX-License-Identifier: BSD-3-Clause
/*
 * How connections are used over several exchanges: keep-alive, idle server connections and their
 * ends, balancing, the queue, limits, dates.
 */
#include "dataplane/proxy/px.h"
#include "tests/harness/px_env.h"

#define G(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct px_env e;

/* ---- memory of a session ---- */

/* A variable set anew by each request of one connection takes no more memory, and others stay. */
static void
test_session_vars(void **state sl_unused)
{
	static const char *const list[] = { "set-var(sess.k) path if !{ var(sess.k) -m found }",
		"set-var(sess.x) req.hdr(x-big)", "set-header x-k %[var(sess.k)]",
		"del-header x-big", NULL };
	static char big[3000], text[4000];
	struct fake *c;

	memset(big, 'b', sizeof(big) - 1);
	px_env_init(&e);
	e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, list);
	assert_non_null(e.fe.http_req);
	px_env_start(&e);
	c = px_env_client(&e);
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "GET /%d HTTP/1.1\r\nHost: a\r\nx-big: %s\r\n\r\n", i,
			big);
		px_env_ask(&e, c, text);
	}
	assert_int_equal(px_env_count(px_env_got(c), "200 OK"), 40);
	assert_int_equal(px_env_count(px_env_got(px_env_backend(&e, 0)), "x-k: /0\r\n"), 40);
	assert_in_range(e.lc->px->small.used + e.lc->px->large.used, 1, 2);
	px_env_end(&e);
}

/* ---- reuse ---- */

static void
test_reuse(void **state sl_unused)
{
	struct fake *c1, *c2;

	px_env_init(&e);
	px_env_start(&e);
	c1 = px_env_client(&e);
	for (int i = 0; i < 5; i++)
		px_env_ask(&e, c1, G("/"));
	assert_int_equal(px_env_count(px_env_got(c1), "200 OK"), 5);
	assert_int_equal(e.net.connects, 1);
	// "safe": the first request of another client does not take the idle one, its second may
	c2 = px_env_client(&e);
	px_env_ask(&e, c2, G("/"));
	assert_int_equal(e.net.connects, 2);
	px_env_ask(&e, c2, G("/"));
	assert_int_equal(e.net.connects, 2);
	assert_int_equal(idle_count(e.lc, 0), 2);
	// idle ones age, and leave when the server ends or speaks
	fake_fin(px_env_backend(&e, 0));
	px_env_run(&e);
	assert_int_equal(idle_count(e.lc, 0), 1);
	fake_give(px_env_backend(&e, 0), "x", 1);
	px_env_run(&e);
	assert_int_equal(idle_count(e.lc, 0), 0);
	px_env_ask(&e, c1, G("/"));
	assert_int_equal(e.net.connects, 3);
	assert_int_equal(idle_count(e.lc, 0), 1);
	px_env_wait(&e, 6000);
	assert_int_equal(idle_count(e.lc, 0), 0);
	assert_null(px_env_backend(&e, 0));
	px_env_end(&e);
}

static void
say_nothing(struct px_env *env sl_unused, struct fake *f sl_unused)
{
}

/* A server that speaks in the very burst that opens the connection, before it has our request. */
static void
test_early_server(void **state sl_unused)
{
	static const char early[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
	struct fake *c, *f;

	for (uint32_t n = 1; n < sizeof(early); n++) {
		px_env_init(&e);
		e.connect[0] = FAKE_SILENT;
		e.on_server = say_nothing;
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, G("/"));
		f = px_env_backend(&e, 0);
		assert_non_null(f);
		fake_give(f, early, n);
		f->pend |= CONN_EV_CONNECTED;
		px_env_run(&e);
		assert_non_null(strstr(px_env_got(f), "GET / HTTP/1.1"));
		if (n < sizeof(early) - 1)
			fake_give(f, early + n, (uint32_t)sizeof(early) - 1 - n);
		px_env_run(&e);
		assert_string_equal(px_env_got(c), early);
		px_env_end(&e);
	}
}

static void
test_no_reuse(void **state sl_unused)
{
	static const uint32_t options[] = { PX_O_SERVER_CLOSE, PX_O_CLOSE };

	for (size_t i = 0; i < SL_ARRAY_SIZE(options); i++) {
		struct fake *c;

		px_env_init(&e);
		e.be.options |= options[i];
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, G("/"));
		px_env_ask(&e, c, G("/"));
		assert_int_equal(px_env_count(px_env_got(c), "200 OK"), 2);
		assert_int_equal(e.net.connects, 2);
		assert_int_equal(idle_count(e.lc, 0), 0);
		px_env_end(&e);
	}
}

/* The reused connection dies under the request. */
static int deaths;

static void
serve_once(struct px_env *env sl_unused, struct fake *f)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

	if (f->user_gone || f->dead ||
		memmem(f->out + f->seen, f->out_len - f->seen, "\r\n\r\n", 4) == NULL)
		return;
	f->seen = f->out_len;
	if (f->served++ == 0) {
		fake_give(f, ok, sizeof(ok) - 1);
	} else {
		deaths++;
		fake_fin(f);
	}
}

static void
test_replay(void **state sl_unused)
{
	const struct logrec *r;
	struct fake *c;

	px_env_init(&e);
	e.on_server = serve_once;
	px_env_start(&e);
	c = px_env_client(&e);
	deaths = 0;
	px_env_ask(&e, c, G("/1"));
	px_env_ask(&e, c, G("/2"));
	assert_int_equal(deaths, 1);
	assert_int_equal(px_env_count(px_env_got(c), "200 OK"), 2);
	r = px_env_log(&e);
	assert_int_equal(r->retries, 0);
	r = px_env_log(&e);
	assert_int_equal(r->retries, 1);
	assert_int_equal(r->status, 200);
	// not idempotent: the client sees its connection end and decides itself
	px_env_ask(&e, c, "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(deaths, 2);
	assert_int_equal(px_env_count(px_env_got(c), "HTTP/1.1 "), 2);
	assert_true(c->shut || c->user_gone);
	r = px_env_log(&e);
	assert_memory_equal(r->term, "SH", 2);
	px_env_end(&e);
}

/* ---- balancing and limits ---- */

static void
test_balance(void **state sl_unused)
{
	struct fake *c;

	px_env_init(&e);
	e.be.nservers = 4;
	e.srv[0].weight = 3;
	e.srv[1].weight = 2;
	e.srv[3].disabled = true;
	e.be.options |= PX_O_SERVER_CLOSE;
	px_env_start(&e);
	c = px_env_client(&e);
	for (int i = 0; i < 12; i++)
		px_env_ask(&e, c, G("/"));
	assert_int_equal(e.connects[0], 6);
	assert_int_equal(e.connects[1], 4);
	assert_int_equal(e.connects[2], 2);
	assert_int_equal(e.connects[3], 0);
	// a server goes down: nobody goes there, its idle connections end
	atomic_store(&e.bal->srv[0].state, SRV_DOWN);
	px_main_message(e.lc, &(struct xmsg){ .w = { XMSG_SERVER_STATE, 0 } });
	for (int i = 0; i < 6; i++)
		px_env_ask(&e, c, G("/"));
	assert_int_equal(e.connects[0], 6);
	px_env_end(&e);
}

static void
test_queue(void **state sl_unused)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
	struct fake *c[5];

	px_env_init(&e);
	e.srv[0].maxconn = 2;
	e.on_server = px_env_hang;
	px_env_start(&e);
	for (int i = 0; i < 5; i++) {
		c[i] = px_env_client(&e);
		px_env_ask(&e, c[i], G("/"));
	}
	assert_int_equal(e.net.connects, 2);
	assert_int_equal(queue_len(e.lc, &e.be), 3);
	assert_int_equal(srv_cur(e.lc, &e.srv[0]), 2);
	// in order, never more than two
	for (int i = 0; i < 5; i++) {
		struct fake *b = px_env_backend(&e, 0);

		while (b->served > 0 || memmem(b->out, b->out_len, "\r\n\r\n", 4) == NULL)
			b++;
		b->served = 1;
		fake_give(b, ok, sizeof(ok) - 1);
		fake_fin(b);
		px_env_run(&e);
		assert_int_equal(px_env_count(px_env_got(c[i]), "200 OK"), 1);
		assert_true(srv_cur(e.lc, &e.srv[0]) <= 2);
	}
	assert_int_equal(queue_len(e.lc, &e.be), 0);
	px_env_end(&e);
}

/* The token comes from another worker: its message, or the poll. */
static void
test_queue_other_worker(void **state sl_unused)
{
	for (int by_message = 0; by_message < 2; by_message++) {
		struct fake *c;

		px_env_init(&e);
		e.srv[0].maxconn = 1;
		px_env_start(&e);
		atomic_store(&e.bal->srv[0].cur, 1);
		c = px_env_client(&e);
		px_env_ask(&e, c, G("/"));
		assert_int_equal(atomic_load(&e.bal->px[1].waiters), 1);
		atomic_store(&e.bal->srv[0].cur, 0);
		if (by_message) {
			px_main_message(e.lc, &(struct xmsg){ .w = { XMSG_SRV_TOKEN, e.be.slot } });
			px_env_run(&e);
		} else {
			px_env_wait(&e, 10);
		}
		assert_int_equal(px_env_count(px_env_got(c), "200 OK"), 1);
		assert_int_equal(atomic_load(&e.bal->px[1].waiters), 0);
		px_env_end(&e);
	}
}

static void
test_frontend_maxconn(void **state sl_unused)
{
	struct fake *c[3];

	px_env_init(&e);
	e.fe.maxconn = 2;
	px_env_start(&e);
	uint64_t before = counter_get(&e.lc->drop[DROP_TCP_MAXCONN]);
	c[0] = px_env_client(&e);
	c[1] = px_env_client(&e);
	assert_null(px_env_client(&e));
	assert_int_equal(counter_get(&e.lc->drop[DROP_TCP_MAXCONN]) - before, 1);
	fake_rst(c[0]);
	px_env_run(&e);
	c[2] = px_env_client(&e);
	assert_non_null(c[2]);
	px_env_end(&e);
}

/* ---- dates ---- */

static void
test_keep_alive_timeout(void **state sl_unused)
{
	struct fake *c;

	px_env_init(&e);
	e.fe.timeout.http_keep_alive = 3000;
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/"));
	px_env_wait(&e, 2900);
	assert_false(c->user_gone);
	px_env_ask(&e, c, G("/"));
	px_env_wait(&e, 2900);
	assert_false(c->user_gone);
	px_env_wait(&e, 200);
	assert_true(c->user_gone);
	assert_int_equal(px_env_count(px_env_got(c), "HTTP/1.1 "), 2); // no 408
	px_env_end(&e);
}

static void
test_request_timeout_is_whole(void **state sl_unused)
{
	struct fake *c;

	px_env_init(&e);
	px_env_start(&e);
	c = px_env_client(&e);
	// a byte now and then does not help: 10 s for the whole head
	for (int i = 0; i < 9; i++) {
		fake_give(c, &"GET / HTT"[i], 1);
		px_env_run(&e);
		px_env_wait(&e, 1000);
	}
	assert_int_equal(c->out_len, 0);
	px_env_wait(&e, 1100);
	assert_int_equal(px_env_count(px_env_got(c), "HTTP/1.1 408"), 1);
	px_env_end(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_vars),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_early_server),
		cmocka_unit_test(test_no_reuse),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_queue_other_worker),
		cmocka_unit_test(test_frontend_maxconn),
		cmocka_unit_test(test_keep_alive_timeout),
		cmocka_unit_test(test_request_timeout_is_whole),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
