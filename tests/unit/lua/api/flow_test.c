// SPDX-License-Identifier: BSD-3-Clause
/*
 * The whole way of a call: rules of a frontend suspend in the middle of expressions, slots go
 * through the rings to a real script thread and back, the request goes on to the server.
 */
#include "tests/unit/lua/api/flow.h"

static const char script[] =
	"core.register_action('act', {'http-req'}, function(txn, w)\n"
	" txn.http:req_set_header('X-Act', w .. txn.sf:req_hdr('x-in')) txn:set_var('txn.v', 'var')\n"
	"end, 1)\n"
	"core.register_action('see', {'http-req'}, function(txn)\n"
	" txn.http:req_set_header('X-See', txn.sf:req_hdr('x-act') .. txn:get_var('txn.v')) end)\n"
	"core.register_action('deny', {'http-req', 'http-res'}, function() return act.DENY end)\n"
	"core.register_action('stop', {'http-req'}, function() return act.STOP end)\n"
	"core.register_action('invalid', {'http-req'}, function() return act.INVALID end)\n"
	"core.register_action('ierr', {'http-req'}, function() return act.ERROR end)\n"
	"core.register_action('fail', {'http-req'}, function(txn)\n"
	" txn.http:req_set_header('X-Before', '1') error('x') end)\n"
	"core.register_action('loop', {'http-req'}, function() while true do end end)\n"
	"core.register_action('done', {'http-req'}, function(txn) pcall(txn.done, txn) end)\n"
	"core.register_action('res', {'http-res'}, function(txn)\n"
	" txn.http:res_set_header('X-Res', txn.sf:res_hdr('x-srv') .. txn.sf:req_hdr('x-act'))\n"
	" txn.http:res_set_status(203, 'Changed') end)\n"
	"core.register_action('count', {'http-req'}, function(txn)\n"
	" local p = txn:get_priv() or 0 txn:set_priv(p + 1)\n"
	" txn.http:req_set_header('X-Priv', tostring(p)) end)\n"
	"core.register_action('owner', {'http-req'}, function(txn)\n"
	" txn.http:req_set_header('X-In', 'in')\n"
	" local t = ''\n"
	" for i = 1, 200 do t = t .. txn.f:t_owner() .. txn.sc:t_own('in') end\n"
	" txn.http:req_set_header('X-Own', #t .. (txn.c:t_own('no') or 'nil')) end)\n"
	"core.register_action('low', {'http-req'}, function(txn)\n"
	" local p = txn.sc:lower(txn.sf:path())\n"
	" txn.http:req_set_header('X-Low', p:sub(1, 2) .. #p) end)\n"
	"core.register_action('guard', {'http-req'}, function(txn)\n"
	" txn:set_var('txn.p', string.rep(txn.sf:path(), 8)) return act.DENY end)\n"
	"core.register_fetches('a', function() return 'A' end)\n"
	"core.register_fetches('b', function(txn, x) return 'B' .. (x or '') end)\n"
	"core.register_fetches('none', function() end)\n"
	"core.register_fetches('yes', function() return true end)\n"
	"core.register_fetches('no', function() return false end)\n"
	"core.register_converters('c1', function(s) return s .. '1' end)\n"
	"core.register_converters('c2', function(s, x) return s .. x end)\n";

/* A fetch that only the worker may run: it finds the stream. */
static bool
fetch_owner(const struct txn_view *v, const struct arg *args sl_unused, struct sample *out,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	if (v->stream == NULL)
		return false;
	out->type = T_STR;
	out->s = http_hdr_get(v->req, SL_STR("x-in"));
	return true;
}

static bool
conv_owner(const struct txn_view *v, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	return v->stream != NULL && sl_str_eq(s->s, SL_STR("in"));
}

SL_FETCHES({ "t_owner", fetch_owner, SL_NOARGS, T_STR, EVAL_ANY_REQ, WHERE_OWNER, "of this test" });
SL_CONVERTERS(
	{ "t_own", conv_owner, SL_NOARGS, T_STR, T_STR, WHERE_OWNER, "of this test" });

/* What the server saw and the client got for one request to "/". */
static const struct {
	int line;
	const char *rules[4];
	const char *server; // substring; NULL: nothing arrives there
	const char *client;
} rows[] = {
	{ __LINE__, { "lua.act w" }, "x-act: win\r\n", "200 OK" },
	{ __LINE__, { "lua.act w", "lua.see" }, "x-see: winvar\r\n", "200 OK" },
	{ __LINE__, { "lua.act w", "set-header X %[var(txn.v)]" }, "x: var\r\n", "200 OK" },
	{ __LINE__, { "set-header X %[lua.a]%[lua.b(q)]" }, "x: ABq\r\n", "200 OK" },
	{ __LINE__, { "set-header X %[path]-%[lua.a]-%[src]" }, "x: /-A-192.0.2.7\r\n", "200 OK" },
	{ __LINE__, { "set-header X %[lua.none]." }, "x: .\r\n", "200 OK" },
	{ __LINE__, { "set-header X %[src,lua.c1,lua.c2(z)]" }, "x: 192.0.2.71z\r\n", "200 OK" },
	{ __LINE__, { "set-header X %[lua.a,lua.c1,lower,lua.c1]" }, "x: a11\r\n", "200 OK" },
	{ __LINE__, { "set-header X 1 if { lua.yes -m bool } !{ lua.no -m bool }" }, "x: 1\r\n",
		"200 OK" },
	{ __LINE__, { "deny if { lua.no -m bool } or !{ lua.yes -m bool } or { lua.a -m str B }" },
		"X-In: in", "200 OK" },
	{ __LINE__, { "deny if { lua.no -m bool } or { lua.a -m str A }" }, NULL, "403 Forbidden" },
	{ __LINE__, { "lua.deny" }, NULL, "403 Forbidden" },
	{ __LINE__, { "lua.deny if { path /other }" }, "GET / ", "200 OK" },
	{ __LINE__, { "lua.stop", "deny" }, "GET / ", "200 OK" },
	{ __LINE__, { "lua.invalid" }, NULL, "400 Bad" },
	{ __LINE__, { "lua.ierr" }, NULL, "500 Internal" },
	{ __LINE__, { "lua.fail", "set-header X after" }, "x-before: 1\r\nx: after\r\n", "200 OK" },
	{ __LINE__, { "lua.fail on-error deny" }, NULL, "403 Forbidden" },
	{ __LINE__, { "lua.fail on-error status 504" }, NULL, "504 Gateway" },
	{ __LINE__, { "lua.done" }, NULL, "" },
	{ __LINE__, { "lua.owner" }, "x-own: 800nil\r\n", "200 OK" },
	{ __LINE__, { "lua.count", "lua.count", "lua.count" }, "x-priv: 2\r\n", "200 OK" },
};

static void
test_rules(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct fake *c, *b;

		start(script, rows[i].rules, NULL);
		c = px_env_client(&e);
		ask(c, G("/"));
		b = px_env_backend(&e, 0);
		if ((rows[i].server != NULL) != (b != NULL) ||
			(b != NULL && strcasestr(px_env_got(b), rows[i].server) == NULL) ||
			strstr(px_env_got(c), rows[i].client) == NULL)
			fail_msg("row at line %d: server \"%s\", client \"%s\", log \"%s\"",
				rows[i].line, b != NULL ? px_env_got(b) : "(nothing)",
				px_env_got(c), logged);
		assert_int_equal(stat(STAT_LUA_LATE), 0);
		end();
	}
}

static void
test_response(void **state sl_unused)
{
	static const char *const req[] = { "lua.act w", NULL };
	static const char *const res[] = { "lua.res", NULL };
	static const char *const denied[] = { "lua.deny", NULL };
	static const struct env_answer answers[] = {
		{ "/", "HTTP/1.1 200 OK\r\nX-Srv: s-\r\ncontent-length: 2\r\n\r\nok", ENV_KEEP },
		{ 0 },
	};
	struct fake *c;

	start(script, req, res);
	e.answers = answers;
	c = px_env_client(&e);
	ask(c, G("/"));
	assert_non_null(strstr(px_env_got(c), "HTTP/1.1 203 Changed\r\n"));
	assert_non_null(strcasestr(px_env_got(c), "x-res: s-win\r\n"));
	end();
	start(script, req, denied);
	c = px_env_client(&e);
	ask(c, G("/"));
	assert_non_null(strstr(px_env_got(c), "502 Bad Gateway"));
	end();
}

static void
test_keep_alive(void **state sl_unused)
{
	static const char *const req[] = { "lua.count", "set-header X %[lua.a]", NULL };
	struct fake *c;
	const char *p;
	int n = 0;

	start(script, req, NULL);
	c = px_env_client(&e);
	for (int i = 0; i < 20; i++)
		ask(c, G("/"));
	p = px_env_got(px_env_backend(&e, 0));
	while ((p = strcasestr(p, "x-priv: 0\r\nx: A\r\n")) !=
		NULL) { // private data is per request
		n++;
		p++;
	}
	assert_int_equal(n, 20);
	end();
}

/* Scripts work on the largest heads; what has no room even then does not let the request past the rule. */
static void
test_large(void **state sl_unused)
{
	static const char *const req[] = { "lua.low", "lua.guard if { path_beg /G }", NULL };
	char text[HTTP_MAX_HEAD], want[64];
	uint32_t denied = 0, full = 0;

	for (int i = 0, len = 500; len <= 15000; len += 725, i++) {
		start(script, req, NULL);
		int n = snprintf(text, sizeof(text), "GET /%c%0*d HTTP/1.1\r\nHost: a\r\n\r\n",
			i % 2 ? 'G' : 'A', len, 0);
		struct fake *c = px_env_client(&e);
		fake_give(c, text, (uint32_t)n);
		settle();
		const char *got = px_env_got(c);
		struct fake *b = px_env_backend(&e, 0);
		snprintf(want, sizeof(want), "x-low: /%c%d\r\n", i % 2 ? 'g' : 'a', len + 2);
		denied += strstr(got, "403 Forbidden") != NULL;
		full += strstr(got, "503 Service") != NULL;
		if (i % 2 ? b != NULL : b == NULL || strcasestr(px_env_got(b), want) == NULL)
			fail_msg("a path of %d: \"%s\", log \"%s\"", len + 2, got, logged);
		end();
	}
	assert_true(denied >= 1 && full >= 6);
	assert_int_equal(denied + full, 10);
}

/* More requests than slots at once. */
static void
test_many(void **state sl_unused)
{
	static const char *const req[] = { "lua.act w", NULL };
	struct fake *c[20];

	start(script, req, NULL);
	for (size_t i = 0; i < SL_ARRAY_SIZE(c); i++) {
		c[i] = px_env_client(&e);
		fake_give(c[i], G("/"), sizeof(G("/")) - 1);
	}
	settle();
	for (size_t i = 0; i < SL_ARRAY_SIZE(c); i++)
		assert_non_null(strstr(px_env_got(c[i]), "200 OK"));
	assert_true(stat(STAT_LUA_NO_SLOT) > 0);
	end();
}

/* The deadline answers whatever the script does; its late verdict is dropped. */
static void
test_deadline(void **state sl_unused)
{
	static const char *const req[] = {
		"lua.loop deadline 100ms on-overload status 429 if { path /loop }", NULL
	};
	struct fake *c;

	start(script, req, NULL);
	c = px_env_client(&e);
	fake_give(c, G("/loop"), sizeof(G("/loop")) - 1);
	px_env_run(&e);
	pump();
	px_env_wait(&e, 99);
	assert_string_equal(px_env_got(c), "");
	px_env_wait(&e, 2);
	assert_non_null(strstr(px_env_got(c), "429 Too Many"));
	assert_int_equal(stat(STAT_LUA_DEADLINE), 1);
	settle(); // the script was told and has stopped
	assert_int_equal(stat(STAT_LUA_LATE), 1);
	c = px_env_client(&e);
	ask(c, G("/"));
	assert_non_null(strstr(px_env_got(c), "200 OK"));
	end();
}

/* The client leaves while the script runs. */
static void
test_abort(void **state sl_unused)
{
	static const char *const req[] = { "lua.loop", NULL };
	struct fake *c[6]; // two of them wait for a slot

	start(script, req, NULL);
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < SL_ARRAY_SIZE(c); i++) {
			c[i] = px_env_client(&e);
			fake_give(c[i], G("/loop"), sizeof(G("/loop")) - 1);
		}
		px_env_run(&e);
		pump();
		for (size_t i = 0; i < SL_ARRAY_SIZE(c); i++)
			fake_rst(c[i]);
		settle();
		assert_int_equal(stat(STAT_LUA_LATE), 4 * (round + 1));
	}
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_response),
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_abort),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
