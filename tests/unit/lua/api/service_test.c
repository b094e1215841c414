// SPDX-License-Identifier: BSD-3-Clause
/*
 * Services of scripts: heads, framing, bodies both ways by credit, and every way in which one ends.
 */
#include "tests/unit/lua/api/flow.h"

static const char script[] =
	"local function S(name, fn) core.register_service(name, 'http', fn) end\n"
	"S('hello', function(a) a:add_header('content-length', '5') a:start_response() a:send('hello') end)\n"
	"S('chunk', function(a) a:set_status(201, 'Made') a:start_response() a:send('ab') a:send('cd') end)\n"
	"S('echo', function(a) local b = a:receive() a:start_response() a:send('<' .. b .. '>') end)\n"
	"S('lines', function(a) local n = 0 while a:getline() ~= '' do n = n + 1 end\n"
	" a:start_response() a:send(n .. 'lines') end)\n"
	"S('pipe', function(a) a:start_response() while true do\n"
	" local b = a:receive(10) if b == '' then break end a:send('[' .. b .. ']') end end)\n"
	"S('none', function(a) end)\n"
	"S('early', function(a) error('x') end)\n"
	"S('late', function(a) a:start_response() a:send('part') error('x') end)\n"
	"S('short', function(a) a:add_header('content-length', '9') a:start_response() a:send('part') end)\n"
	"S('long', function(a) a:add_header('content-length', '4') a:start_response() a:send('partial') end)\n"
	"S('empty', function(a) a:set_status(204) a:start_response() a:send('lost') end)\n"
	"S('split', function(a) a:add_header('x', 'a\\r\\nq: 1') a:start_response() end)\n"
	"S('wait', function(a) while true do core.msleep(1) end end)\n"
	"S('flow', function(a) a:start_response() while true do a:send(('x'):rep(4000)) sent = (sent or 0) + 1 end end)\n"
	"S('sent', function(a) a:start_response() a:send(tostring(sent)) end)\n"
	"S('vars', function(a) a:set_var('txn.v', a:get_var('txn.i') .. '!') a:start_response() end)\n"
	"S('obj', function(a) a:start_response() a:send(table.concat({ a.method, a.version, a.path, a.qs, a.length,\n"
	" a.headers['x-in'][0], a.sf:req_hdr('x-in'), a.sc:upper('u'), tostring(a), tostring(a.http) }, ',')) end)\n"
	"local function T(name, fn) core.register_service(name, 'tcp', fn) end\n"
	"T('line', function(a) a:send('<' .. a:getline() .. '>') end)\n"
	"T('all', function(a) local b = a:receive() a:send(#b .. tostring(a) .. a.sf:src()) end)\n"
	"T('three', function(a) a:send(a:receive(3) .. '|') a:send(a:receive(2) .. '|') end)\n"
	"T('fails', function(a) a:send('part') error('x') end)\n"
	"T('fails0', function(a) error('x') end)\n"
	"T('mute', function(a) end)\n"
	"T('flood', function(a) while true do a:send(('x'):rep(4000)) end end)\n"
	"T('late', function(a) while true do core.msleep(1) end end)\n"
	"core.register_action('mark', { 'tcp-req' }, function(txn) txn:set_var('sess.m', 'M') end)\n"
	"core.register_action('no', { 'tcp-req' }, function(txn) return act.DENY end)\n"
	"core.register_fetches('slow', function(txn) core.msleep(5) return 'S' end)\n";

static const char *const rules[] = { "set-var(txn.i) str(in)",
	"use-service lua.hello if { path /hello }", "use-service lua.chunk if { path /chunk }",
	"use-service lua.echo if { path /echo }", "use-service lua.lines if { path /lines }",
	"use-service lua.pipe if { path /pipe }", "use-service lua.none if { path /none }",
	"use-service lua.early if { path /early }",
	"use-service lua.early on-error status 429 if { path /early429 }",
	"use-service lua.late if { path /late }", "use-service lua.short if { path /short }",
	"use-service lua.long if { path /long }", "use-service lua.empty if { path /empty }",
	"use-service lua.split if { path /split }",
	"use-service lua.wait deadline 100ms if { path /wait }",
	"use-service lua.flow if { path /flow }", "use-service lua.sent if { path /sent }",
	"use-service lua.vars if { path /vars }", "use-service lua.obj if { path /obj }", NULL };
static const char *const after[] = { "set-header X-After %[lua.slow]%[var(txn.v)]", NULL };

static const char chunked[] = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			      "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";

/* What the client gets, and whether the connection goes on. */
static const struct {
	int line;
	const char *request;
	const char *head, *body; // substrings
	bool lives;
} rows[] = {
	{ __LINE__, G("/hello"), "content-length: 5\r\n", "\r\n\r\nhello", true },
	{ __LINE__, "GET /hello HTTP/1.0\r\n\r\n", "content-length: 5\r\n", "\r\n\r\nhello", false },
	{ __LINE__, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n", "content-length: 5\r\n", NULL, true },
	{ __LINE__, G("/chunk"), "201 Made\r\n", "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", true },
	{ __LINE__, G("/chunk"), "transfer-encoding: chunked\r\n", "ab", true },
	{ __LINE__, "HEAD /chunk HTTP/1.1\r\nHost: a\r\n\r\n", "transfer-encoding: chunked", NULL,
		true },
	{ __LINE__, "GET /chunk HTTP/1.0\r\n\r\n", "connection: close\r\n", "\r\n\r\nabcd", false },
	{ __LINE__, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "200 OK",
		"5\r\n<abc>\r\n0\r\n\r\n", true },
	{ __LINE__, chunked, "200 OK", "9\r\n<abcdefg>\r\n0\r\n\r\n", true },
	{ __LINE__,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
		"abc",
		"200 OK", "<abc>", true },
	{ __LINE__, "POST /lines HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\na\n\nb\nc", "200 OK",
		"4lines", true },
	{ __LINE__, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "200 OK",
		"hello", true },
	{ __LINE__, G("/none"), "500 Internal", "x-after: S\r\n", true },
	{ __LINE__, G("/early"), "500 Internal", "x-after: S\r\n", true },
	{ __LINE__, G("/early429"), "429 Too", "x-after: S\r\n", true },
	{ __LINE__, G("/late"), "200 OK", "4\r\npart\r\n", false },
	{ __LINE__, G("/short"), "content-length: 9", "\r\n\r\npart", false },
	{ __LINE__, G("/long"), "content-length: 4", "\r\n\r\npart", true },
	{ __LINE__, G("/empty"), "204 No Content\r\n", NULL, true },
	{ __LINE__, G("/split"), "500 Internal", NULL, true },
	{ __LINE__, G("/vars"), "200 OK", "x-after: Sin!\r\n", true },
	{ __LINE__, "GET /obj?q=1 HTTP/1.1\r\nHost: a\r\nX-In: in\r\n\r\n", "200 OK",
		"GET,HTTP/1.1,/obj,q=1,0,in,in,U,HAProxy class AppletHTTP,nil\r\n", true },
};

static void
test_answers(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct logrec *log;
		const char *got;
		struct fake *c;

		start(script, rules, after);
		c = px_env_client(&e);
		ask(c, rows[i].request);
		got = px_env_got(c);
		if (strcasestr(got, rows[i].head) == NULL ||
			(rows[i].body != NULL ? strcasestr(got, rows[i].body) == NULL
					      : strstr(got, "200 OK") != NULL &&
						      strcmp(strstr(got, "\r\n\r\n"), "\r\n\r\n")))
			fail_msg("row at line %d: \"%s\", log \"%s\"", rows[i].line, got, logged);
		if (rows[i].lives == (c->shut || c->reset || c->user_gone))
			fail_msg("row at line %d: the connection %s", rows[i].line,
				rows[i].lives ? "has ended" : "goes on");
		assert_null(strstr(got, "lost"));
		assert_null(strstr(got, "\r\nq: 1"));
		assert_null(px_env_backend(&e, 0)); // no server is asked
		log = px_env_log(&e);
		assert_non_null(log);
		assert_int_equal(log->srv, LOGREC_SERVICE);
		assert_memory_equal(log->term, "LR", 2);
		if (rows[i].lives) { // and serves on
			ask(c, G("/hello"));
			assert_non_null(strstr(px_env_got(c), "hello"));
		}
		end();
	}
}

static bool
is_asked(void)
{
	const struct call_slot *slot;
	bool any = false;

	for (uint32_t i = 0; (slot = px_call_slot(e.lc, 0, i)) != NULL; i++)
		any |= slot->asked;
	return any;
}

static void
step(void)
{
	struct timespec ts = { .tv_nsec = 20000 };

	if (!pump())
		nanosleep(&ts, NULL);
	px_env_run(&e);
}

/* Until a service waits for the client. */
static void
calm(void)
{
	px_env_run(&e);
	while (!is_asked())
		step();
}

/* What comes in goes out while the request is still being sent. */
static void
test_both_ways(void **state sl_unused)
{
	static const char head[] =
		"POST /pipe HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\n\r\n0123456789";
	struct fake *c;

	start(script, rules, NULL);
	c = px_env_client(&e);
	fake_give(c, head, sizeof(head) - 1);
	calm();
	assert_non_null(strstr(px_env_got(c), "c\r\n[0123456789]\r\n"));
	fake_give(c, "abcde", 5);
	calm();
	assert_null(strstr(px_env_got(c), "abcde"));
	fake_give(c, "fghijklmno", 10);
	settle();
	assert_non_null(strstr(px_env_got(c), "c\r\n[abcdefghij]\r\n7\r\n[klmno]\r\n0\r\n\r\n"));
	end();
}

/* A client that does not read holds the service up: what waits is bounded. */
static void
test_credit(void **state sl_unused)
{
	uint32_t had;
	struct fake *c, *d;

	start(script, rules, NULL);
	e.net.window = 20000;
	c = px_env_client(&e);
	c->stalled = true;
	fake_give(c, G("/flow"), sizeof(G("/flow")) - 1);
	calm();
	had = c->out_len;
	assert_in_range(had, 4000, 30000);
	c->stalled = false;
	while (c->out_len < had + 50000) { // as the client reads
		fake_read(c);
		step();
	}
	fake_rst(c); // and its end ends it
	settle();
	d = px_env_client(&e);
	ask(d, G("/sent"));
	assert_non_null(strstr(px_env_got(d), "200 OK"));
	end();
}

/* The body that the service waits for does not come: the client's time is over, and the service too. */
static void
test_slow_client(void **state sl_unused)
{
	static const char head[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc";
	struct fake *c;

	start(script, rules, NULL);
	e.fe.timeout.client = 500;
	c = px_env_client(&e);
	fake_give(c, head, sizeof(head) - 1);
	calm();
	px_env_wait(&e, 499);
	assert_string_equal(px_env_got(c), "");
	px_env_wait(&e, 2);
	assert_non_null(strstr(px_env_got(c), "408 Request Time-out"));
	settle();
	end();
}

static void
test_deadline(void **state sl_unused)
{
	struct fake *c;

	start(script, rules, NULL);
	c = px_env_client(&e);
	fake_give(c, G("/wait"), sizeof(G("/wait")) - 1);
	px_env_run(&e);
	pump();
	px_env_wait(&e, 99);
	assert_string_equal(px_env_got(c), "");
	px_env_wait(&e, 2);
	assert_non_null(strstr(px_env_got(c), "503 Service"));
	settle();
	assert_int_equal(stat(STAT_LUA_LATE), 1);
	end();
}

/* The client leaves: in the body that is asked for, before the head, while rules on the response wait. */
static void
test_abort(void **state sl_unused)
{
	static const char *const requests[] = {
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", G("/wait"),
		G("/hello"), G("/flow")
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(requests); i++) {
		start(script, rules, after);
		for (int how = 0; how < 6; how++) {
			struct fake *c = px_env_client(&e);

			fake_give(c, requests[i], (uint32_t)strlen(requests[i]));
			px_env_run(&e);
			for (int n = 0; n < how * 5; n++)
				step();
			fake_rst(c);
			settle();
		}
		end(); // nothing is left
	}
}

/* ---- mode tcp ---- */

static const struct {
	int line;
	const char *rules[4];
	const char *give;
	bool fin;
	const char *got;
} tcp_rows[] = {
	{ __LINE__, { "use-service lua.line" }, "one\ntwo\n", false, "<one\n>" },
	{ __LINE__, { "use-service lua.line" }, "one", true, "<one>" },
	{ __LINE__, { "use-service lua.all" }, "12345", true, "5HAProxy class AppletTCP192.0.2.7" },
	{ __LINE__, { "use-service lua.three" }, "12345", false, "123|45|" },
	{ __LINE__, { "use-service lua.three" }, "1", true, "1||" },
	{ __LINE__, { "use-service lua.fails" }, "", false, "part" },
	{ __LINE__, { "use-service lua.fails0" }, "", false, "" },
	{ __LINE__, { "use-service lua.mute" }, "", false, "" },
	{ __LINE__, { "lua.mark", "use-service lua.line if { var(sess.m) -m str M }" }, "x\n", false,
		"<x\n>" },
	{ __LINE__, { "lua.no", "use-service lua.line" }, "x\n", false, "" },
	{ __LINE__, { "reject", "use-service lua.line" }, "x\n", false, "" },
	{ __LINE__, { "reject if { src 10.0.0.1 }", "use-service lua.line" }, "x\n", false, "<x\n>" },
	{ __LINE__, { "use-service lua.late deadline 50ms" }, "x\n", false, "" },
};

static void
test_tcp(void **state sl_unused)
{
	flow_tcp = true;
	for (size_t i = 0; i < SL_ARRAY_SIZE(tcp_rows); i++) {
		struct fake *c;

		start(script, tcp_rows[i].rules, NULL);
		c = px_env_client(&e);
		fake_give(c, tcp_rows[i].give, (uint32_t)strlen(tcp_rows[i].give));
		if (tcp_rows[i].fin)
			fake_fin(c);
		px_env_run(&e);
		px_env_wait(&e, 60);
		settle();
		if (strcmp(px_env_got(c), tcp_rows[i].got) != 0 || !(c->user_gone || c->reset))
			fail_msg("row at line %d: \"%s\", log \"%s\"", tcp_rows[i].line,
				px_env_got(c), logged);
		assert_null(px_env_backend(&e, 0));
		end();
	}
	flow_tcp = false;
}

/* "accept" goes on to the backend, as no rule does. */
static void
test_tcp_accept(void **state sl_unused)
{
	static const char *const accept[] = { "lua.mark", "accept if { var(sess.m) -m str M }",
		"reject", NULL };
	struct fake *c;

	flow_tcp = true;
	start(script, accept, NULL);
	c = px_env_client(&e);
	ask(c, G("/"));
	assert_non_null(px_env_backend(&e, 0));
	assert_non_null(strstr(px_env_got(c), "200 OK"));
	end();
	flow_tcp = false;
}

/* A client that does not read, one that says nothing, and one that leaves. */
static void
test_tcp_client(void **state sl_unused)
{
	static const char *const flood[] = { "use-service lua.flood", NULL };
	static const char *const line[] = { "use-service lua.line", NULL };
	struct fake *c;
	uint32_t had;

	flow_tcp = true;
	start(script, flood, NULL);
	e.net.window = 20000;
	c = px_env_client(&e);
	c->stalled = true;
	calm();
	had = c->out_len;
	assert_in_range(had, 4000, 30000);
	c->stalled = false;
	while (c->out_len < had + 50000) {
		fake_read(c);
		step();
	}
	fake_rst(c);
	settle();
	end();
	start(script, line, NULL);
	e.fe.timeout.client = 500;
	c = px_env_client(&e);
	fake_give(c, "no end", 6);
	calm();
	px_env_wait(&e, 499);
	assert_false(c->user_gone || c->reset);
	px_env_wait(&e, 2);
	assert_true(c->user_gone || c->reset);
	settle();
	end();
	flow_tcp = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_credit),
		cmocka_unit_test(test_slow_client),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_tcp_accept),
		cmocka_unit_test(test_tcp_client),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
