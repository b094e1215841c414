// SPDX-License-Identifier: BSD-3-Clause
/*
 * Edits of heads that would tell the peer another end of the body than the proxy passes on: fields
 * by rules, method and status by scripts. Each exchange is followed by a second one on the same
 * client connection, which must come through whole.
 */
#include "dataplane/proxy/call.h"
#include "tests/harness/px_env.h"

#define HOST "\r\nHost: a\r\n"
#define NEXT "GET /next HTTP/1.1" HOST "\r\n"
#define OK   "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

static const struct env_answer answers[] = {
	{ "/body", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody", ENV_KEEP },
	{ "/chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		ENV_KEEP },
	{ "/nobody", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", ENV_KEEP },
	{ "/101", "HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", ENV_KEEP },
	{ "/304", "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", ENV_KEEP },
	{ NULL, NULL, ENV_KEEP },
};

struct row {
	int line;
	const char *req_rule, *res_rule; // NULL: none
	const char *request;
	const char *server; // exactly the first request as the server gets it, or NULL
	const char *client; // exactly the first answer
	enum call_write_op op;
	const char *method; // what a script writes
	uint16_t status;
};

static const struct row rows[] = {
	// fields of the request
	{ __LINE__, "del-header content-length", NULL,
		"POST / HTTP/1.1" HOST "content-length: 5\r\n\r\nhello",
		"POST / HTTP/1.1" HOST "content-length: 5\r\n\r\nhello", OK, 0, NULL, 0 },
	{ __LINE__, "set-header content-length 2", NULL,
		"POST / HTTP/1.1" HOST "content-length: 5\r\n\r\nhello",
		"POST / HTTP/1.1" HOST "content-length: 5\r\n\r\nhello", OK, 0, NULL, 0 },
	{ __LINE__, "add-header Transfer-Encoding chunked", NULL,
		"POST / HTTP/1.1" HOST "content-length: 5\r\n\r\nhello",
		"POST / HTTP/1.1" HOST "content-length: 5\r\n\r\nhello", OK, 0, NULL, 0 },
	{ __LINE__, "del-header transfer-encoding", NULL,
		"POST / HTTP/1.1" HOST "transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"POST / HTTP/1.1" HOST "transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", OK,
		0, NULL, 0 },
	{ __LINE__, "set-header Content-Length 3", NULL, "GET / HTTP/1.1" HOST "\r\n",
		"GET / HTTP/1.1" HOST "\r\n", OK, 0, NULL, 0 },
	// fields of the response
	{ __LINE__, NULL, "del-header content-length", "GET /body HTTP/1.1" HOST "\r\n", NULL,
		"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody", 0, NULL, 0 },
	{ __LINE__, NULL, "set-header content-length 1", "GET /body HTTP/1.1" HOST "\r\n", NULL,
		"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody", 0, NULL, 0 },
	{ __LINE__, NULL, "set-header content-length 1", "GET /chunk HTTP/1.1" HOST "\r\n", NULL,
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 0,
		NULL, 0 },
	{ __LINE__, NULL, "set-header content-length 1", "HEAD /nobody HTTP/1.1" HOST "\r\n", NULL,
		"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", 0, NULL, 0 },
	// the method: no body for who asked by HEAD, and no waiting for who did not
	{ __LINE__, "lua.x", NULL, "HEAD /body HTTP/1.1" HOST "\r\n", NULL,
		"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", CW_REQ_METHOD, "GET", 0 },
	{ __LINE__, "lua.x", NULL, "GET /nobody HTTP/1.1" HOST "\r\n", NULL,
		"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", CW_REQ_METHOD, "HEAD", 0 },
	// the status
	{ __LINE__, NULL, "lua.x", "GET /body HTTP/1.1" HOST "\r\n", NULL, "HTTP/1.1 204 X\r\n\r\n",
		CW_RES_STATUS, NULL, 204 },
	{ __LINE__, NULL, "lua.x", "GET /chunk HTTP/1.1" HOST "\r\n", NULL,
		"HTTP/1.1 304 X\r\ntransfer-encoding: chunked\r\n\r\n", CW_RES_STATUS, NULL, 304 },
	{ __LINE__, NULL, "lua.x", "GET /304 HTTP/1.1" HOST "\r\n", NULL,
		"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n", CW_RES_STATUS, NULL, 200 },
};

static const struct prog *
rules(struct px_env *e, enum eval_point point, const char *rule)
{
	const char *list[] = { rule, NULL };
	const struct prog *p = rule != NULL ? px_env_rules(e, point, list) : NULL;

	if (rule != NULL && p == NULL)
		fail_msg("%s", e->error);
	return p;
}

/* As script: the first call writes, others do not. */
static void
script(struct px_env *e, const struct row *r)
{
	struct sample v = { .type = T_SINT, .i = r->status };
	struct call_slot *c;
	bool first = true;

	while ((c = px_env_call(e)) != NULL) {
		if (r->method != NULL)
			v = (struct sample){ .type = T_STR, .s = sl_str_c(r->method) };
		if (first)
			assert_int_equal(call_add_write(c, r->op, VAR_TXN, SL_STR("X"), &v), 0);
		first = false;
		c->end = CALL_OK;
		c->act = 0;
		px_env_reply(e, c);
	}
}

static void
run_row(const struct row *r)
{
	static struct px_env e;
	char want[512];
	struct fake *c;

	px_env_init(&e);
	e.answers = answers;
	e.fe.http_req = rules(&e, EVAL_HTTP_REQ, r->req_rule);
	e.be.http_res = rules(&e, EVAL_HTTP_RES, r->res_rule);
	px_env_start(&e);
	c = px_env_client(&e);
	fake_give(c, r->request, (uint32_t)strlen(r->request));
	px_env_run(&e);
	script(&e, r);
	if (r->server != NULL && strcmp(px_env_got(px_env_backend(&e, 0)), r->server) != 0)
		fail_msg("line %d: server got:\n%s", r->line, px_env_got(px_env_backend(&e, 0)));
	if (strcmp(px_env_got(c), r->client) != 0)
		fail_msg("line %d: client got:\n%s", r->line, px_env_got(c));
	// rules of responses run again: only the first bytes are compared
	fake_give(c, NEXT, sizeof(NEXT) - 1);
	px_env_run(&e);
	script(&e, &(struct row){ .line = r->line, .op = CW_UNSET_VAR });
	snprintf(want, sizeof(want), "%sHTTP/1.1 200 OK\r\n", r->client);
	if (strncmp(px_env_got(c), want, strlen(want)) != 0)
		fail_msg("line %d: client got:\n%s", r->line, px_env_got(c));
	px_env_end(&e);
}

static void
test_rows(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++)
		run_row(&rows[i]);
}

/* 101 is an answer only to who asked for another protocol (RFC 9110 7.8). */
static void
test_unasked_upgrade(void **state sl_unused)
{
	static const char asked[] =
		"GET /101 HTTP/1.1" HOST "Connection: upgrade\r\nUpgrade: x\r\n\r\n";
	// a body would stand between the two protocols
	static const char body[] = "GET /101 HTTP/1.1" HOST
				   "Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc" NEXT;
	static const char plain[] = "GET /101 HTTP/1.1" HOST "\r\n" NEXT;
	static struct px_env e;
	struct fake *c;

	px_env_init(&e);
	e.answers = answers;
	px_env_start(&e);
	c = px_env_client(&e);
	fake_give(c, plain, sizeof(plain) - 1);
	px_env_run(&e);
	assert_memory_equal(px_env_got(c), "HTTP/1.1 502 ", 13);
	assert_non_null(strstr(px_env_got(c), OK)); // the second request is one, not tunnel bytes
	c = px_env_client(&e);
	fake_give(c, body, sizeof(body) - 1);
	px_env_run(&e);
	assert_memory_equal(px_env_got(c), "HTTP/1.1 502 ", 13);
	assert_non_null(strstr(px_env_got(c), OK));
	c = px_env_client(&e);
	fake_give(c, asked, sizeof(asked) - 1);
	px_env_run(&e);
	assert_memory_equal(px_env_got(c), "HTTP/1.1 101 ", 13);
	px_env_end(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows),
		cmocka_unit_test(test_unasked_upgrade) };

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
