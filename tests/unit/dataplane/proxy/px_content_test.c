// SPDX-License-Identifier: BSD-3-Clause
/*
 * "tcp-request content" and "tcp-response content" rules that wait for bytes; "wait-for-body". What rules do with
 * the same bytes was looked up under HAProxy 2.6.12.
 */
#include "dataplane/proxy/px.h"
#include "tests/harness/px_env.h"

static struct px_env e;

#define MAX_RULES 5

static void
start(enum px_mode mode)
{
	px_env_init(&e);
	e.fe.mode = e.be.mode = mode;
	e.on_server = px_env_hang;
	e.fe.timeout.client = e.be.timeout.server = 60000;
}

/* ---- the client's bytes ---- */

/* A minimal ClientHello that asks for "www.example.com". */
static const char hello[] =
	"\x16\x03\x01\x00\x4b\x01\x00\x00\x47\x03\x03"
	"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
	"\x00\x00\x02\x13\x01\x01\x00\x00\x1c\x00\x17\x00\x00\x00\x00\x00\x14\x00\x12\x00\x00\x0fwww.example.com";
#define HELLO_LEN (sizeof(hello) - 1)

struct row {
	int line;
	const char *rules[MAX_RULES];
	struct {
		const char *text; // NULL: no more; "$": the client ends
		char then;        // w: rules wait, p: they have let it pass, c: closed
	} step[4];
	char at_end; // when the delay is over
};

static const struct row rows[] = {
	{ __LINE__, { "accept if { req.len ge 3 }", "reject" }, { { "ab", 'w' }, { "c", 'p' } }, 'p' },
	{ __LINE__, { "accept if { req.len ge 3 }", "reject" }, { { "ab", 'w' } }, 'c' },
	{ __LINE__, { "accept if { req.len ge 3 }", "reject" }, { { "ab", 'w' }, { "$", 'c' } }, 'c' },
	{ __LINE__, { "reject if { req.len gt 3 }" }, { { "abc", 'w' } }, 'p' },
	{ __LINE__, { "reject if { req.len gt 0 }" }, { { "a", 'c' } }, 'c' },
	{ __LINE__, { "reject if { wait_end } { req.len lt 3 }" }, { { "ab", 'w' } }, 'c' },
	{ __LINE__, { "reject if { wait_end } { req.len lt 3 }" }, { { "abc", 'w' } }, 'p' },
	/* of known length: no match is no */
	{ __LINE__, { "accept if { req.payload(1,2) -m str bc }", "reject" }, { { "ab", 'w' }, { "cd", 'p' } }, 'p' },
	{ __LINE__, { "accept if { req.payload(1,2) -m str bc }", "reject" }, { { "ab", 'w' }, { "d", 'c' } }, 'c' },
	/* all of it: may still become one */
	{ __LINE__, { "accept if { req.payload(0,0) -m sub ok }", "reject" }, { { "o", 'w' }, { "xo", 'w' }, { "k", 'p' } }, 'p' },
	{ __LINE__, { "accept if { req.payload(0,20000) -m found }", "reject" }, { { "a", 'c' } }, 'c' },
	{ __LINE__, { "accept if { req.payload_lv(0,1) -m str abc }", "reject" }, { { "\x03""ab", 'w' }, { "c", 'p' } }, 'p' },
	{ __LINE__, { "accept if { req.payload_lv(0,1) -m str abc }", "reject" }, { { "\x03""abd", 'c' } }, 'c' },
	{ __LINE__, { "accept if { req.payload_lv(0,1,+1) -m str bc }", "reject" }, { { "\x02""abc", 'p' } }, 'p' },
	{ __LINE__, { "accept if { req.payload_lv(1,1,0) -m str x\x02 }", "reject" }, { { "x\x02", 'p' } }, 'p' },
	/* parts of conditions: the first that is not true decides */
	{ __LINE__, { "reject if { req.len gt 9 } { always_false }" }, { { "ab", 'w' } }, 'p' },
	{ __LINE__, { "reject if { always_false } { req.len gt 9 }" }, { { "ab", 'p' } }, 'p' },
	{ __LINE__, { "reject if { req.len gt 9 } or { always_true }" }, { { "ab", 'c' } }, 'c' },
	{ __LINE__, { "reject if { req.len gt 9 } or { always_false }" }, { { "ab", 'w' } }, 'p' },
	{ __LINE__, { "reject if !{ req.len gt 3 }" }, { { "ab", 'w' }, { "cd", 'p' } }, 'p' },
	{ __LINE__, { "reject if !{ req.len gt 3 }" }, { { "ab", 'w' } }, 'c' },
	{ __LINE__, { "reject unless { req.len gt 3 }" }, { { "ab", 'w' }, { "cd", 'p' } }, 'p' },
	/* rules before one that waits are evaluated again */
	{ __LINE__, { "set-var(txn.n) var(txn.n),add(1)", "set-var(txn.n) int(1) unless { var(txn.n) -m found }",
		"accept if { req.len gt 3 }", "reject" }, { { "ab", 'w' }, { "cd", 'p' } }, 'p' },
	{ __LINE__, { "set-var(txn.first) req.payload(0,1) unless { var(txn.first) -m found }",
		"reject if { req.len ge 3 } { var(txn.first) -m str b }", "accept if { req.len ge 3 }", "reject" },
		{ { "a", 'w' }, { "bc", 'p' } }, 'p' },
};

static char
state_of(const struct fake *c)
{
	if (c->user_gone)
		return 'c';
	return px_env_backend(&e, 0) != NULL ? 'p' : 'w';
}

static void
play(const struct row *r, bool backend)
{
	struct fake *c;

	start(PX_TCP);
	const struct prog *p = px_env_rules(&e, EVAL_TCP_CONTENT, r->rules);
	if (p == NULL)
		fail_msg("line %d: %s", r->line, e.error);
	*(backend ? &e.be.tcp_req : &e.fe.tcp_req) = p;
	*(backend ? &e.be.inspect_delay_ms : &e.fe.inspect_delay_ms) = 5000;
	px_env_start(&e);
	c = px_env_client(&e);
	for (uint32_t i = 0; i < 4 && r->step[i].text != NULL; i++) {
		if (r->step[i].text[0] == '$')
			fake_fin(c);
		else
			fake_give(c, r->step[i].text, (uint32_t)strlen(r->step[i].text));
		px_env_run(&e);
		if (state_of(c) != r->step[i].then)
			fail_msg("line %d: %s: '%c' behind step %u, want '%c'", r->line,
				backend ? "backend" : "frontend", state_of(c), i + 1, r->step[i].then);
	}
	px_env_wait(&e, 5100);
	if (state_of(c) != r->at_end)
		fail_msg("line %d: '%c' at the end, want '%c'", r->line, state_of(c), r->at_end);
	px_env_end(&e);
}

static void
test_rows(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		play(&rows[i], false);
		play(&rows[i], true);
	}
}

/* Without a delay nothing waits; what is there decides. */
static void
test_no_delay(void **state sl_unused)
{
	static const char *const rules[] = { "reject if { req.len lt 3 }", NULL };
	struct fake *c;

	start(PX_TCP);
	e.fe.tcp_req = px_env_rules(&e, EVAL_TCP_CONTENT, rules);
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, "ab");
	assert_int_equal(state_of(c), 'c');
	assert_memory_equal(px_env_log(&e)->term, "PR", 2);
	px_env_end(&e);
}

/* A client's silence ends what rules wait for, if it may not be silent for as long. */
static void
test_client_timeout(void **state sl_unused)
{
	static const char *const rules[] = { "accept if { req.len ge 3 }", "reject", NULL };
	struct fake *c;

	start(PX_TCP);
	e.fe.timeout.client = 1000;
	e.fe.inspect_delay_ms = 5000;
	e.fe.tcp_req = px_env_rules(&e, EVAL_TCP_CONTENT, rules);
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, "ab");
	px_env_wait(&e, 1100);
	assert_int_equal(state_of(c), 'c');
	assert_memory_equal(px_env_log(&e)->term, "cR", 2);
	px_env_end(&e);
}

/* More than a buffer's worth is not waited for; all of it reaches the server. */
static void
test_full(void **state sl_unused)
{
	static const char *const rules[] = { "reject if { wait_end } { req.len lt 15360 }",
		"reject unless { req.payload(15000,1) -m str x }", NULL };
	static char text[1000];
	struct fake *c;
	uint32_t n = 0;

	memset(text, 'x', sizeof(text));
	start(PX_TCP);
	e.fe.inspect_delay_ms = 5000;
	e.fe.tcp_req = px_env_rules(&e, EVAL_TCP_CONTENT, rules);
	px_env_start(&e);
	c = px_env_client(&e);
	for (; n < 20 && state_of(c) == 'w'; n++) {
		fake_give(c, text, sizeof(text));
		px_env_run(&e);
	}
	assert_int_equal(n, 16);
	assert_int_equal(state_of(c), 'p');
	assert_int_equal(px_env_backend(&e, 0)->out_len, 16000);
	px_env_end(&e);
}

/* Byte by byte, and cut at every place: a name found when all of it is there, never a byte too early. */
static void
test_sni(void **state sl_unused)
{
	static const char *const rules[] = { "accept if { req.ssl_sni -i WWW.Example.com }", "reject", NULL };
	static const char *const type[] = { "accept if { req.ssl_hello_type 1 }", "reject", NULL };

	for (uint32_t cut = 0; cut <= HELLO_LEN; cut++) {
		struct fake *c;

		start(PX_TCP);
		e.fe.inspect_delay_ms = 5000;
		e.fe.tcp_req = px_env_rules(&e, EVAL_TCP_CONTENT, cut % 2 ? rules : type);
		px_env_start(&e);
		c = px_env_client(&e);
		for (uint32_t i = 0; cut == 1 && i < HELLO_LEN; i++) {
			assert_int_equal(state_of(c), 'w');
			fake_give(c, hello + i, 1);
			px_env_run(&e);
		}
		if (cut != 1) {
			fake_give(c, hello, cut);
			px_env_run(&e);
			assert_int_equal(state_of(c), cut < HELLO_LEN ? 'w' : 'p');
			fake_give(c, hello + cut, (uint32_t)HELLO_LEN - cut);
			px_env_run(&e);
		}
		assert_int_equal(state_of(c), 'p');
		px_env_end(&e);
	}
}

/* Every length and kind in a ClientHello changed: never more than a refusal. */
static void
test_bad_hello(void **state sl_unused)
{
	static const char *const rules[] = { "accept if { req.ssl_sni -m str www.example.com }", "reject", NULL };

	for (uint32_t at = 0; at < HELLO_LEN; at++) {
		char text[HELLO_LEN];
		struct fake *c;

		if (at >= 11 && at < 43)
			continue; // random
		memcpy(text, hello, HELLO_LEN);
		text[at] = (char)(text[at] + 1);
		start(PX_TCP);
		e.fe.inspect_delay_ms = 5000;
		e.fe.tcp_req = px_env_rules(&e, EVAL_TCP_CONTENT, rules);
		px_env_start(&e);
		c = px_env_client(&e);
		fake_give(c, text, HELLO_LEN);
		px_env_run(&e);
		px_env_wait(&e, 5100);
		assert_int_not_equal(state_of(c), 'w');
		px_env_end(&e);
	}
}

/* ---- the server's bytes ---- */

static void
test_response(void **state sl_unused)
{
	static const char *const rules[] = { "accept if { res.payload(0,3) -m str 220 }", "reject", NULL };
	static const struct {
		int line;
		const char *first, *second, *got; // got NULL: refused
	} cases[] = {
		{ __LINE__, "22", "0 hi", "220 hi" },
		{ __LINE__, "220 hi", "", "220 hi" },
		{ __LINE__, "55", "0 no", NULL },
		{ __LINE__, "2", NULL, NULL }, // and then its end
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		struct fake *c, *b;

		start(PX_TCP);
		e.be.inspect_res_ms = 5000;
		e.be.tcp_res = px_env_rules(&e, EVAL_TCP_RES, rules);
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, "up");
		b = px_env_backend(&e, 0);
		assert_string_equal(px_env_got(b), "up"); // is not held
		px_env_ask(&e, b, cases[i].first);
		if (strlen(cases[i].first) < 3)
			assert_string_equal(px_env_got(c), "");
		if (cases[i].second == NULL)
			fake_fin(b);
		else
			fake_give(b, cases[i].second, (uint32_t)strlen(cases[i].second));
		px_env_run(&e);
		if (cases[i].got != NULL) {
			assert_string_equal(px_env_got(c), cases[i].got);
			px_env_ask(&e, b, " more");
			assert_true(strstr(px_env_got(c), " more") != NULL);
			assert_false(c->user_gone);
		} else {
			assert_string_equal(px_env_got(c), "");
			assert_true(c->user_gone);
			assert_memory_equal(px_env_log(&e)->term, "PD", 2);
			assert_int_equal(counter_get(&e.lc->px_cnt[e.fe.slot].denied_res), 1);
		}
		px_env_end(&e);
	}
}

/* "close": what the server has said goes to the client, and both ends come. */
static void
test_close(void **state sl_unused)
{
	static const char *const rules[] = { "close if { res.len ge 4 }", NULL };
	struct fake *c, *b;

	start(PX_TCP);
	e.be.inspect_res_ms = 5000;
	e.be.tcp_res = px_env_rules(&e, EVAL_TCP_RES, rules);
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_run(&e);
	b = px_env_backend(&e, 0);
	px_env_ask(&e, b, "bye");
	assert_false(c->user_gone);
	px_env_ask(&e, b, "!");
	assert_string_equal(px_env_got(c), "bye!");
	assert_true(c->user_gone);
	assert_false(c->reset);
	assert_true(b->user_gone);
	assert_memory_equal(px_env_log(&e)->term, "--", 2);
	px_env_end(&e);
}

/* A server that resets behind words that rules want to see: they decide first. */
static void
test_response_reset(void **state sl_unused)
{
	static const char *const rules[] = { "accept if { res.payload(0,3) -m str 220 }", "reject", NULL };
	static const struct {
		const char *said, *got, *term;
	} cases[] = {
		{ "220", "220", "SD" },
		{ "550", "", "PD" },
		{ "22", "", "PD" }, // the rules would have waited for more
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		struct fake *c, *b;

		start(PX_TCP);
		e.be.inspect_res_ms = 5000;
		e.be.tcp_res = px_env_rules(&e, EVAL_TCP_RES, rules);
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_run(&e);
		b = px_env_backend(&e, 0);
		fake_give(b, cases[i].said, (uint32_t)strlen(cases[i].said));
		fake_rst(b);
		px_env_run(&e);
		assert_string_equal(px_env_got(c), cases[i].got);
		assert_true(c->user_gone);
		assert_memory_equal(px_env_log(&e)->term, cases[i].term, 2);
		px_env_end(&e);
	}
}

/* A script is asked while the server resets: what the server had said waits, for the rules behind it and the client. */
static void
test_parked_reset(void **state sl_unused)
{
	static const char *const rules[] = { "lua.look", "accept if { res.payload(0,3) -m str 220 }", "reject", NULL };
	static const struct {
		int line;
		const char *said;
		char end; // r: the server resets, f: both sides end
		char then; // a: the script answers, l: the client leaves, d: nobody does, until the deadline
		const char *got, *term;
	} cases[] = {
		{ __LINE__, "220 hi", 'r', 'a', "220 hi", "SD" },
		{ __LINE__, "550 no", 'r', 'a', "", "PD" },
		{ __LINE__, "220 hi", 'f', 'a', "220 hi", "--" },
		{ __LINE__, "220 hi", 'r', 'l', "", "CD" },
		{ __LINE__, "220 hi", 'r', 'd', "", "PD" },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		const struct logrec *r;
		struct call_slot *call;
		struct fake *c, *b;

		start(PX_TCP);
		e.model.global.lua_deadline_ms = 250;
		e.be.inspect_res_ms = 5000;
		e.be.tcp_res = px_env_rules(&e, EVAL_TCP_RES, rules);
		if (e.be.tcp_res == NULL)
			fail_msg("%s", e.error);
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, "up");
		b = px_env_backend(&e, 0);
		px_env_ask(&e, b, cases[i].said);
		call = px_env_call(&e);
		assert_non_null(call);
		if (cases[i].end == 'f') {
			fake_fin(c);
			fake_fin(b);
		} else {
			fake_rst(b);
		}
		px_env_run(&e);
		if (!b->user_gone || c->out_len != 0 || c->user_gone)
			fail_msg("line %d: not held", cases[i].line);
		assert_true(e.lc->retained > 0); // it counts against the worker's bound
		if (cases[i].then == 'l') {
			fake_rst(c);
			px_env_run(&e);
		} else if (cases[i].then == 'd') {
			px_env_wait(&e, 300);
		}
		call->end = CALL_OK;
		call->act = 0;
		px_env_reply(&e, call); // too late but for the first ones
		r = px_env_log(&e);
		if (r == NULL || memcmp(r->term, cases[i].term, 2) != 0 || !c->user_gone ||
			strcmp(px_env_got(c), cases[i].got) != 0)
			fail_msg("line %d: got %s, %.2s", cases[i].line, px_env_got(c), r != NULL ? r->term : "??");
		assert_int_equal(e.lc->retained, 0);
		px_env_end(&e);
	}
}

/* ---- wait-for-body ---- */

static void
test_body(void **state sl_unused)
{
	static const struct {
		int line;
		const char *rule, *head, *first, *second;
		char then; // behind the first: w: it waits, p: to the server
		const char *status; // when the time is over; NULL: it has gone on
	} cases[] = {
		{ __LINE__, "wait-for-body time 1s", "Content-Length: 6", "abc", "def", 'w', NULL },
		{ __LINE__, "wait-for-body time 1s", "Content-Length: 3", "abc", "", 'p', NULL },
		{ __LINE__, "wait-for-body time 1s", "Transfer-Encoding: chunked", "3\r\nabc\r\n", "0\r\n\r\n", 'w', NULL },
		{ __LINE__, "wait-for-body time 1s at-least 4", "Content-Length: 9", "abc", "d", 'w', NULL },
		{ __LINE__, "wait-for-body time 1s at-least 4", "Transfer-Encoding: chunked", "3\r\nabc\r\n", "1\r\nd\r\n", 'w', NULL },
		{ __LINE__, "wait-for-body time 1s at-least 3", "Content-Length: 9", "abc", "", 'p', NULL },
		{ __LINE__, "wait-for-body time 1s", "Content-Length: 9", "abc", "d", 'w', "408" },
		{ __LINE__, "wait-for-body time 1s", "X: y", "", "", 'p', NULL },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		const char *rules[] = { cases[i].rule, NULL };
		char text[200];
		struct fake *c;

		start(PX_HTTP);
		e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, rules);
		if (e.fe.http_req == NULL)
			fail_msg("line %d: %s", cases[i].line, e.error);
		px_env_start(&e);
		c = px_env_client(&e);
		snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n%s", cases[i].head,
			cases[i].first);
		px_env_ask(&e, c, text);
		if (state_of(c) != cases[i].then)
			fail_msg("line %d: '%c'", cases[i].line, state_of(c));
		px_env_ask(&e, c, cases[i].second);
		if (cases[i].status == NULL) {
			assert_int_equal(state_of(c), 'p');
		} else {
			assert_int_equal(state_of(c), 'w');
			px_env_wait(&e, 1100);
			assert_non_null(strstr(px_env_got(c), cases[i].status));
			assert_memory_equal(px_env_log(&e)->term, "cR", 2);
		}
		px_env_end(&e);
	}
}

/* Of a server: what it has not sent in time is a 504, and the client has heard nothing before. */
static void
test_server_body(void **state sl_unused)
{
	static const struct {
		int line;
		const char *rule, *first, *second;
		char then; // behind the first: w: it waits, p: to the client
		bool late;
	} cases[] = {
		{ __LINE__, "wait-for-body time 1s", "abc", "defghi", 'w', false },
		{ __LINE__, "wait-for-body time 1s", "abcdefghi", "", 'p', false },
		{ __LINE__, "wait-for-body time 1s at-least 4", "abc", "d", 'w', false },
		{ __LINE__, "wait-for-body time 1s at-least 3", "abc", "", 'p', false },
		{ __LINE__, "wait-for-body time 1s", "abc", "d", 'w', true },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(cases); i++) {
		const char *rules[] = { cases[i].rule, NULL };
		char text[200];
		struct fake *c, *b;

		start(PX_HTTP);
		e.be.http_res = px_env_rules(&e, EVAL_HTTP_RES, rules);
		if (e.be.http_res == NULL)
			fail_msg("line %d: %s", cases[i].line, e.error);
		px_env_start(&e);
		c = px_env_client(&e);
		px_env_ask(&e, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
		b = px_env_backend(&e, 0);
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n%s", cases[i].first);
		px_env_ask(&e, b, text);
		if ((c->out_len == 0) != (cases[i].then == 'w'))
			fail_msg("line %d: got %s", cases[i].line, px_env_got(c));
		px_env_ask(&e, b, cases[i].second);
		if (!cases[i].late) {
			assert_non_null(strstr(px_env_got(c), "200 OK"));
			snprintf(text, sizeof(text), "\r\n\r\n%s%s", cases[i].first, cases[i].second);
			assert_non_null(strstr(px_env_got(c), text));
		} else {
			px_env_wait(&e, 900);
			assert_int_equal(c->out_len, 0);
			px_env_wait(&e, 200);
			assert_non_null(strstr(px_env_got(c), "504"));
			assert_null(strstr(px_env_got(c), "abc"));
			assert_memory_equal(px_env_log(&e)->term, "sR", 2);
		}
		px_env_end(&e);
	}
}

/* A client that waits for it is told to go on, once, and the server is not asked to say so. */
static void
test_continue(void **state sl_unused)
{
	static const char *const rules[] = { "wait-for-body time 1s", NULL };
	struct fake *c;

	start(PX_HTTP);
	e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, rules);
	px_env_start(&e);
	c = px_env_client(&e);
	px_env_ask(&e, c, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_string_equal(px_env_got(c), "HTTP/1.1 100 Continue\r\n\r\n");
	px_env_ask(&e, c, "ab");
	assert_non_null(px_env_backend(&e, 0));
	assert_null(strstr(px_env_got(px_env_backend(&e, 0)), "xpect"));
	px_env_end(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_no_delay),
		cmocka_unit_test(test_client_timeout),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_sni),
		cmocka_unit_test(test_bad_hello),
		cmocka_unit_test(test_response),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_response_reset),
		cmocka_unit_test(test_parked_reset),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_server_body),
		cmocka_unit_test(test_continue),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
