// SPDX-License-Identifier: BSD-3-Clause
/*
 * How exchanges end: status, termination state, retries, and dates, for everything that a client, a
 * server, a rule or a clock can do. The states are HAProxy's (manual 8.5); where 2.6 was asked the
 * same, it said the same.
 */
#include "tests/harness/px_env.h"

#define G(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST5   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"

enum deed { NOTHING, FIN, RST, STALL };

struct row {
	int line;
	const char *name;
	void (*setup)(struct px_env *e);
	const char *request;
	enum deed client;  // after the request
	uint32_t after_ms; // and this time
	const char *answer;
	int then; // of the server
	enum fake_answer connect[2];
	uint32_t wait_ms;
	uint16_t status;
	const char *term;
	uint8_t retries;
	bool redispatched;
	const char *got; // by the client; "!": nothing at all
	bool open;       // the client's connection lives on
	int32_t ta;      // at least; 0: any
};

static void
short_times(struct px_env *e)
{
	e->fe.timeout.client = 1000;
	e->be.timeout.server = 500;
	e->be.timeout.connect = 300;
	e->be.retries = 0;
}

static void
two_redispatch(struct px_env *e)
{
	e->be.nservers = 2;
	e->be.options |= PX_O_REDISPATCH;
	e->be.timeout.connect = 300;
}

static void
two_plain(struct px_env *e)
{
	e->be.nservers = 2;
	e->be.timeout.connect = 300;
}

static void
no_servers(struct px_env *e)
{
	e->be.nservers = 0;
}

static void
disabled(struct px_env *e)
{
	e->srv[0].disabled = true;
}

static void
backup(struct px_env *e)
{
	e->be.nservers = 2;
	e->srv[0].disabled = true;
	e->srv[1].backup = true;
}

static void
deny(struct px_env *e)
{
	e->fe.http_req = px_env_rules(e, EVAL_HTTP_REQ, (const char *const[]){ "deny", NULL });
}

static void
ret(struct px_env *e)
{
	e->fe.http_req =
		px_env_rules(e, EVAL_HTTP_REQ, (const char *const[]){ "return status 200", NULL });
}

static void
redirect(struct px_env *e)
{
	e->fe.http_req = px_env_rules(
		e, EVAL_HTTP_REQ, (const char *const[]){ "redirect location /x", NULL });
}

static void
deny_res(struct px_env *e)
{
	e->be.http_res = px_env_rules(e, EVAL_HTTP_RES, (const char *const[]){ "deny", NULL });
}

static void
return_res(struct px_env *e)
{
	e->be.http_res =
		px_env_rules(e, EVAL_HTTP_RES, (const char *const[]){ "return status 418", NULL });
}

static void
no_backend(struct px_env *e)
{
	e->fe.default_be = NULL;
}

static void
maxconn0(struct px_env *e)
{
	// a server whose only place is taken by nobody we know of
	e->srv[0].maxconn = 1;
	e->be.timeout.queue = 700;
}

static void
tunnel(struct px_env *e)
{
	e->be.timeout.tunnel = 2000;
}

static void
encoded(struct px_env *e)
{
	e->fe.http_req = px_env_rules(
		e, EVAL_HTTP_REQ, (const char *const[]){ "set-header x-a %[path,url_dec]", NULL });
}

/* More than the room for edits. */
static void
long_header(struct px_env *e)
{
	static char rule[HTTP_REWRITE + 64];

	memset(rule, 'x', sizeof(rule) - 1);
	memcpy(rule, "set-header x-a ", 15);
	e->fe.http_req = px_env_rules(e, EVAL_HTTP_REQ, (const char *const[]){ rule, NULL });
}

static void
httpclose(struct px_env *e)
{
	e->fe.options |= PX_O_CLOSE;
}

#define OK200 "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

static const struct row rows[] = {
	{ __LINE__, "normal", NULL, G("/"), NOTHING, 0, OK200, ENV_KEEP, { 0 }, 0, 200, "--", 0, 0,
		"ok", true },
	{ __LINE__, "client half-closes and waits", NULL, G("/"), FIN, 0, OK200, ENV_KEEP, { 0 }, 0,
		200, "--", 0, 0, "ok", false },
	{ __LINE__, "option httpclose", httpclose, G("/"), NOTHING, 0, OK200, ENV_KEEP, { 0 }, 0,
		200, "--", 0, 0, "connection: close", false },
	/* the request */
	{ __LINE__, "bad request", NULL, "GET  / HTP\r\n\r\n", NOTHING, 0, NULL, 0, { 0 }, 0, 400,
		"PR", 0, 0, "400 Bad request", false },
	{ __LINE__, "two lengths", NULL,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		NOTHING, 0, NULL, 0, { 0 }, 0, 400, "PR", 0, 0, "400", false },
	{ __LINE__, "length and coding", NULL,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		NOTHING, 0, NULL, 0, { 0 }, 0, 400, "PR", 0, 0, "400", false },
	{ __LINE__, "no host", NULL, "GET / HTTP/1.1\r\n\r\n", NOTHING, 0, NULL, 0, { 0 }, 0, 400,
		"PR", 0, 0, "400", false },
	{ __LINE__, "half a head, then the end", NULL, "GET / HT", FIN, 0, NULL, 0, { 0 }, 0, 400,
		"CR", 0, 0, "400", false },
	{ __LINE__, "half a head, then reset", NULL, "GET / HT", RST, 0, NULL, 0, { 0 }, 0, 400,
		"CR", 0, 0, "!", false },
	{ __LINE__, "half a head, then silence", NULL, "GET / HTTP/1.1\r\n", NOTHING, 0, NULL, 0,
		{ 0 }, 10100, 408, "cR", 0, 0, "408 Request Time-out", false, 10000 },
	{ __LINE__, "nothing at all", NULL, "", NOTHING, 0, NULL, 0, { 0 }, 10100, 408, "cR", 0, 0,
		"408", false },
	{ __LINE__, "connects and leaves", NULL, "", FIN, 0, NULL, 0, { 0 }, 0, 400, "CR", 0, 0,
		"!", false },
	{ __LINE__, "connects and resets", NULL, "", RST, 0, NULL, 0, { 0 }, 0, 400, "CR", 0, 0,
		"!", false },
	/* rules */
	{ __LINE__, "deny", deny, G("/"), NOTHING, 0, NULL, 0, { 0 }, 0, 403, "PR", 0, 0,
		"403 Forbidden", true },
	{ __LINE__, "return", ret, G("/"), NOTHING, 0, NULL, 0, { 0 }, 0, 200, "LR", 0, 0, "200 OK",
		true },
	{ __LINE__, "redirect", redirect, G("/"), NOTHING, 0, NULL, 0, { 0 }, 0, 302, "LR", 0, 0,
		"location: /x", true },
	{ __LINE__, "header value from CRLF", encoded, G("/a%0d%0ab"), NOTHING, 0, OK200, 0, { 0 },
		0, 200, "--", 0, 0, "ok", true },
	{ __LINE__, "no room for a header", long_header, G("/"), NOTHING, 0, NULL, 0, { 0 }, 0, 500,
		"PR", 0, 0, "500", true },
	{ __LINE__, "response denied", deny_res, G("/"), NOTHING, 0, OK200, ENV_KEEP, { 0 }, 0, 502,
		"PH", 0, 0, "502", true },
	{ __LINE__, "response replaced", return_res, G("/"), NOTHING, 0, OK200, ENV_KEEP, { 0 }, 0,
		418, "LH", 0, 0, "418", true },
	/* no server */
	{ __LINE__, "no backend", no_backend, G("/"), NOTHING, 0, NULL, 0, { 0 }, 0, 503, "SC", 0,
		0, "503", true },
	{ __LINE__, "empty backend", no_servers, G("/"), NOTHING, 0, NULL, 0, { 0 }, 0, 503, "SC",
		0, 0, "503", true },
	{ __LINE__, "server disabled", disabled, G("/"), NOTHING, 0, NULL, 0, { 0 }, 0, 503, "SC",
		0, 0, "503", true },
	{ __LINE__, "backup steps in", backup, G("/"), NOTHING, 0, OK200, ENV_KEEP, { 0 }, 0, 200,
		"--", 0, 0, "ok", true },
	/* connecting */
	{ __LINE__, "refused, 3 retries with pauses", two_plain, G("/"), NOTHING, 0, OK200,
		ENV_KEEP, { FAKE_REFUSE }, 1000, 503, "SC", 3, 0, "503", true, 900 },
	{ __LINE__, "refused, no retries", short_times, G("/"), NOTHING, 0, NULL, 0,
		{ FAKE_REFUSE }, 0, 503, "SC", 0, 0, "503", true },
	{ __LINE__, "refused, pause of 1 s", NULL, G("/"), NOTHING, 0, NULL, 0, { FAKE_REFUSE },
		3100, 503, "SC", 3, 0, "503", true, 3000 },
	{ __LINE__, "refused, redispatched at once", two_redispatch, G("/"), NOTHING, 0, OK200,
		ENV_KEEP, { FAKE_REFUSE }, 0, 200, "--", 1, 1, "ok", true },
	{ __LINE__, "both refused", two_redispatch, G("/"), NOTHING, 0, NULL, 0,
		{ FAKE_REFUSE, FAKE_REFUSE }, 0, 503, "SC", 3, 1, "503", true },
	{ __LINE__, "connect times out", short_times, G("/"), NOTHING, 0, NULL, 0, { FAKE_SILENT },
		400, 503, "sC", 0, 0, "503", true, 300 },
	{ __LINE__, "connect times out, redispatched", two_redispatch, G("/"), NOTHING, 0, OK200,
		ENV_KEEP, { FAKE_SILENT }, 400, 200, "--", 1, 1, "ok", true, 300 },
	{ __LINE__, "no source port", NULL, G("/"), NOTHING, 0, NULL, 0, { FAKE_NO_PORT }, 0, 503,
		"RC", 0, 0, "503", true },
	{ __LINE__, "client resets while connecting", NULL, G("/"), RST, 100, NULL, 0,
		{ FAKE_SILENT }, 0, 0, "CC", 0, 0, "!", false },
	{ __LINE__, "client resets in the pause", NULL, G("/"), RST, 100, NULL, 0, { FAKE_REFUSE },
		0, 0, "CC", 1, 0, "!", false },
	/* the queue */
	{ __LINE__, "queue times out", maxconn0, G("/"), NOTHING, 0, NULL, 0, { 0 }, 800, 503, "sQ",
		0, 0, "503", true, 700 },
	{ __LINE__, "client resets in the queue", maxconn0, G("/"), RST, 100, NULL, 0, { 0 }, 0, 0,
		"CQ", 0, 0, "!", false },
	/* waiting for the response */
	{ __LINE__, "server closes", NULL, G("/"), NOTHING, 0, "", ENV_FIN, { 0 }, 0, 502, "SH", 0,
		0, "502", true },
	{ __LINE__, "server resets", NULL, G("/"), NOTHING, 0, "", ENV_RST, { 0 }, 0, 502, "SH", 0,
		0, "502", true },
	{ __LINE__, "server closes inside the head", NULL, G("/"), NOTHING, 0,
		"HTTP/1.1 200 OK\r\nx", ENV_FIN, { 0 }, 0, 502, "SH", 0, 0, "502", true },
	{ __LINE__, "server says nonsense", NULL, G("/"), NOTHING, 0, "HTP/1.1 200 OK\r\n\r\n",
		ENV_KEEP, { 0 }, 0, 502, "PH", 0, 0, "502", true },
	{ __LINE__, "server says two lengths", NULL, G("/"), NOTHING, 0,
		"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", ENV_KEEP,
		{ 0 }, 0, 502, "PH", 0, 0, "502", true },
	{ __LINE__, "server times out", short_times, G("/"), NOTHING, 0, "", ENV_HANG, { 0 }, 600,
		504, "sH", 0, 0, "504 Gateway Time-out", true, 500 },
	{ __LINE__, "server times out inside the head", short_times, G("/"), NOTHING, 0,
		"HTTP/1.1 2", ENV_HANG, { 0 }, 600, 504, "sH", 0, 0, "504", true, 500 },
	{ __LINE__, "client resets while waiting", NULL, G("/"), RST, 100, "", ENV_HANG, { 0 }, 0,
		0, "CH", 0, 0, "!", false },
	{ __LINE__, "client leaves inside its body", NULL, POST5 "ab", FIN, 100, "", ENV_HANG,
		{ 0 }, 0, 0, "CH", 0, 0, "!", false },
	{ __LINE__, "client is silent inside its body", short_times, POST5 "ab", NOTHING, 0, "",
		ENV_HANG, { 0 }, 1100, 408, "cH", 0, 0, "408", false, 1000 },
	{ __LINE__, "client sends a bad chunk", NULL,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", NOTHING,
		0, "", ENV_HANG, { 0 }, 0, 400, "PR", 0, 0, "400", false },
	/* data */
	{ __LINE__, "body cut short", NULL, G("/"), NOTHING, 0,
		"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", ENV_FIN, { 0 }, 0, 200, "SD", 0,
		0, "abc", false },
	{ __LINE__, "reset in the body", NULL, G("/"), NOTHING, 200,
		"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", ENV_RST, { 0 }, 0, 200, "SD", 0,
		0, "abc", false },
	{ __LINE__, "reset in the head", NULL, G("/"), NOTHING, 0, "HTTP/1.1 200 OK\r\nx", ENV_RST,
		{ 0 }, 0, 502, "SH", 0, 0, "502", true },
	{ __LINE__, "reset behind an interim head", NULL, G("/"), NOTHING, 0,
		"HTTP/1.1 103 Early Hints\r\n\r\n", ENV_RST, { 0 }, 0, 502, "SH", 0, 0, "502",
		true },
	{ __LINE__, "whole answer, then reset", NULL, G("/"), NOTHING, 0, OK200, ENV_RST, { 0 }, 0,
		200, "--", 0, 0, "ok", true },
	{ __LINE__, "whole chunked answer, then reset", NULL, G("/"), NOTHING, 0,
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		ENV_RST, { 0 }, 0, 200, "--", 0, 0, "0\r\n\r\n", true },
	{ __LINE__, "reset between chunks", NULL, G("/"), NOTHING, 0,
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", ENV_RST, { 0 },
		0, 200, "SD", 0, 0, "ok", false },
	{ __LINE__, "reset instead of the end", NULL, G("/"), NOTHING, 0,
		"HTTP/1.1 200 OK\r\n\r\nabc", ENV_RST, { 0 }, 0, 200, "SD", 0, 0, "abc", false },
	{ __LINE__, "answer before the request's end, then reset", NULL, POST5 "ab", NOTHING, 0,
		OK200, ENV_RST, { 0 }, 0, 200, "--", 0, 0, "ok", false },
	{ __LINE__, "bad chunk of the server", NULL, G("/"), NOTHING, 0,
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", ENV_KEEP,
		{ 0 }, 0, 502, "PH", 0, 0, "502", true },
	{ __LINE__, "server silent in the body", short_times, G("/"), NOTHING, 0,
		"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", ENV_HANG, { 0 }, 600, 200, "sD",
		0, 0, "abc", false, 500 },
	{ __LINE__, "client resets in the body", NULL, G("/"), RST, 100,
		"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", ENV_HANG, { 0 }, 0, 200, "CD", 0,
		0, "abc", false },
	/* tunnels */
	{ __LINE__, "tunnel, both end", tunnel,
		"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		FIN, 10,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
		ENV_HANG, { 0 }, 0, 101, "--", 0, 0, "hello", false },
	{ __LINE__, "tunnel, server resets", tunnel,
		"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		NOTHING, 10,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
		ENV_RST, { 0 }, 0, 101, "SD", 0, 0, "hello", false },
	{ __LINE__, "tunnel times out", tunnel,
		"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		NOTHING, 10,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
		ENV_HANG, { 0 }, 2100, 101, "cD", 0, 0, "hello", false, 2000 },
	{ __LINE__, "tunnel, client resets", tunnel,
		"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		RST, 10,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
		ENV_HANG, { 0 }, 0, 101, "CD", 0, 0, "hello", false },
};

/* The i-th answer is the row's for every request. */
static const struct row *now_row;

static void
serve(struct px_env *e sl_unused, struct fake *f)
{
	if (f->user_gone || f->dead)
		return;
	if (f->served == 0 && f->out_len > 0 && now_row->answer != NULL &&
		memmem(f->out, f->out_len, "\r\n\r\n", 4) != NULL) {
		f->served = 1;
		fake_give(f, now_row->answer, (uint32_t)strlen(now_row->answer));
		if (now_row->then == ENV_FIN)
			fake_fin(f);
		else if (now_row->then == ENV_RST)
			fake_rst(f);
	}
	if (f->shut)
		fake_fin(f);
}

static void
client_deed(const struct row *r, struct fake *c)
{
	if (r->client == FIN)
		fake_fin(c);
	else if (r->client == RST)
		fake_rst(c);
}

static int nwrong;

/* All rows are looked at before the test fails. */
#define wrong(...) (nwrong++, print_error(__VA_ARGS__), print_error("\n"))

static void
check(const struct row *r, struct px_env *e, struct fake *c)
{
	const struct logrec *rec = px_env_log(e);
	const char *got = px_env_got(c);
	bool open = !c->user_gone && !c->shut && !c->dead;

	if (rec == NULL) {
		wrong("line %d: %s: no record; got:\n%s", r->line, r->name, got);
		return;
	}
	if (rec->status != r->status || memcmp(rec->term, r->term, 2) != 0)
		wrong("line %d: %s: %u %.4s, want %u %s; got:\n%s", r->line, r->name, rec->status,
			rec->term, r->status, r->term, got);
	if (rec->retries != r->retries || rec->redispatched != r->redispatched)
		wrong("line %d: %s: %u retries, redispatched %d", r->line, r->name, rec->retries,
			rec->redispatched);
	if (rec->ta < r->ta || (r->ta > 0 && rec->ta > r->ta + 20))
		wrong("line %d: %s: Ta %d, want %d", r->line, r->name, rec->ta, r->ta);
	if (r->got != NULL && (r->got[0] == '!' ? got[0] != '\0' : strstr(got, r->got) == NULL))
		wrong("line %d: %s: want '%s', got:\n%s", r->line, r->name, r->got, got);
	if (open != r->open)
		wrong("line %d: %s: client's connection is %s; got:\n%s", r->line, r->name,
			open ? "open" : "closed", got);
	assert_null(px_env_log(e));
}

static void
run_row(const struct row *r)
{
	static struct px_env e;
	struct fake *c;

	px_env_init(&e);
	now_row = r;
	e.on_server = serve;
	e.connect[0] = r->connect[0];
	e.connect[1] = r->connect[1];
	if (r->setup != NULL)
		r->setup(&e);
	if (e.error[0] != '\0')
		fail_msg("line %d: %s", r->line, e.error);
	px_env_start(&e);
	if (r->setup == maxconn0)
		atomic_store(&e.bal->srv[0].cur, 1);
	c = px_env_client(&e);
	assert_non_null(c);
	if (r->request[0] != '\0')
		fake_give(c, r->request, (uint32_t)strlen(r->request));
	if (r->after_ms > 0 || r->client == NOTHING) {
		px_env_run(&e);
		px_env_wait(&e, r->after_ms);
	}
	client_deed(r, c);
	px_env_run(&e);
	px_env_wait(&e, r->wait_ms);
	check(r, &e, c);
	if (r->setup == maxconn0)
		atomic_store(&e.bal->srv[0].cur, 0);
	px_env_end(&e);
}

static void
test_table(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++)
		run_row(&rows[i]);
	assert_int_equal(nwrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
