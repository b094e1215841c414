// SPDX-License-Identifier: BSD-3-Clause
/*
 * Exchanges through the proxy over a fake transport: what the server gets and what the client gets,
 * for requests given whole, byte by byte, and split at every position.
 */
#include "tests/harness/px_env.h"

/* Substring to look for in what a side got; NULL: nothing. "!" in front: must not be there. */
static void
check_has(int line, const char *side, const char *got, const char *want)
{
	bool there;

	if (want == NULL)
		return;
	there = strstr(got, want[0] == '!' ? want + 1 : want) != NULL;
	if (there == (want[0] == '!'))
		fail_msg("line %d: %s: '%s' in:\n%s", line, side, want, got);
}

static const struct env_answer answers[] = {
	{ "/close", "HTTP/1.1 200 OK\r\n\r\nuntil close", ENV_FIN },
	{ "/v10", "HTTP/1.0 200 OK\r\n\r\nold", ENV_FIN },
	{ "/v10ka", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold",
		ENV_KEEP },
	{ "/chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n0\r\n\r\n",
		ENV_KEEP },
	{ "/204", "HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n", ENV_KEEP },
	{ "/304", "HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n", ENV_KEEP },
	{ "/head", "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n", ENV_KEEP },
	{ "/cc", "HTTP/1.1 200 OK\r\nConnection: close, x-foo\r\nContent-Length: 4\r\n\r\nbody",
		ENV_FIN },
	{ "/early",
		"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
		ENV_KEEP },
	{ "/204cl", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", ENV_KEEP },
	{ "/204te", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nx-a: b\r\n\r\n",
		ENV_KEEP },
	{ "/103cl",
		"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\nlink: x\r\n\r\n"
		"HTTP/1.1 200 OK\r\nx-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		ENV_KEEP },
	{ NULL, NULL, ENV_KEEP },
};

#define HOST "\r\nHost: a\r\n"

struct row {
	int line;
	const char *request;
	const char *server[3]; // what the server gets
	const char *client[3]; // what the client gets
	bool closed;           // the client's connection ends
	uint32_t connects;
};

static const struct row rows[] = {
	{ __LINE__, "GET / HTTP/1.1" HOST "\r\n", { "GET / HTTP/1.1\r\nHost: a\r\n", "!onnection" },
		{ "HTTP/1.1 200 OK\r\n", "\r\n\r\nok", "!onnection" }, false, 1 },
	{ __LINE__, "GET / HTTP/1.1" HOST "Connection: keep-alive, x-foo\r\n\r\n",
		{ "connection: x-foo\r\n", "!keep-alive" }, { "!onnection" }, false, 1 },
	{ __LINE__, "GET / HTTP/1.1" HOST "Connection:\r\n\r\n", { "GET /", "!onnection" },
		{ "!onnection" }, false, 1 },
	{ __LINE__, "GET / HTTP/1.1" HOST "Connection: , ,\r\nUpgrade: x\r\n\r\n",
		{ "Upgrade: x\r\n", "!onnection" }, { "!onnection" }, false, 1 },
	{ __LINE__,
		"POST / HTTP/1.1" HOST
		"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc",
		{ "Connection: upgrade\r\n", "!pgrade: x" }, { "200 OK" }, false, 1 },
	{ __LINE__,
		"POST / HTTP/1.1" HOST
		"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
		{ "Upgrade: x\r\n" }, { "200 OK" }, false, 1 },
	{ __LINE__, "GET / HTTP/1.1" HOST "Connection: close\r\n\r\n", { "!onnection" },
		{ "connection: close\r\n" }, true, 1 },
	{ __LINE__, "GET / HTTP/1.0\r\n\r\n", { "GET / HTTP/1.0\r\n", "connection: keep-alive" },
		{ "HTTP/1.1 200", "connection: close" }, true, 1 },
	{ __LINE__, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		{ "connection: keep-alive" }, { "connection: keep-alive" }, false, 1 },
	{ __LINE__, "GET /close HTTP/1.1" HOST "\r\n", { NULL },
		{ "connection: close", "until close" }, true, 1 },
	{ __LINE__, "GET /v10 HTTP/1.1" HOST "\r\n", { NULL }, { "HTTP/1.0 200", "old" }, true, 1 },
	{ __LINE__, "GET /v10ka HTTP/1.1" HOST "\r\n", { NULL },
		{ "HTTP/1.0 200", "connection: keep-alive", "old" }, false, 1 },
	{ __LINE__, "GET /chunk HTTP/1.1" HOST "\r\n", { NULL },
		{ "4\r\nwiki\r\n0\r\n\r\n", "chunked" }, false, 1 },
	{ __LINE__, "GET /chunk HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", { NULL },
		{ "\r\n\r\nwiki", "!chunked", "connection: close" }, true, 1 },
	{ __LINE__, "GET /204 HTTP/1.1" HOST "\r\nGET / HTTP/1.1" HOST "\r\n", { NULL },
		{ "204 No Content", "\r\n\r\nok" }, false, 1 },
	{ __LINE__, "GET /204cl HTTP/1.1" HOST "\r\n", { NULL }, { "204 No Content", "!ontent-" },
		false, 1 },
	{ __LINE__, "GET /204te HTTP/1.1" HOST "\r\n", { NULL },
		{ "204 No Content", "!ransfer-", "x-a: b" }, false, 1 },
	{ __LINE__, "GET /103cl HTTP/1.1" HOST "\r\n", { NULL },
		{ "103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK", "!ontent-",
			"\r\n0\r\n\r\n" },
		false, 1 },
	{ __LINE__, "GET / HTTP/1.1" HOST "TE: gzip, trailers ,deflate\r\nX-Te: a\r\n\r\n",
		{ "te: trailers\r\n", "!gzip", "X-Te: a" }, { "ok" }, false, 1 },
	{ __LINE__, "GET / HTTP/1.1" HOST "TE: gzip\r\nte: chunked\r\n\r\n",
		{ "!gzip", "!chunked" }, { "ok" }, false, 1 },
	{ __LINE__, "GET /304 HTTP/1.1" HOST "\r\nGET / HTTP/1.1" HOST "\r\n", { NULL },
		{ "304 Not Modified", "\r\n\r\nok" }, false, 1 },
	{ __LINE__, "HEAD /head HTTP/1.1" HOST "\r\nGET / HTTP/1.1" HOST "\r\n", { NULL },
		{ "content-length: 1234", "\r\n\r\nok" }, false, 1 },
	{ __LINE__, "GET /cc HTTP/1.1" HOST "\r\nGET / HTTP/1.1" HOST "\r\n", { NULL },
		{ "connection: x-foo", "body", "\r\n\r\nok" }, false, 2 },
	{ __LINE__, "POST / HTTP/1.1" HOST "Content-Length: 5\r\n\r\nhello", { "\r\n\r\nhello" },
		{ "ok" }, false, 1 },
	{ __LINE__,
		"POST / HTTP/1.1" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		{ "\r\n\r\n3\r\nabc\r\n0\r\n\r\n" }, { "ok" }, false, 1 },
	{ __LINE__, "GET /early HTTP/1.1" HOST "\r\n", { NULL },
		{ "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK", "\r\n\r\nok" },
		false, 1 },
	{ __LINE__, "GET /early HTTP/1.0\r\n\r\n", { NULL }, { "!103", "200 OK" }, true, 1 },
	{ __LINE__, "\r\n\r\nGET / HTTP/1.1" HOST "\r\n\r\n", { "GET" }, { "ok" }, false, 1 },
	{ __LINE__,
		"GET / HTTP/1.1" HOST "\r\nGET / HTTP/1.1" HOST "\r\nGET / HTTP/1.1" HOST
		"Connection: close\r\n\r\n",
		{ "GET" }, { "connection: close" }, true, 1 },
	{ __LINE__, "GET /deny HTTP/1.1" HOST "\r\n", { NULL },
		{ "403 Forbidden", "cache-control: no-cache\r\n", "!onnection" }, false, 0 },
	{ __LINE__, "POST /deny HTTP/1.1" HOST "Content-Length: 9\r\n\r\nabc", { NULL },
		{ "403 Forbidden", "connection: close" }, true, 0 },
	{ __LINE__, "GET /deny429 HTTP/1.1" HOST "\r\n", { NULL }, { "429 Too Many" }, false, 0 },
	{ __LINE__, "GET /redir?x=1 HTTP/1.1" HOST "\r\n", { NULL },
		{ "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: /to/redir\r\n"
		  "cache-control: no-cache\r\n\r\n" },
		false, 0 },
	{ __LINE__, "GET /prefix?x=1 HTTP/1.1" HOST "\r\n", { NULL },
		{ "301 Moved Permanently", "location: http://z/prefix?x=1\r\n", "!cache" }, false,
		0 },
	{ __LINE__, "GET /dropq?x=1 HTTP/1.1" HOST "\r\n", { NULL },
		{ "location: http://z/dropq\r\n" }, false, 0 },
	{ __LINE__, "GET /scheme?x=1 HTTP/1.1" HOST "\r\n", { NULL },
		{ "location: https://a/scheme?x=1\r\n" }, false, 0 },
	{ __LINE__, "GET /ret HTTP/1.1" HOST "\r\n", { NULL },
		{ "200 OK\r\ncontent-length: 9\r\nx-h: GET\r\ncontent-type: text/plain\r\n\r\nhi 192.0." },
		false, 0 },
	{ __LINE__, "HEAD /ret HTTP/1.1" HOST "\r\nGET / HTTP/1.1" HOST "\r\n", { NULL },
		{ "content-length: 9", "!hi 192", "\r\n\r\nok" }, false, 1 },
	{ __LINE__, "GET /ret204 HTTP/1.1" HOST "\r\n", { NULL },
		{ "HTTP/1.1 204 No Content\r\n\r\n" }, false, 0 },
	{ __LINE__, "GET /set HTTP/1.1" HOST "X-A: 1\r\nX-Del: 1\r\n\r\n",
		{ "x-a: v-/set\r\n", "!X-Del", "x-add: 2\r\n" }, { "x-res: 200 b\r\n" }, false, 1 },
	{ __LINE__, "GET /b2 HTTP/1.1" HOST "\r\n", { "x-forwarded-for: 192.0.2.7" }, { "ok" },
		false, 1 },
	{ __LINE__, "GET /denyres HTTP/1.1" HOST "\r\n", { "GET" }, { "502 Bad Gateway" }, false,
		1 },
	{ __LINE__, "BAD\r\n\r\n", { NULL }, { "400 Bad request", "connection: close" }, true, 0 },
};

static const char *const req_rules[] = {
	"deny if { path /deny }",
	"deny deny_status 429 if { path /deny429 }",
	"redirect location \"/to%[path]\" if { path /redir }",
	"redirect prefix http://z code 301 if { path /prefix }",
	"redirect prefix http://z drop-query if { path /dropq }",
	"redirect scheme https if { path /scheme }",
	"return content-type text/plain lf-string \"hi %[src,ipmask(8)]\" "
	"hdr x-h %[method] if { path /rets }",
	"return status 200 content-type text/plain string \"hi 192.0.\" "
	"hdr x-h %[method] if { path /ret }",
	"return status 204 if { path /ret204 }",
	"set-var(txn.v) str(b)",
	"set-header x-a v-%[path] if { path /set }",
	"add-header x-add 2 if { path /set }",
	"del-header x-del",
	NULL,
};

static const char *const res_rules[] = {
	"set-header x-res \"%[status] %[var(txn.v)]\" if { var(txn.v) -m found }",
	"deny if { var(txn.deny) -m found }",
	NULL,
};

static void
env_start(struct px_env *e)
{
	static struct be_switch sw[1];

	px_env_init(e);
	e->answers = answers;
	e->fe.options = PX_O_FORWARDFOR;
	e->fe.forwardfor_hdr = SL_STR("x-forwarded-for");
	e->fe.http_req = px_env_rules(e, EVAL_HTTP_REQ, req_rules);
	if (e->fe.http_req == NULL)
		fail_msg("%s", e->error);
	e->be.http_res = px_env_rules(e, EVAL_HTTP_RES, res_rules);
	if (e->be.http_res == NULL)
		fail_msg("%s", e->error);
	e->be.http_req = px_env_rules(e, EVAL_HTTP_REQ,
		(const char *const[]){ "set-var(txn.deny) int(1) if { path /denyres }", NULL });
	if (e->be.http_req == NULL)
		fail_msg("%s", e->error);
	sw[0] = (struct be_switch){ .cond = px_env_cond(e, "{ path /b2 }"), .be = &e->be2 };
	e->fe.switches = sw;
	e->fe.nswitches = 1;
	px_env_start(e);
}

/* cut: 0 whole, UINT32_MAX byte by byte, else split there. */
static void
run_row(const struct row *r, uint32_t cut, bool coalesce)
{
	static struct px_env e;
	uint32_t n = (uint32_t)strlen(r->request), connects;
	struct fake *c;
	static char server[65536];

	env_start(&e);
	e.net.coalesce = coalesce;
	c = px_env_client(&e);
	assert_non_null(c);
	if (cut == UINT32_MAX) {
		for (uint32_t i = 0; i < n; i++) {
			fake_give(c, r->request + i, 1);
			px_env_run(&e);
		}
	} else {
		fake_give(c, r->request, cut);
		px_env_run(&e);
		fake_give(c, r->request + cut, n - cut);
	}
	px_env_run(&e);
	server[0] = '\0';
	for (uint32_t i = 0, at = 0; i < FAKE_MAX; i++) {
		struct fake *f = &e.net.conn[i];
		if (f->used && !f->passive)
			at += (uint32_t)snprintf(
				server + at, sizeof(server) - at, "%s", px_env_got(f));
	}
	connects = e.net.connects;
	for (int i = 0; i < 3; i++) {
		check_has(r->line, "server", server, r->server[i]);
		check_has(r->line, "client", px_env_got(c), r->client[i]);
	}
	if ((c->user_gone || c->shut) != r->closed)
		fail_msg("line %d cut %u: closed %d:\n%s", r->line, cut, c->shut, px_env_got(c));
	if (connects != r->connects)
		fail_msg("line %d cut %u: %u connects", r->line, cut, connects);
	px_env_end(&e);
}

static void
test_whole(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++)
		run_row(&rows[i], 0, false);
}

static void
test_bytes(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		run_row(&rows[i], UINT32_MAX, false);
		run_row(&rows[i], UINT32_MAX, true);
	}
}

static void
test_splits(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++)
		for (uint32_t cut = 1; cut < strlen(rows[i].request); cut++)
			run_row(&rows[i], cut, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_splits),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
