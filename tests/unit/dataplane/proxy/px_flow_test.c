// SPDX-License-Identifier: BSD-3-Clause
/*
 * How connections are used over several exchanges: keep-alive, idle server connections and their
 * ends, balancing, the queue, limits, back-pressure, large heads and bodies, mode tcp.
 */
#include "dataplane/proxy/px.h"
#include "tests/harness/px_env.h"

#define G(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct px_env e;

static void
ask(struct fake *c, const char *text)
{
	fake_give(c, text, (uint32_t)strlen(text));
	px_env_run(&e);
}

static uint32_t
count(const char *hay, const char *needle)
{
	uint32_t n = 0;

	while ((hay = strstr(hay, needle)) != NULL) {
		n++;
		hay += strlen(needle);
	}
	return n;
}

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
		ask(c, text);
	}
	assert_int_equal(count(px_env_got(c), "200 OK"), 40);
	assert_int_equal(count(px_env_got(px_env_backend(&e, 0)), "x-k: /0\r\n"), 40);
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
		ask(c1, G("/"));
	assert_int_equal(count(px_env_got(c1), "200 OK"), 5);
	assert_int_equal(e.net.connects, 1);
	// "safe": the first request of another client does not take the idle one, its second may
	c2 = px_env_client(&e);
	ask(c2, G("/"));
	assert_int_equal(e.net.connects, 2);
	ask(c2, G("/"));
	assert_int_equal(e.net.connects, 2);
	assert_int_equal(idle_count(e.lc, 0), 2);
	// idle ones age, and leave when the server ends or speaks
	fake_fin(px_env_backend(&e, 0));
	px_env_run(&e);
	assert_int_equal(idle_count(e.lc, 0), 1);
	fake_give(px_env_backend(&e, 0), "x", 1);
	px_env_run(&e);
	assert_int_equal(idle_count(e.lc, 0), 0);
	ask(c1, G("/"));
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
		ask(c, G("/"));
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
		ask(c, G("/"));
		ask(c, G("/"));
		assert_int_equal(count(px_env_got(c), "200 OK"), 2);
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
	ask(c, G("/1"));
	ask(c, G("/2"));
	assert_int_equal(deaths, 1);
	assert_int_equal(count(px_env_got(c), "200 OK"), 2);
	r = px_env_log(&e);
	assert_int_equal(r->retries, 0);
	r = px_env_log(&e);
	assert_int_equal(r->retries, 1);
	assert_int_equal(r->status, 200);
	// not idempotent: the client sees its connection end and decides itself
	ask(c, "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(deaths, 2);
	assert_int_equal(count(px_env_got(c), "HTTP/1.1 "), 2);
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
		ask(c, G("/"));
	assert_int_equal(e.connects[0], 6);
	assert_int_equal(e.connects[1], 4);
	assert_int_equal(e.connects[2], 2);
	assert_int_equal(e.connects[3], 0);
	// a server goes down: nobody goes there, its idle connections end
	atomic_store(&e.bal->srv[0].state, SRV_DOWN);
	px_main_message(e.lc, &(struct xmsg){ .w = { XMSG_SERVER_STATE, 0 } });
	for (int i = 0; i < 6; i++)
		ask(c, G("/"));
	assert_int_equal(e.connects[0], 6);
	px_env_end(&e);
}

static void
hang(struct px_env *env sl_unused, struct fake *f sl_unused)
{
}

static void
test_queue(void **state sl_unused)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
	struct fake *c[5];

	px_env_init(&e);
	e.srv[0].maxconn = 2;
	e.on_server = hang;
	px_env_start(&e);
	for (int i = 0; i < 5; i++) {
		c[i] = px_env_client(&e);
		ask(c[i], G("/"));
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
		assert_int_equal(count(px_env_got(c[i]), "200 OK"), 1);
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
		ask(c, G("/"));
		assert_int_equal(atomic_load(&e.bal->px[1].waiters), 1);
		atomic_store(&e.bal->srv[0].cur, 0);
		if (by_message) {
			px_main_message(e.lc, &(struct xmsg){ .w = { XMSG_SRV_TOKEN, e.be.slot } });
			px_env_run(&e);
		} else {
			px_env_wait(&e, 10);
		}
		assert_int_equal(count(px_env_got(c), "200 OK"), 1);
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
	ask(c, G("/"));
	px_env_wait(&e, 2900);
	assert_false(c->user_gone);
	ask(c, G("/"));
	px_env_wait(&e, 2900);
	assert_false(c->user_gone);
	px_env_wait(&e, 200);
	assert_true(c->user_gone);
	assert_int_equal(count(px_env_got(c), "HTTP/1.1 "), 2); // no 408
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
	assert_int_equal(count(px_env_got(c), "HTTP/1.1 408"), 1);
	px_env_end(&e);
}

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
	e.on_server = hang;
	px_env_start(&e);
	c = px_env_client(&e);
	c->stalled = true;
	ask(c, G("/"));
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
	e.on_server = hang;
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
	ask(b, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	assert_int_equal(count(px_env_got(c), "200 OK"), 1);
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
	ask(c, G("/x"));
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
		ask(c, G("/x"));
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
		ask(c, G("/x"));
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
		ask(c, "\r\n\r\n");
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
	assert_int_equal(count(px_env_got(c), "HTTP/1.1 431"), 1);
	px_env_end(&e);
}

static void
test_expect(void **state sl_unused)
{
	struct fake *c, *b;

	px_env_init(&e);
	e.on_server = hang;
	px_env_start(&e);
	c = px_env_client(&e);
	ask(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	b = px_env_backend(&e, 0);
	assert_int_equal(count(px_env_got(b), "Expect: 100-continue"), 1);
	ask(b, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_string_equal(px_env_got(c), "HTTP/1.1 100 Continue\r\n\r\n");
	ask(c, "abc");
	assert_int_equal(count(px_env_got(b), "\r\n\r\nabc"), 1);
	ask(b, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	assert_int_equal(count(px_env_got(c), "200 OK"), 1);
	ask(c, G("/"));
	assert_int_equal(count(px_env_got(b), "GET /"), 1);
	px_env_end(&e);
}

static void
test_tunnel(void **state sl_unused)
{
	struct fake *c, *b;

	px_env_init(&e);
	e.on_server = hang;
	px_env_start(&e);
	c = px_env_client(&e);
	ask(c, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	b = px_env_backend(&e, 0);
	assert_int_equal(count(px_env_got(b), "Connection: Upgrade\r\nUpgrade: websocket"), 1);
	ask(b, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfrom");
	assert_int_equal(count(px_env_got(c), "Connection: Upgrade"), 1);
	assert_int_equal(count(px_env_got(c), "\r\n\r\nfrom"), 1);
	ask(c, "GET / HTTP/1.1\r\n\r\n"); // bytes like others
	assert_int_equal(count(px_env_got(b), "\r\n\r\nGET / HTTP/1.1\r\n\r\n"), 1);
	fake_fin(c);
	px_env_run(&e);
	assert_true(b->shut);
	ask(b, "last");
	assert_int_equal(count(px_env_got(c), "fromlast"), 1);
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
		e.on_server = hang;
		px_env_start(&e);
		c = px_env_client(&e);
		ask(c, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
		b = px_env_backend(&e, 0);
		ask(b, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
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
			assert_int_equal(count(px_env_got(b), "zzzzz"), 4000);
			assert_true(b->shut);
		}
		assert_int_equal(px_streams(e.lc), 0);
		px_env_end(&e);
	}
}

/* ---- counters and log ---- */

static void
test_record(void **state sl_unused)
{
	static const struct env_answer a[] = {
		{ "/x?y", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ENV_KEEP },
		{ NULL, NULL, 0 }
	};
	const struct px_counters *fe, *srv;
	const struct logrec *r;
	struct fake *c;

	px_env_init(&e);
	e.answers = a;
	e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ,
		(const char *const[]){ "set-header host other", "set-header x 1", NULL });
	px_env_start(&e);
	c = px_env_client(&e);
	fake_give(c, "GET /x?y HTTP/1.1\r\n", 19);
	px_env_run(&e);
	px_env_wait(&e, 50);
	ask(c, "Host: a\r\n\r\n");
	r = px_env_log(&e);
	assert_non_null(r);
	assert_int_equal(r->text_len, 17);
	assert_memory_equal(r->text, "GET /x?y HTTP/1.1", 17);
	assert_int_equal(r->fe, 0);
	assert_int_equal(r->be, 1);
	assert_int_equal(r->srv, 0);
	assert_int_equal(r->tr, 50);
	assert_int_equal(r->tw, 0);
	assert_int_equal(r->tc, 0);
	assert_int_equal(r->tresp, 0);
	assert_int_equal(r->ta, 50);
	assert_int_equal(r->bytes_out, c->out_len + 15 - 4); // HAProxy's measure: h1_counted_size()
	assert_memory_equal(r->term, "----", 4);
	assert_int_equal(r->actconn, 1);
	assert_int_equal(r->feconn, 1);
	assert_int_equal(r->src.port, c->remote.port);
	fe = &e.lc->px_cnt[0];
	srv = &e.lc->srv_cnt[0];
	assert_int_equal(counter_get(&fe->cum_req), 1);
	assert_int_equal(counter_get(&fe->cum_conn), 1);
	assert_int_equal(counter_get(&fe->cur_conn), 1);
	assert_int_equal(counter_get(&fe->rsp_2xx), 1);
	assert_int_equal(counter_get(&fe->bytes_out), c->out_len + 15 - 4);
	assert_int_equal(counter_get(&fe->bytes_in), 30 + 15 - 4);
	assert_int_equal(counter_get(&srv->cum_req), 1);
	assert_int_equal(counter_get(&srv->rsp_2xx), 1);
	assert_int_equal(counter_get(&srv->cur_conn), 0);
	px_env_end(&e);
}

static void
test_dontlognull(void **state sl_unused)
{
	struct fake *c;

	px_env_init(&e);
	e.fe.options |= PX_O_DONTLOGNULL;
	px_env_start(&e);
	c = px_env_client(&e);
	fake_fin(c);
	px_env_run(&e);
	assert_null(px_env_log(&e));
	c = px_env_client(&e);
	ask(c, "G");
	fake_fin(c);
	px_env_run(&e);
	assert_non_null(px_env_log(&e));
	px_env_end(&e);
}

/* The ring is full: records are lost and counted, requests are not. */
static void
test_log_full(void **state sl_unused)
{
	uint64_t before;
	struct fake *c;

	px_env_init(&e);
	px_env_start(&e);
	before = counter_get(&e.lc->stat[STAT_LOG_DROPPED]);
	c = px_env_client(&e);
	for (int i = 0; i < 300; i++)
		ask(c, G("/"));
	assert_int_equal(count(px_env_got(c), "200 OK"), 300);
	assert_int_equal(counter_get(&e.lc->stat[STAT_LOG_DROPPED]) - before, 300 - 256);
	px_env_end(&e);
}

/* ---- mode tcp ---- */

static void
tcp_start(void)
{
	px_env_init(&e);
	e.fe.mode = e.be.mode = PX_TCP;
	e.on_server = hang;
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
	ask(c, "ping");
	assert_string_equal(px_env_got(b), "ping");
	ask(b, "pong");
	assert_string_equal(px_env_got(c), "pong");
	fake_fin(c);
	px_env_run(&e);
	assert_true(b->shut);
	assert_false(c->shut);
	ask(b, " and more");
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
		ask(c, "x");
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
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_dontlognull),
		cmocka_unit_test(test_log_full),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_tcp_ends),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
