// SPDX-License-Identifier: BSD-3-Clause
/*
 * Client connections: how many a bind takes, which backend one in mode tcp goes to, how rules and a
 * soft stop end them, what a head in pieces costs, and which counters see its bytes.
 */
#include "dataplane/proxy/px.h"
#include "tests/harness/px_env.h"

#define G(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct px_env e;
static struct be_switch sw[2];

static void
test_bind_maxconn(void **state sl_unused)
{
	struct fake *c[3];
	uint64_t before;

	px_env_init(&e);
	e.bind.maxconn = 2;
	px_env_start(&e);
	before = counter_get(&e.lc->drop[DROP_TCP_MAXCONN]);
	c[0] = px_env_client(&e);
	c[1] = px_env_client(&e);
	assert_null(px_env_client(&e));
	assert_int_equal(counter_get(&e.lc->drop[DROP_TCP_MAXCONN]) - before, 1);
	// one that was refused holds no place anywhere
	assert_int_equal(atomic_load(&e.bal->conns), 2);
	assert_int_equal(atomic_load(&e.bal->px[0].conns), 2);
	fake_rst(c[0]);
	px_env_run(&e);
	c[2] = px_env_client(&e);
	assert_non_null(c[2]);
	px_env_end(&e);
	assert_non_null(c[1]);
}

/* ---- backends ---- */

/* A connection in mode tcp goes where the first rule that holds sends it, as a request does. */
static void
test_tcp_switch(void **state sl_unused)
{
	static const struct {
		int line;
		const char *cond[2];
		int want; // which of the servers is reached; -1: the client is let go
		bool def;
	} rows[] = {
		{ __LINE__, { "{ src 192.0.2.0/24 }", NULL }, 1, true },
		{ __LINE__, { "{ src 10.9.0.0/16 }", NULL }, 0, true },
		{ __LINE__, { "{ src 10.9.0.0/16 }", "{ dst_port 80 }" }, 1, true },
		{ __LINE__, { "{ path /x }", NULL }, 0, true },
		{ __LINE__, { "{ src 10.9.0.0/16 }", NULL }, -1, false },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		uint16_t port = 0;
		struct fake *c, *b;

		px_env_init(&e);
		e.fe.mode = e.be.mode = e.be2.mode = PX_TCP;
		e.on_server = px_env_hang;
		e.fe.switches = sw;
		for (uint32_t k = 0; k < 2 && rows[i].cond[k] != NULL; k++) {
			sw[k] = (struct be_switch){
				.cond = px_env_cond(&e, rows[i].cond[k]), .be = &e.be2
			};
			e.fe.nswitches++;
		}
		if (!rows[i].def)
			e.fe.default_be = NULL;
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, "x");
		b = px_env_backend(&e, 0);
		if (b != NULL)
			port = b->remote.port;
		if (port !=
			(rows[i].want < 0          ? 0
					: rows[i].want ? e.srv2[0].addr.port
						       : e.srv[0].addr.port))
			fail_msg("line %d: port %u", rows[i].line, port);
		if (rows[i].want < 0)
			assert_memory_equal(px_env_log(&e)->term, "SC", 2);
		else
			assert_int_equal(counter_get(&px_be_cnt(e.lc, rows[i].want ? &e.be2 : &e.be)->bytes_in), 1);
		px_env_end(&e);
	}
}

/* A rule that asks a script: the connection waits, bytes and all, and then goes on. */
static void
test_tcp_switch_parked(void **state sl_unused)
{
	for (int end = 0; end < 3; end++) {
		struct call_slot *call;
		struct fake *c;

		px_env_init(&e);
		e.fe.mode = e.be.mode = e.be2.mode = PX_TCP;
		e.on_server = px_env_hang;
		e.fe.switches = sw;
		e.fe.nswitches = 1;
		sw[0] = (struct be_switch){
			.cond = px_env_cond(&e, "{ lua.f -m str yes }"), .be = &e.be2
		};
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, "early");
		px_env_ask(&e, c, " bird");
		assert_null(px_env_backend(&e, 0));
		call = px_env_call(&e);
		assert_non_null(call);
		assert_null(px_env_call(&e));
		if (end == 2) { // the client goes first
			fake_rst(c);
			px_env_run(&e);
			assert_int_equal(px_streams(e.lc), 0);
		}
		call->end = CALL_OK;
		call->act = 0;
		call->value = (struct sample){ .type = T_STR,
			.s = end == 0 ? SL_STR("yes") : SL_STR("no") };
		px_env_reply(&e, call);
		if (end == 2) {
			assert_null(px_env_backend(&e, 0));
		} else {
			struct fake *b = px_env_backend(&e, 0);

			assert_non_null(b);
			assert_int_equal(b->remote.port,
				end == 0 ? e.srv2[0].addr.port : e.srv[0].addr.port);
			assert_string_equal(px_env_got(b), "early bird");
		}
		px_env_end(&e);
	}
}

/* The head counts for frontend, backend and server alike, in HAProxy's measure: h1_counted_size(). */
static void
test_bytes_in(void **state sl_unused)
{
	static const char post[] =
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
	const uint64_t both = 2 * (sizeof(post) - 1 + 15 - 2 * 4);
	struct fake *c;

	px_env_init(&e);
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, post);
	px_env_ask(&e, c, post);
	assert_int_equal(counter_get(&px_cnt(e.lc, &e.fe)->bytes_in), both);
	assert_int_equal(counter_get(&px_be_cnt(e.lc, &e.be)->bytes_in), both);
	assert_int_equal(counter_get(&e.lc->srv_cnt[0].bytes_in), both);
	px_env_end(&e);
}

/* ---- how connections end ---- */

/* "connection: close" of a rule ends the connection of its side, and only that. */
static void
test_close_by_rule(void **state sl_unused)
{
	static const char *const rule[] = { "set-header connection close if { path /c }",
		"set-header connection x-a", NULL };
	static const char *const res_rule[] = { "set-header Connection Close", NULL };
	struct fake *c;

	px_env_init(&e);
	e.be.http_res = px_env_rules(&e, EVAL_HTTP_RES, res_rule);
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/"));
	assert_non_null(strstr(px_env_got(c), "\r\nconnection: close\r\n"));
	assert_true(c->shut || c->user_gone);
	assert_int_equal(idle_count(e.lc, 0), 1);
	px_env_end(&e);

	px_env_init(&e);
	e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, (const char *const[]){ rule[0], NULL });
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/c"));
	assert_null(strstr(px_env_got(c), "onnection"));
	assert_false(c->shut || c->user_gone);
	assert_int_equal(idle_count(e.lc, 0), 0);
	px_env_ask(&e, c, G("/"));
	assert_int_equal(e.net.connects, 2);
	assert_int_equal(idle_count(e.lc, 0), 1);
	px_env_end(&e);

	// another token passes and closes nothing
	px_env_init(&e);
	e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, rule + 1);
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/"));
	assert_non_null(strstr(px_env_got(px_env_backend(&e, 0)), "connection: x-a\r\n"));
	assert_int_equal(idle_count(e.lc, 0), 1);
	px_env_end(&e);
}

/* Kept connections that wait for a next request end at once, the others with their request. */
static void
test_soft_stop(void **state sl_unused)
{
	static const struct env_answer answers[] = { { "/px_env_hang", NULL, ENV_HANG },
		{ NULL, NULL, ENV_KEEP } };
	struct fake *idle, *busy, *fresh;

	px_env_init(&e);
	e.answers = answers;
	px_env_start(&e);
	idle = px_env_client(&e);
	busy = px_env_client(&e);
	fresh = px_env_client(&e);
	px_env_ask(&e, idle, G("/"));
	px_env_ask(&e, busy, G("/px_env_hang"));
	px_stop(e.lc);
	px_env_run(&e);
	assert_true(idle->shut || idle->user_gone);
	assert_false(busy->shut || busy->user_gone);
	assert_false(fresh->shut || fresh->user_gone);
	assert_int_equal(px_sessions(e.lc), 2);
	px_env_ask(&e, fresh, G("/"));
	assert_non_null(strstr(px_env_got(fresh), "connection: close\r\n"));
	assert_true(fresh->shut || fresh->user_gone);
	px_env_ask(&e, px_env_backend(&e, 1), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	assert_non_null(strstr(px_env_got(busy), "connection: close\r\n"));
	assert_true(busy->shut || busy->user_gone);
	px_env_wait(&e, 3000);
	assert_int_equal(px_sessions(e.lc), 0);
	assert_null(px_env_client(&e));
	px_env_end(&e);
}

/* ---- heads in pieces ---- */

/* Small heads that come in pieces take small memory, large ones grow, and all stay whole. */
static void
test_slow_heads(void **state sl_unused)
{
	static char big[9000];
	struct fake *c[40];

	memset(big, 'b', sizeof(big) - 1);
	px_env_init(&e);
	px_env_start(&e);
	for (uint32_t i = 0; i < 40; i++) {
		c[i] = px_env_client(&e);
		px_env_ask(&e, c[i], "GET / HTTP/1.1\r\nHo");
		px_env_ask(&e, c[i], "st: a\r\nX-A: ");
	}
	assert_int_equal(e.lc->px->large.used, 0);
	for (uint32_t i = 0; i < 40; i++)
		px_env_ask(&e, c[i], "b\r\n\r\n");
	for (uint32_t i = 0; i < 40; i++)
		assert_non_null(strstr(px_env_got(c[i]), "200 OK"));
	px_env_ask(&e, c[0], "GET / HTTP/1.1\r\nHost: a\r\nX-First: 1\r\nX-Big: ");
	fake_give(c[0], big, 500); // in a small copy now, which grows
	px_env_run(&e);
	for (uint32_t i = 0; i < 9; i++)
		fake_give(c[0], big + 1000 * i, 999);
	px_env_ask(&e, c[0], "\r\nX-Last: 1\r\n\r\n");
	{
		const char *got = NULL;

		for (uint32_t i = 0; got == NULL && i < 42; i++) {
			struct fake *b = px_env_backend(&e, i);

			got = b != NULL ? strstr(px_env_got(b), "X-First: 1\r\nX-Big: bbb") : NULL;
		}
		assert_non_null(got);
		assert_non_null(strstr(got, "bbb\r\nX-Last: 1\r\n"));
	}
	px_env_end(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bind_maxconn),
		cmocka_unit_test(test_tcp_switch),
		cmocka_unit_test(test_tcp_switch_parked),
		cmocka_unit_test(test_bytes_in),
		cmocka_unit_test(test_close_by_rule),
		cmocka_unit_test(test_soft_stop),
		cmocka_unit_test(test_slow_heads),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
