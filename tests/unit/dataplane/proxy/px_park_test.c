// SPDX-License-Identifier: BSD-3-Clause
/*
 * Requests that wait for a script, in every place where a program may stop: resumed, overtaken by
 * the clock, left by the client; the test is the script thread.
 */
#include "dataplane/proxy/call.h"
#include "tests/harness/px_env.h"

#define G "GET /p HTTP/1.1\r\nHost: a\r\n\r\n"

static struct px_env e;

enum place { FE_ACTION, FE_COND, SWITCH, FORMAT, BE_ACTION, RES_ACTION, RES_FE_ACTION, NR_PLACES };

static struct be_switch sw[2];

static void
start(enum place where)
{
	const char *one[] = { "lua.x", NULL };
	const char *cond[] = { "deny if { lua.f -m str no }", NULL };
	const char *fmt[] = { "set-header x-lua %[path]-%[lua.f]", NULL };

	px_env_init(&e);
	switch (where) {
	case FE_ACTION:
		e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, one);
		break;
	case FE_COND:
		e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, cond);
		break;
	case FORMAT:
		e.fe.http_req = px_env_rules(&e, EVAL_HTTP_REQ, fmt);
		break;
	case SWITCH:
		sw[0] = (struct be_switch){ .cond = px_env_cond(&e, "{ path /other }"),
			.be = &e.be };
		sw[1] = (struct be_switch){ .cond = px_env_cond(&e, "{ lua.f -m str yes }"),
			.be = &e.be2 };
		e.fe.switches = sw;
		e.fe.nswitches = 2;
		break;
	case BE_ACTION:
		e.be.http_req = px_env_rules(&e, EVAL_HTTP_REQ, one);
		break;
	case RES_ACTION:
		e.be.http_res = px_env_rules(&e, EVAL_HTTP_RES, one);
		break;
	case RES_FE_ACTION:
	default:
		e.fe.http_res = px_env_rules(&e, EVAL_HTTP_RES, one);
		break;
	}
	if (e.error[0] != '\0')
		fail_msg("%d: %s", where, e.error);
	px_env_start(&e);
}

static struct fake *
ask(const char *text)
{
	struct fake *c = px_env_client(&e);

	fake_give(c, text, (uint32_t)strlen(text));
	px_env_run(&e);
	return c;
}

static void
say(struct call_slot *c, const char *value)
{
	c->end = CALL_OK;
	c->act = 0;
	c->value = (struct sample){ .type = T_STR, .s = sl_str_c(value) };
	px_env_reply(&e, c);
}

static void
test_resume(void **state sl_unused)
{
	for (int w = 0; w < NR_PLACES; w++) {
		struct call_slot *call;
		struct fake *c;

		start((enum place)w);
		c = ask(G);
		call = px_env_call(&e);
		if (call == NULL)
			fail_msg("place %d: no call", w);
		assert_int_equal(c->out_len, 0);
		px_env_wait(&e, 100);
		assert_int_equal(c->out_len, 0);
		say(call, "yes");
		if (strstr(px_env_got(c), "200 OK") == NULL)
			fail_msg("place %d: got %s", w, px_env_got(c));
		assert_null(px_env_call(&e)); // a completed step never runs twice
		assert_int_equal(px_env_log(&e)->ta, 100);
		if (w == SWITCH)
			assert_int_equal(px_env_backend(&e, 0)->remote.port, 9001);
		if (w == FORMAT)
			assert_non_null(
				strstr(px_env_got(px_env_backend(&e, 0)), "x-lua: /p-yes\r\n"));
		px_env_end(&e);
	}
}

static void
test_verdicts(void **state sl_unused)
{
	static const struct {
		int line;
		enum call_end end;
		int32_t act;
		const char *got; // "": closed without an answer
		const char *term;
	} rows[] = {
		{ __LINE__, CALL_OK, 0, "200 OK", "--" }, { __LINE__, CALL_OK, 1, "200 OK", "--" },
		{ __LINE__, CALL_OK, 5, "403 Forbidden", "PR" }, { __LINE__, CALL_OK, 6, "", "PR" },
		{ __LINE__, CALL_OK, 7, "400 Bad", "PR" },
		{ __LINE__, CALL_ERROR, 0, "200 OK", "--" }, // HAProxy goes on
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct logrec *r;
		struct call_slot *call;
		struct fake *c;

		start(FE_ACTION);
		c = ask(G);
		call = px_env_call(&e);
		assert_non_null(call);
		call->end = rows[i].end;
		call->act = rows[i].act;
		px_env_reply(&e, call);
		r = px_env_log(&e);
		if (r == NULL || memcmp(r->term, rows[i].term, 2) != 0 ||
			(rows[i].got[0] == '\0') != (c->out_len == 0) ||
			strstr(px_env_got(c), rows[i].got) == NULL)
			fail_msg("line %d: %.2s, got %s", rows[i].line, r != NULL ? r->term : "??",
				px_env_got(c));
		px_env_end(&e);
	}
}

static void
test_leave(void **state sl_unused)
{
	for (int w = 0; w < NR_PLACES; w++) {
		struct call_slot *call;
		struct fake *c;

		start((enum place)w);
		c = ask(G);
		call = px_env_call(&e);
		assert_non_null(call);
		fake_rst(c);
		px_env_run(&e);
		assert_int_equal(px_streams(e.lc), 0);
		assert_null(px_env_call(&e));
		assert_int_equal(e.cancels, 1);
		// another stream may stand in the same memory by now: the late answer is not its
		c = ask("GET /q HTTP/1.1\r\nHost: a\r\n\r\n");
		say(call, "no");
		assert_int_equal(c->out_len, 0);
		call = px_env_call(&e);
		assert_non_null(call);
		say(call, "yes");
		assert_non_null(strstr(px_env_got(c), "200 OK"));
		px_env_end(&e);
	}
}

static void
test_deadline(void **state sl_unused)
{
	for (int w = 0; w < NR_PLACES; w++) {
		struct call_slot *call;
		struct fake *c;

		start((enum place)w);
		e.model.global.lua_deadline_ms = 250;
		c = ask(G);
		call = px_env_call(&e);
		px_env_wait(&e, 249);
		assert_int_equal(c->out_len, 0);
		px_env_wait(&e, 2);
		if (strstr(px_env_got(c), "503 Service") == NULL)
			fail_msg("place %d: got %s", w, px_env_got(c));
		say(call, "yes"); // too late
		assert_null(strstr(px_env_got(c), "200 OK"));
		px_env_end(&e);
	}
}

/* Two slots, four requests: in order, and who waits for a slot may leave too. */
static void
test_slots(void **state sl_unused)
{
	struct call_slot *call[2];
	struct fake *c[4];

	start(FE_ACTION);
	for (int i = 0; i < 4; i++)
		c[i] = ask(G);
	call[0] = px_env_call(&e);
	call[1] = px_env_call(&e);
	assert_non_null(call[1]);
	assert_null(px_env_call(&e));
	fake_rst(c[2]);
	px_env_run(&e);
	say(call[0], "");
	assert_non_null(strstr(px_env_got(c[0]), "200 OK"));
	call[0] = px_env_call(&e);
	assert_non_null(call[0]);
	say(call[0], "");
	assert_non_null(strstr(px_env_got(c[3]), "200 OK"));
	say(call[1], "");
	assert_non_null(strstr(px_env_got(c[1]), "200 OK"));
	px_env_end(&e);
}

/* A request whose body and successor come while it waits. */
static void
test_meanwhile(void **state sl_unused)
{
	struct call_slot *call;
	struct fake *c;

	start(FE_ACTION);
	c = ask("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
	call = px_env_call(&e);
	fake_give(c, "llo" G, 3 + sizeof(G) - 1);
	px_env_run(&e);
	assert_null(px_env_call(&e));
	say(call, "");
	call = px_env_call(&e);
	assert_non_null(call); // the second one
	assert_non_null(strstr(px_env_got(px_env_backend(&e, 0)), "\r\n\r\nhello"));
	say(call, "");
	assert_null(strstr(px_env_got(c), "HTTP/1.1 4"));
	assert_int_equal(px_env_backend(&e, 0)->served, 2);
	px_env_end(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_leave),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_meanwhile),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
