// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every fetch method over a request, a response and without messages. Values of the request rows
 * are those of HAProxy 2.6.12 for the same request, unless the row says otherwise.
 */
#include <unistd.h>

#include "tests/unit/dataplane/expr/expr_env.h"

static const char request[] = "GET /82?a=1&b=x%20y&a=2&q=z;a=7&n=42&nov&e= HTTP/1.1\r\n"
			      "Host: www.Example.com\r\n"
			      "A: x, y , \"z,w\"\r\n"
			      "a: q\r\n"
			      "b: 9.9.9.9, 1.2.3.4:80, [2001:db8::1], xx\r\n"
			      "c: 5,6\r\n"
			      "Cookie: k=v1; k2=\"v 2\"; k=v3;kq=a=b\r\n"
			      "Cookie: k=v4; n=12\r\n"
			      "\r\n";
static const struct value_row full[] = {
	{ __LINE__, "hdr(a)", "q" },
	{ __LINE__, "hdr(A)", "q" },
	{ __LINE__, "hdr(a,1)", "x" },
	{ __LINE__, "hdr(a,2)", "y" },
	{ __LINE__, "hdr(a,3)", "\"z,w\"" },
	{ __LINE__, "hdr(a,-2)", "\"z,w\"" },
	{ __LINE__, "hdr(a,-4)", "x" },
	{ __LINE__, "hdr(a,0)", "q" },
	{ __LINE__, "hdr(a,9)", NULL },
	{ __LINE__, "hdr(a,-9)", NULL },
	{ __LINE__, "hdr(none)", NULL },
	{ __LINE__, "req.hdr(host)", "www.Example.com" },
	{ __LINE__, "req.fhdr(a)", "q" },
	{ __LINE__, "req.fhdr(a,1)", "x, y , \"z,w\"" },
	{ __LINE__, "req.fhdr(a,-2)", "x, y , \"z,w\"" },
	{ __LINE__, "req.fhdr(a,3)", NULL },
	{ __LINE__, "hdr_cnt(a)", "4" },
	{ __LINE__, "req.fhdr_cnt(a)", "2" },
	{ __LINE__, "req.hdr_cnt", "13" },
	{ __LINE__, "req.fhdr_cnt", "7" },
	{ __LINE__, "hdr_cnt(zz)", "0" },
	{ __LINE__, "hdr_val(c)", "6" },
	{ __LINE__, "req.hdr_val(c,1)", "5" },
	{ __LINE__, "hdr_val(a)", "0" },
	{ __LINE__, "hdr_ip(b)", NULL },
	{ __LINE__, "hdr_ip(b,1)", "9.9.9.9" },
	{ __LINE__, "req.hdr_ip(b,2)", "1.2.3.4" },
	{ __LINE__, "hdr_ip(b,3)", NULL },
	{ __LINE__, "hdr_ip(b,4)", NULL },
	{ __LINE__, "req.hdr_names", "host,a,a,b,c,cookie,cookie" },
	{ __LINE__, "req.hdr_names(-)", "host-a-a-b-c-cookie-cookie" },
	{ __LINE__, "req.cook(k)", "v4" },
	{ __LINE__, "req.cook(k2)", "\"v 2\"" },
	{ __LINE__, "cook(nope)", NULL },
	{ __LINE__, "req.cook(kq)", "a=b" },
	{ __LINE__, "req.cook()", "v1" },
	{ __LINE__, "cook", "v1" },
	{ __LINE__, "req.cook_cnt(k)", "3" },
	{ __LINE__, "cook_cnt(none)", "0" },
	{ __LINE__, "req.cook_val(n)", "12" },
	{ __LINE__, "cook_val(none)", NULL },
	{ __LINE__, "base", "www.Example.com/82" },
	{ __LINE__, "baseq", "www.Example.com/82?a=1&b=x%20y&a=2&q=z;a=7&n=42&nov&e=" },
	{ __LINE__, "req.ver", "1.1" },
	{ __LINE__, "req_ver", "1.1" },
	{ __LINE__, "method", "GET" },
	{ __LINE__, "url", "/82?a=1&b=x%20y&a=2&q=z;a=7&n=42&nov&e=" },
	{ __LINE__, "path", "/82" },
	{ __LINE__, "pathq", "/82?a=1&b=x%20y&a=2&q=z;a=7&n=42&nov&e=" },
	{ __LINE__, "query", "a=1&b=x%20y&a=2&q=z;a=7&n=42&nov&e=" },
	{ __LINE__, "urlp(a)", "1" },
	{ __LINE__, "urlp(b)", "x%20y" },
	{ __LINE__, "urlp(b),url_dec", "x y" },
	{ __LINE__, "urlp(a,;)", "7" },
	{ __LINE__, "urlp(q)", "z" },
	{ __LINE__, "urlp()", "1" },
	{ __LINE__, "urlp(e)", "" },
	{ __LINE__, "urlp(nov)", NULL },
	{ __LINE__, "urlp(none)", NULL },
	{ __LINE__, "urlp_val(n)", "42" },
	{ __LINE__, "url_param(a)", "1" },
	{ __LINE__, "req.proto_http", "1" },
	{ __LINE__, "internal.url_abs", "0" },
	{ __LINE__, "src", "127.0.0.1" },
	{ __LINE__, "src_port", "40000" },
	{ __LINE__, "dst", "10.0.0.80" },
	{ __LINE__, "dst_port", "80" },
	{ __LINE__, "fe_name", "front" },
	{ __LINE__, "fe_id", "2" },
	{ __LINE__, "be_name", "back" },
	{ __LINE__, "be_id", "3" },
	{ __LINE__, "date", "1700000000" },
	{ __LINE__, "date(-3600)", "1699996400" },
	{ __LINE__, "date(0,ms)", "1700000000123" },
	{ __LINE__, "date(1,us)", "1700000000123457" },
	{ __LINE__, "date_us", "123456" },
	{ __LINE__, "rand(1)", "0" },
	{ __LINE__, "rand(0)", "0" },
	{ __LINE__, "var(txn.none)", NULL },
	{ __LINE__, "var(txn.none,dflt)", "dflt" },
	{ __LINE__, "env(EXPR_TEST_SET)", "from env" },
	{ __LINE__, "env(EXPR_TEST_UNSET)", NULL },
	{ __LINE__, "bin(4142)", "AB" },
	{ __LINE__, "bin(),length", "0" },
	{ __LINE__, "bool(True)", "1" },
	{ __LINE__, "int(-3)", "-3" },
	{ __LINE__, "str(a b)", "a b" },
	{ __LINE__, "ipv4(1.2.3.4)", "1.2.3.4" },
	{ __LINE__, "ipv6(2001:DB8::1)", "2001:db8::1" },
	{ __LINE__, "always_true", "1" },
	{ __LINE__, "always_false", "0" },
};

/* Odd but legal heads. */
static const char odd[] = "GET /a?b&e=&f=1=2&b=3 HTTP/1.0\r\n"
			  "T: a\tb\r\n"
			  "Cookie: a=1,2; b =\"q;r\"; c = 3 ;d\r\n"
			  "m:  a ,, b ,\r\n"
			  "v:\r\n"
			  "x1: 12abc\r\n"
			  "x2: -3\r\n"
			  "x3: abc\r\n"
			  "y: ::1\r\n"
			  "y: 2001:db8::5 \r\n"
			  "\r\n";
static const struct value_row odd_rows[] = {
	{ __LINE__, "hdr(t)", "a\tb" },
	{ __LINE__, "req.cook(a)", "1" },
	{ __LINE__, "req.cook(b)", "\"q;r\"" },
	{ __LINE__, "req.cook(c)", "3" },
	{ __LINE__, "req.cook(d)", NULL },
	{ __LINE__, "hdr(m,1)", "a" },
	{ __LINE__, "hdr(m,2)", "" },
	{ __LINE__, "hdr(m,3)", "b" },
	{ __LINE__, "hdr(m),length", "0" },
	{ __LINE__, "hdr_cnt(m)", "4" },
	{ __LINE__, "hdr_cnt(v)", "1" },
	{ __LINE__, "hdr(v),length", "0" },
	{ __LINE__, "req.fhdr_cnt(v)", "1" },
	{ __LINE__, "req.fhdr(v),length", "0" },
	{ __LINE__, "hdr_val(v)", NULL },
	{ __LINE__, "hdr_val(x1)", "12" },
	{ __LINE__, "hdr_val(x2)", "-3" },
	{ __LINE__, "hdr_val(x3)", "0" },
	{ __LINE__, "hdr_ip(y,1)", "::1" },
	{ __LINE__, "hdr_ip(y,2)", "2001:db8::5" },
	{ __LINE__, "urlp(b)", "3" },
	{ __LINE__, "urlp(e),length", "0" },
	{ __LINE__, "urlp(f)", "1=2" },
	{ __LINE__, "req.ver", "1.0" },
	{ __LINE__, "base", "/a" },
};

static const struct value_row star[] = {
	{ __LINE__, "method", "OPTIONS" },
	{ __LINE__, "url", "*" },
	{ __LINE__, "path", NULL },
	{ __LINE__, "pathq", NULL },
	{ __LINE__, "query", NULL },
	{ __LINE__, "base", NULL },
	{ __LINE__, "urlp(a)", NULL },
};

static const struct value_row absolute[] = {
	{ __LINE__, "url", "http://h.example:81/p?q=1" },
	{ __LINE__, "path", "/p" },
	{ __LINE__, "query", "q=1" },
	{ __LINE__, "urlp(q)", "1" },
	{ __LINE__, "internal.url_abs", "1" },
	{ __LINE__, "base", "h.example:81/p" },
};

static const char response[] = "HTTP/1.1 302 Found\r\n"
			       "Set-Cookie: s=abc; path=/; k=no\r\n"
			       "Set-Cookie: t=1,2; path=/\r\n"
			       "X: 1, 7\r\n"
			       "Y: 10.1.1.1\r\n"
			       "Content-Length: 0\r\n\r\n";
static const struct value_row res_rows[] = {
	{ __LINE__, "status", "302" },
	{ __LINE__, "res.ver", "1.1" },
	{ __LINE__, "resp_ver", "1.1" },
	{ __LINE__, "res.hdr(x)", "7" },
	{ __LINE__, "hdr(x)", "7" }, // in a response, hdr() reads it
	{ __LINE__, "hdr(host)", NULL },
	{ __LINE__, "shdr(x,1)", "1" },
	{ __LINE__, "res.fhdr(x)", "1, 7" },
	{ __LINE__, "res.hdr_cnt(x)", "2" },
	{ __LINE__, "shdr_cnt(x)", "2" },
	{ __LINE__, "res.fhdr_cnt(x)", "1" },
	{ __LINE__, "res.hdr_val(x)", "7" },
	{ __LINE__, "shdr_val(x)", "7" },
	{ __LINE__, "res.hdr_ip(y)", "10.1.1.1" },
	{ __LINE__, "shdr_ip(y)", "10.1.1.1" },
	{ __LINE__, "res.hdr_names", "set-cookie,set-cookie,x,y,content-length" },
	{ __LINE__, "res.cook(s)", "abc" },
	{ __LINE__, "scook(t)", "1,2" },
	{ __LINE__, "res.cook(k)", NULL },
	{ __LINE__, "res.cook_cnt(s)", "1" },
	{ __LINE__, "scook_cnt", "2" },
	{ __LINE__, "res.cook_val(t)", "1" },
	{ __LINE__, "scook_val(t)", "1" },
	{ __LINE__, "srv_name", "s1" },
	{ __LINE__, "srv_id", "1" },
	{ __LINE__, "req.hdr(host)", "www.Example.com" },
};

static void
fetch_request(void **state sl_unused)
{
	struct env e;

	setenv("EXPR_TEST_SET", "from env", 1);
	unsetenv("EXPR_TEST_UNSET");
	env_open(&e);
	env_request(&e, request);
	env_values(&e, full, SL_ARRAY_SIZE(full));
	env_request(&e, odd);
	env_values(&e, odd_rows, SL_ARRAY_SIZE(odd_rows));
	env_request(&e, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
	env_values(&e, star, SL_ARRAY_SIZE(star));
	env_request(&e, "GET http://h.example:81/p?q=1 HTTP/1.1\r\nHost: h.example:81\r\n\r\n");
	env_values(&e, absolute, SL_ARRAY_SIZE(absolute));
	env_close(&e);
}

static void
fetch_response(void **state sl_unused)
{
	struct env e;

	env_open(&e);
	env_request(&e, request);
	env_response(&e, response);
	e.view.srv = &e.srv;
	e.comp.point = EVAL_HTTP_RES;
	env_values(&e, res_rows, SL_ARRAY_SIZE(res_rows));
	env_close(&e);
}

/* The environment is read while loading, never per request. */
static void
fetch_env_at_load(void **state sl_unused)
{
	struct prog_cursor c;
	struct env e;

	env_open(&e);
	setenv("EXPR_TEST_SET", "first", 1);
	const struct prog *p = env_expr(&e, "env(EXPR_TEST_SET)", T_STR);
	assert_non_null(p);
	setenv("EXPR_TEST_SET", "second", 1);
	assert_int_equal(env_run(&e, p, &c), PROG_END);
	assert_true(sl_str_eq(c.stack[0].s, SL_STR("first")));
	env_close(&e);
}

static bool
is_named(const struct value_row *row, size_t n, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < n; i++) {
		if (strncmp(row[i].expr, name, len) == 0 && strchr("(,", row[i].expr[len]) != NULL)
			return true;
	}
	return false;
}

/*
 * Each row stands in a table, has help, and gives nothing over a view without anything in it,
 * instead of crashing (mode tcp; snapshots).
 */
static void
fetch_all_rows(void **state sl_unused)
{
	const struct registry *reg = expr_fetches();
	struct arg args[EXPR_MAX_ARGS + 1] = { { .type = ARG_STR, .s = SL_STR("1") } };
	struct env e;
	struct txn_view bare = { .fe = NULL };
	struct vars vars = { 0 };
	struct sample out;

	bare.vars = &vars;
	env_open(&e);
	assert_true(reg->count > 100);
	for (uint32_t i = 0; i < reg->count; i++) {
		const struct fetch_row *row = reg->rows[i];
		assert_non_null(row->help);
		assert_int_equal(row->where, WHERE_PURE);
		if (row->match == NULL && strcmp(row->name, "rand") != 0 &&
			strcmp(row->name, "hostname") != 0 &&
			!is_named(full, SL_ARRAY_SIZE(full), row->name) &&
			!is_named(res_rows, SL_ARRAY_SIZE(res_rows), row->name))
			fail_msg("fetch method %s is not tested", row->name);
		if (row->constant)
			continue;
		bool got = row->fn(&bare, args, &out, &e.txn, row->priv);
		if (got && strncmp(row->name, "date", 4) != 0 &&
			strcmp(row->name, "req.proto_http") != 0 &&
			strcmp(row->name, "internal.url_abs") != 0)
			fail_msg("%s gives a value of nothing", row->name);
		uint64_t pos = 0;
		if (row->each != NULL && row->each(&bare, args, &pos, &out, &e.txn, row->priv))
			fail_msg("%s iterates over nothing", row->name);
	}
	env_close(&e);
}

static void
fetch_rand_range(void **state sl_unused)
{
	uint32_t seen[5] = { 0 };
	struct prog_cursor c;
	struct env e;

	env_open(&e);
	const struct prog *p = env_expr(&e, "rand(5)", T_SINT);
	assert_non_null(p);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(env_run(&e, p, &c), PROG_END);
		assert_in_range(c.stack[0].i, 0, 4);
		seen[c.stack[0].i]++;
	}
	for (int i = 0; i < 5; i++)
		assert_in_range(seen[i], 120, 280);
	p = env_expr(&e, "rand", T_SINT);
	assert_non_null(p);
	int64_t all = 0;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(env_run(&e, p, &c), PROG_END);
		assert_in_range(c.stack[0].i, 0, UINT32_MAX);
		all |= c.stack[0].i;
	}
	assert_int_equal(all, UINT32_MAX);
	env_close(&e);
}

/* Walking a list that a client made as long as it can stays linear: each step is bounded. */
static void
fetch_long_list(void **state sl_unused)
{
	static char text[4096];
	struct prog_cursor c;
	struct env e;
	size_t at;

	env_open(&e);
	at = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nL: ");
	while (at < 4000)
		text[at++] = ',';
	snprintf(text + at, sizeof(text) - at, "x\r\n\r\n");
	env_request(&e, text);
	const struct prog *p = env_cond(&e, "{ hdr(l) x }", false);
	assert_non_null(p);
	assert_int_equal(env_run(&e, p, &c), PROG_END);
	assert_true(c.flag);
	assert_string_equal(env_value(&e, __LINE__, "hdr(l)"), "x");
	assert_string_equal(env_value(&e, __LINE__, "hdr(l,-2)"), "");
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetch_request),
		cmocka_unit_test(fetch_response),
		cmocka_unit_test(fetch_env_at_load),
		cmocka_unit_test(fetch_all_rows),
		cmocka_unit_test(fetch_rand_range),
		cmocka_unit_test(fetch_long_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
