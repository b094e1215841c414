// SPDX-License-Identifier: BSD-3-Clause
/*
 * Mode tcp: bytes both ways, each direction ended by itself, and what the record says of the end.
 */
#include "dataplane/proxy/px.h"
#include "tests/harness/px_env.h"

static struct px_env e;

/* ---- mode tcp ---- */

static void
tcp_start(void)
{
	px_env_init(&e);
	e.fe.mode = e.be.mode = PX_TCP;
	e.on_server = px_env_hang;
	e.be.timeout.connect = 300;
	px_env_start(&e);
}

static void
test_tcp(void **state sl_unused)
{
	const struct logrec *r;
	struct fake *c, *b;

	tcp_start();
	c = px_env_client(&e);
	px_env_run(&e);
	b = px_env_backend(&e, 0);
	assert_non_null(b); // without a byte of the client's
	px_env_ask(&e, c, "ping");
	assert_string_equal(px_env_got(b), "ping");
	px_env_ask(&e, b, "pong");
	assert_string_equal(px_env_got(c), "pong");
	fake_fin(c);
	px_env_run(&e);
	assert_true(b->shut);
	assert_false(c->shut);
	px_env_ask(&e, b, " and more");
	assert_string_equal(px_env_got(c), "pong and more");
	fake_fin(b);
	px_env_run(&e);
	r = px_env_log(&e);
	assert_non_null(r);
	assert_memory_equal(r->term, "--", 2);
	assert_int_equal(r->bytes_out, 13);
	assert_int_equal(r->bytes_in, 4);
	assert_int_equal(px_streams(e.lc), 0);
	px_env_end(&e);
}

static void
test_tcp_ends(void **state sl_unused)
{
	static const struct {
		int line;
		enum fake_answer connect;
		int what; // 0: nothing, 1: client resets, 2: server resets, 3: client ends, 4: server
		uint32_t wait;
		const char *term;
	} rows[] = {
		{ __LINE__, FAKE_REFUSE, 0, 3000, "SC" },
		{ __LINE__, FAKE_SILENT, 0, 3000, "sC" },
		{ __LINE__, FAKE_SILENT, 1, 0, "CC" },
		{ __LINE__, FAKE_ACCEPT, 1, 0, "CD" },
		{ __LINE__, FAKE_ACCEPT, 2, 0, "SD" },
		{ __LINE__, FAKE_ACCEPT, 0, 21000, "cD" },
		{ __LINE__, FAKE_NO_PORT, 0, 0, "RC" },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct logrec *r;
		struct fake *c;

		tcp_start();
		e.connect[0] = rows[i].connect;
		c = px_env_client(&e);
		px_env_ask(&e, c, "x");
		if (rows[i].what == 1)
			fake_rst(c);
		if (rows[i].what == 2)
			fake_rst(px_env_backend(&e, 0));
		px_env_run(&e);
		px_env_wait(&e, rows[i].wait);
		r = px_env_log(&e);
		if (r == NULL || memcmp(r->term, rows[i].term, 2) != 0)
			fail_msg("line %d: %.2s, want %s", rows[i].line, r != NULL ? r->term : "??",
				rows[i].term);
		px_env_end(&e);
	}
}

/* Data and a reset in one burst: the server's last words reach the client, whose end is orderly. */
static void
test_last_words(void **state sl_unused)
{
	for (int half = 0; half < 2; half++) {
		const struct logrec *r;
		struct fake *c, *b;

		tcp_start();
		c = px_env_client(&e);
		px_env_ask(&e, c, "quit");
		if (half)
			fake_fin(c);
		px_env_run(&e);
		b = px_env_backend(&e, 0);
		fake_give(b, "bye", 3);
		fake_rst(b);
		px_env_run(&e);
		assert_string_equal(px_env_got(c), "bye");
		assert_true(c->user_gone);
		assert_false(c->reset);
		r = px_env_log(&e);
		assert_non_null(r);
		assert_memory_equal(r->term, "SD", 2);
		assert_int_equal(r->bytes_out, 3);
		px_env_end(&e);
	}
}

/* The same of a client: the server gets them, and then an end. Without any, it is reset too. */
static void
test_client_last_words(void **state sl_unused)
{
	for (int words = 0; words < 2; words++) {
		const struct logrec *r;
		struct fake *c, *b;

		tcp_start();
		c = px_env_client(&e);
		px_env_run(&e);
		b = px_env_backend(&e, 0);
		if (words)
			fake_give(c, "quit", 4);
		fake_rst(c);
		px_env_run(&e);
		assert_string_equal(px_env_got(b), words ? "quit" : "");
		assert_true(b->user_gone);
		assert_int_equal(b->reset, !words);
		r = px_env_log(&e);
		assert_non_null(r);
		assert_memory_equal(r->term, "CD", 2);
		assert_int_equal(r->bytes_in, words ? 4 : 0);
		px_env_end(&e);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_tcp_ends),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_client_last_words),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
