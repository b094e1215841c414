// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is large, and where it lies: back-pressure, segments, heads in the buffers they came in, tunnels.
 */
#include "dataplane/proxy/px.h"
#include "tests/harness/px_env.h"

#define G(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct px_env e;

/* ---- volume ---- */

static char big[400000];

/* Server: an endless body as far as it is taken. */
static void
test_backpressure_down(void **state sl_unused)
{
	uint32_t given = 0, held;
	struct fake *c, *b;

	px_env_init(&e);
	e.net.window = 20000;
	e.on_server = px_env_hang;
	px_env_start(&e);
	c = px_env_client(&e);
	c->stalled = true;
	px_env_ask(&e, c, G("/"));
	b = px_env_backend(&e, 0);
	given = (uint32_t)snprintf(
		big, sizeof(big), "HTTP/1.1 200 OK\r\ncontent-length: %u\r\n\r\n", 300000);
	for (uint32_t i = 0; i < 300000; i++)
		big[given + i] = (char)('a' + i % 26);
	fake_give(b, big, given + 300000);
	px_env_run(&e);
	// the client takes nothing: no more than its window was moved, one message at most beyond
	assert_true(c->out_len <= 20000 + 1448);
	held = b->rx.len;
	assert_true(held >= 300000 - 20000 - 1448);
	// slowly it takes all
	for (int i = 0; i < 100 && c->out_len < given + 300000; i++) {
		c->stalled = false;
		fake_read(c);
		c->stalled = true;
		px_env_run(&e);
		assert_true(c->unacked <= 20000 + 1448);
	}
	assert_true(c->out_len > 300000);
	assert_memory_equal(c->out + c->out_len - 300000, big + given, 300000);
	c->stalled = false;
	assert_true(c->max_seg <= 1448);
	px_env_end(&e);
}

static void
test_backpressure_up(void **state sl_unused)
{
	struct fake *c, *b;
	uint32_t n;

	px_env_init(&e);
	e.net.window = 20000;
	e.on_server = px_env_hang;
	px_env_start(&e);
	c = px_env_client(&e);
	n = (uint32_t)snprintf(
		big, sizeof(big), "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
	memset(big + n, 'u', 200000);
	fake_give(c, big, n);
	px_env_run(&e);
	b = px_env_backend(&e, 0);
	b->stalled = true;
	fake_give(c, big + n, 200000);
	px_env_run(&e);
	assert_true(b->out_len <= 20000 + 1448);
	assert_true(c->rx.len >= 200000 - 20000 - 1448);
	b->stalled = false;
	px_env_run(&e);
	assert_true(b->out_len >= 200000);
	assert_int_equal(c->rx.len, 0);
	px_env_ask(&e, b, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	assert_int_equal(px_env_count(px_env_got(c), "200 OK"), 1);
	px_env_end(&e);
}

/* A small answer is one segment, head and body; the head of a large one is filled up. */
static void
test_segments(void **state sl_unused)
{
	static struct env_answer a[2] = { { "/x", NULL, ENV_KEEP }, { NULL, NULL, 0 } };
	static char text[2000];
	struct fake *c;

	px_env_init(&e);
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n%01000d", 1);
	a[0].bytes = text;
	e.answers = a;
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, G("/x"));
	assert_int_equal(c->segs, 1);
	assert_int_equal(c->sends, 1);
	assert_int_equal(px_env_backend(&e, 0)->segs, 1);
	px_env_end(&e);
}

/* ---- heads of answers, and the buffers they came in ---- */

static const char *answer_text, *answer_rest;
static uint32_t answer_fail;

static void
answer(struct px_env *env, struct fake *f)
{
	if (strstr(px_env_got(f), "\r\n\r\n") == NULL || f->served++ > 0)
		return;
	lcore_mbuf_fail_in(env->lc, answer_fail); // the proxy's next one
	fake_give(f, answer_text, (uint32_t)strlen(answer_text));
	if (answer_rest != NULL)
		fake_give(f, answer_rest, (uint32_t)strlen(answer_rest));
}

#define OK_CL3 "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"

/*
 * An answer leaves in the buffer in which it came, be its head as it was or shorter: no buffer is asked
 * for. What a peer could read differently is written anew all the same.
 */
static void
test_answer_in_place(void **state sl_unused)
{
	static const struct {
		int line;
		const char *rule;         // of http-response
		const char *bytes, *rest; // of the server, in two buffers
		const char *client;       // NULL: as the server's
		bool alloc;               // needs a buffer
	} rows[] = {
		{ __LINE__, NULL, OK_CL3 "x-odd-Case: v\r\n\r\nabc", NULL, NULL, false },
		{ __LINE__, NULL, "HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc", NULL, NULL, false },
		{ __LINE__, NULL, OK_CL3 "Connection: keep-alive\r\n\r\nabc", NULL,
			OK_CL3 "\r\nabc", false },
		{ __LINE__, "del-header x-a", OK_CL3 "X-A: long enough\r\n\r\nabc", NULL,
			OK_CL3 "\r\nabc", false },
		{ __LINE__, "set-header x-a b", OK_CL3 "X-A: long enough\r\n\r\nabc", NULL,
			OK_CL3 "x-a: b\r\n\r\nabc", false },
		// same length, other bytes
		{ __LINE__, "set-header x-a zz", OK_CL3 "x-a: vv\r\n\r\nabc", NULL,
			OK_CL3 "x-a: zz\r\n\r\nabc", false },
		{ __LINE__, NULL, "HTTP/1.7 200 OK\r\nContent-Length: 3\r\n\r\nabc", NULL,
			OK_CL3 "\r\nabc", false },
		{ __LINE__, NULL, OK_CL3 "a: \t b \r\n\r\nabc", NULL, OK_CL3 "a: b\r\n\r\nabc",
			false },
		{ __LINE__, NULL, "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", NULL,
			"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc", false },
		// more than the message: nobody's
		{ __LINE__, NULL, OK_CL3 "\r\nabcdef", NULL, OK_CL3 "\r\nabc", true },
		// more text than there is room in front; and no body in the head's buffer
		{ __LINE__,
			"set-header x-a 0123456789012345678901234567890123456789012345678901234567890123"
			"45678901234567890123456789",
			OK_CL3 "\r\nabc", NULL,
			OK_CL3 "x-a: 0123456789012345678901234567890123456789012345678901234567890123"
			       "45678901234567890123456789\r\n\r\nabc",
			true },
		{ __LINE__, NULL, OK_CL3 "\r\n", "abc", OK_CL3 "\r\nabc", true },
		{ __LINE__, NULL, OK_CL3 "\r\na", "bc", OK_CL3 "\r\nabc", false },
	};

	for (size_t i = 0; i < 2 * SL_ARRAY_SIZE(rows); i++) {
		size_t k = i / 2;
		const char *list[] = { rows[k].rule, NULL }, *want = rows[k].client;
		struct fake *c;

		px_env_init(&e);
		if (rows[k].rule != NULL) {
			e.be.http_res = px_env_rules(&e, EVAL_HTTP_RES, list);
			if (e.be.http_res == NULL)
				fail_msg("line %d: %s", rows[k].line, e.error);
		}
		e.on_server = answer;
		answer_text = rows[k].bytes;
		answer_rest = rows[k].rest;
		answer_fail = i % 2;
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, G("/x"));
		if (answer_fail > 0 && (e.lc->mbuf_fail_in == 0) != rows[k].alloc)
			fail_msg("line %d: want %d", rows[k].line, rows[k].alloc);
		if (answer_fail == 0 &&
			strcmp(px_env_got(c), want != NULL ? want : rows[k].bytes) != 0)
			fail_msg("line %d: got\n%s", rows[k].line, px_env_got(c));
		lcore_mbuf_fail_in(e.lc, 0);
		px_env_end(&e);
	}
}

/* "http-after-response" on an answer of our own; one that cannot be edited ends the connection. */
static void
test_after_response(void **state sl_unused)
{
	static const char *const deny[] = { "deny", NULL };
	static const char *const after[] = { "set-header x-after %[status]", NULL };
	static char huge[4 * HTTP_REWRITE] = "set-header x-after ";
	static const char *const fails[] = { huge, NULL };

	memset(huge + strlen(huge), 'a', 2 * HTTP_REWRITE);
	for (int i = 0; i < 2; i++) {
		struct fake *c;

		px_env_init(&e);
		e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, deny);
		e.fe.http_after = px_env_rules(&e, EVAL_HTTP_AFTER, i == 0 ? after : fails);
		if (e.fe.http_req == NULL || e.fe.http_after == NULL)
			fail_msg("%s", e.error);
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, G("/x"));
		if (i == 0 && strstr(px_env_got(c), "\r\nx-after: 403\r\n") == NULL)
			fail_msg("got\n%s", px_env_got(c));
		if (i == 1)
			assert_string_equal(px_env_got(c), "");
		px_env_end(&e);
	}
}

static void
test_big_heads(void **state sl_unused)
{
	static const uint32_t sizes[] = { 1000, 1448, 3000, 9000, 14000 };
	static char value[15000], rest[200];

	for (size_t i = 0; i < SL_ARRAY_SIZE(sizes); i++) {
		static struct env_answer a[2] = { { "/x", big, ENV_KEEP }, { NULL, NULL, 0 } };
		struct fake *c, *b;

		memset(value, 'v', sizes[i]);
		value[sizes[i]] = '\0';
		px_env_init(&e);
		e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ,
			(const char *const[]){
				"set-header x-len \"%[req.hdr(x-big),length]\"", NULL });
		assert_non_null(e.fe.http_req);
		snprintf(big, sizeof(big),
			"HTTP/1.1 200 OK\r\nx-big: %s\r\ncontent-length: 2\r\n\r\nok", value);
		e.answers = a;
		px_env_start(&e);
		c = px_env_client(&e);
		fake_give(c, "GET /x HTTP/1.1\r\nHost: a\r\nX-Big: ", 33);
		fake_give(c, value, sizes[i]);
		px_env_ask(&e, c, "\r\n\r\n");
		b = px_env_backend(&e, 0);
		snprintf(rest, sizeof(rest), "x-len: %u\r\n", sizes[i]);
		assert_non_null(strstr(px_env_got(b), rest));
		assert_non_null(strstr(px_env_got(c), value));
		assert_non_null(strstr(px_env_got(c), "\r\n\r\nok"));
		assert_true(c->max_seg <= 1448 && b->max_seg <= 1448);
		px_env_end(&e);
	}
}

static void
test_too_big(void **state sl_unused)
{
	struct fake *c;

	px_env_init(&e);
	px_env_start(&e);
	c = px_env_client(&e);
	memset(big, 'v', 20000);
	fake_give(c, "GET /x HTTP/1.1\r\nHost: a\r\nX-Big: ", 33);
	fake_give(c, big, 20000);
	px_env_run(&e);
	assert_int_equal(px_env_count(px_env_got(c), "HTTP/1.1 431"), 1);
	px_env_end(&e);
}

static void
test_expect(void **state sl_unused)
{
	struct fake *c, *b;

	px_env_init(&e);
	e.on_server = px_env_hang;
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	b = px_env_backend(&e, 0);
	assert_int_equal(px_env_count(px_env_got(b), "Expect: 100-continue"), 1);
	px_env_ask(&e, b, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_string_equal(px_env_got(c), "HTTP/1.1 100 Continue\r\n\r\n");
	px_env_ask(&e, c, "abc");
	assert_int_equal(px_env_count(px_env_got(b), "\r\n\r\nabc"), 1);
	px_env_ask(&e, b, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	assert_int_equal(px_env_count(px_env_got(c), "200 OK"), 1);
	px_env_ask(&e, c, G("/"));
	assert_int_equal(px_env_count(px_env_got(b), "GET /"), 1);
	px_env_end(&e);
}

static void
test_tunnel(void **state sl_unused)
{
	struct fake *c, *b;

	px_env_init(&e);
	e.on_server = px_env_hang;
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	b = px_env_backend(&e, 0);
	assert_int_equal(px_env_count(px_env_got(b), "Connection: Upgrade\r\nUpgrade: websocket"), 1);
	px_env_ask(&e, b, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfrom");
	assert_int_equal(px_env_count(px_env_got(c), "Connection: Upgrade"), 1);
	assert_int_equal(px_env_count(px_env_got(c), "\r\n\r\nfrom"), 1);
	px_env_ask(&e, c, "GET / HTTP/1.1\r\n\r\n"); // bytes like others
	assert_int_equal(px_env_count(px_env_got(b), "\r\n\r\nGET / HTTP/1.1\r\n\r\n"), 1);
	fake_fin(c);
	px_env_run(&e);
	assert_true(b->shut);
	px_env_ask(&e, b, "last");
	assert_int_equal(px_env_count(px_env_got(c), "fromlast"), 1);
	fake_fin(b);
	px_env_run(&e);
	assert_int_equal(px_streams(e.lc), 0);
	px_env_end(&e);
}

/* The client's connection is over, orderly, while the server has not taken its last bytes yet. */
static void
test_tunnel_last_bytes(void **state sl_unused)
{
	for (int reset = 0; reset < 2; reset++) {
		struct fake *c, *b;

		px_env_init(&e);
		e.net.window = 4000;
		e.on_server = px_env_hang;
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
		b = px_env_backend(&e, 0);
		px_env_ask(&e, b, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
		b->stalled = true;
		fake_fin(b);
		px_env_run(&e);
		assert_true(c->shut);
		memset(big, 'z', 20000);
		fake_give(c, big, 20000);
		fake_fin(c);
		px_env_run(&e);
		assert_true(c->user_gone);
		assert_true(b->out_len < 8000);
		if (reset) {
			fake_rst(b);
			px_env_run(&e);
		} else {
			b->stalled = false;
			px_env_run(&e);
			assert_int_equal(px_env_count(px_env_got(b), "zzzzz"), 4000);
			assert_true(b->shut);
		}
		assert_int_equal(px_streams(e.lc), 0);
		px_env_end(&e);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backpressure_down),
		cmocka_unit_test(test_backpressure_up),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_answer_in_place),
		cmocka_unit_test(test_after_response),
		cmocka_unit_test(test_big_heads),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_expect),
		cmocka_unit_test(test_tunnel),
		cmocka_unit_test(test_tunnel_last_bytes),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
