// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lines -> words. The expectations were compared with HAProxy 2.6 (".notice" prints a word). Each
 * line ends at a forbidden page, so that reading past it is a crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "control/conf/conf_priv.h"
#include "tests/harness/guard.h"

static const struct {
	int line;
	const char *in;
	const char *out; // words joined by '|'; NULL: an error
	const char *what;
	uint32_t at;
} rows[] = {
	{ __LINE__, "", "" },
	{ __LINE__, "  \t ", "" },
	{ __LINE__, "# all comment", "" },
	{ __LINE__, "global#this", "global" },
	{ __LINE__, "  a\tb  c ", "a|b|c" },
	{ __LINE__, "a b\r", "a|b" },
	{ __LINE__, "a\rb", "a" },
	{ __LINE__, "a \rb", "a|b" },
	{ __LINE__, "a\vb\fc", "a|b|c" },
	{ __LINE__, "a\\ b", "a b" },
	{ __LINE__, "a\\\tb", "a\\|b" },
	{ __LINE__, "a\\#b", "a#b" },
	{ __LINE__, "a#b", "a" },
	{ __LINE__, "\\\\ \\' \\\"", "\\|'|\"" },
	{ __LINE__, "\\n\\r\\t", "\n\r\t" },
	{ __LINE__, "x\\x41\\x7a", "xAz" },
	{ __LINE__, "a\\qb", "a\\qb" },
	{ __LINE__, "a\\", "a\\" },
	{ __LINE__, "\\$A", "\\$A" },
	{ __LINE__, "$A", "$A" },
	{ __LINE__, "\"a b\"", "a b" },
	{ __LINE__, "\"a\\ b\"", "a b" },
	{ __LINE__, "\"a\\qb\"", "a\\qb" },
	{ __LINE__, "\"a'b\" 'c\"d'", "a'b|c\"d" },
	{ __LINE__, "'a\\nb'", "a\\nb" },
	{ __LINE__, "'$A # \\'", "$A # \\" },
	{ __LINE__, "a\"b c\"d'e f'", "ab cde f" },
	{ __LINE__, "\"\" x ''", "|x|" },
	{ __LINE__, "\"# no comment\"", "# no comment" },
	{ __LINE__, "\"\\$A\"", "$A" },
	{ __LINE__, "\"$A\"", "x  y z" },
	{ __LINE__, "\"${A}-$B\"", "x  y z-b" },
	{ __LINE__, "\"${A[*]}\" w", "x|y|z|w" },
	{ __LINE__, "\"p${A[*]}q\"", "px|y|zq" },
	{ __LINE__, "\"$NO\"x", "x" },
	{ __LINE__, "\"${NO-def ault}\"", "def ault" },
	{ __LINE__, "\"${B-def}\"", "b" },
	{ __LINE__, "\"${EMPTY-def}\"", "" },
	{ __LINE__, "\"${.FILE}:$.LINE:${.SECTION}\"", "f.cfg:7:web" },
	{ __LINE__, "\"$.NO\"", "" },
	{ __LINE__, "a \"b", NULL, "unmatched quote", 2 },
	{ __LINE__, "a'b", NULL, "unmatched quote", 1 },
	{ __LINE__, "\"a\r\"", NULL, "unmatched quote", 0 },
	{ __LINE__, "abc\"", NULL, "unmatched quote", 3 },
	{ __LINE__, "\"a\\\"", NULL, "unmatched quote", 0 },
	{ __LINE__, "\\x4", NULL, "truncated or invalid hexadecimal sequence", 0 },
	{ __LINE__, "a\\xg0", NULL, "truncated or invalid hexadecimal sequence", 1 },
	{ __LINE__, "\"\\x", NULL, "truncated or invalid hexadecimal sequence", 1 },
	{ __LINE__, "\"$1\"", NULL, "forbidden first char in environment variable name", 2 },
	{ __LINE__, "\"$\"", NULL, "forbidden first char in environment variable name", 2 },
	{ __LINE__, "\"$", NULL, "forbidden first char in environment variable name", 2 },
	{ __LINE__, "\"${}\"", NULL, "forbidden first char in environment variable name", 3 },
	{ __LINE__, "\"${A\"", NULL, "unmatched brace in environment variable name", 2 },
	{ __LINE__, "\"${A-x\"", NULL, "unmatched brace in environment variable name", 2 },
	{ __LINE__, "\"${A[*]", NULL, "unmatched brace in environment variable name", 2 },
};

static int
lex(const char *text, size_t len, struct arena *mem, struct sl_str *word, uint32_t max,
	struct lex_err *err)
{
	const struct lex_in in = { .line = sl_str_make(text, len),
		.pos = { .file = "f.cfg", .line = 7 },
		.section = "web" };

	return lex_line(&in, mem, word, max, err);
}

static void
join(const struct sl_str *word, int n, char *out, size_t size)
{
	struct sl_buf b;

	sl_buf_init(&b, out, (uint32_t)size);
	for (int i = 0; i < n; i++) {
		if (i > 0)
			sl_buf_char(&b, '|');
		sl_buf_add(&b, word[i]);
		assert_int_equal(word[i].p[word[i].len], '\0');
	}
}

static void
environment(void)
{
	setenv("A", "x  y z", 1);
	setenv("B", "b", 1);
	setenv("EMPTY", "", 1);
	unsetenv("NO");
}

static void
test_table(void **state sl_unused)
{
	struct arena_map *map = arena_map_new();
	struct arena mem;
	struct guard g;

	environment();
	guard_init(&g, 4096);
	arena_init(&mem, arena_map_src(map));
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct sl_str word[16];
		struct lex_err err;
		char out[200];
		size_t len = strlen(rows[i].in);
		int n = lex(guard_end(&g, rows[i].in, len), len, &mem, word, 16, &err);

		if (rows[i].out == NULL) {
			if (n != -EINVAL || strcmp(err.what, rows[i].what) != 0 ||
				err.at != rows[i].at)
				fail_msg(
					"line %d: %d, %s at %u", rows[i].line, n, err.what, err.at);
			continue;
		}
		if (n < 0)
			fail_msg("line %d: %d %s", rows[i].line, n, err.what);
		join(word, n, out, sizeof(out));
		if (strcmp(out, rows[i].out) != 0)
			fail_msg("line %d: got '%s'", rows[i].line, out);
	}
	guard_fini(&g);
	arena_map_free(map);
}

/* Cut anywhere, a line is still read within its bounds. */
static void
test_every_prefix(void **state sl_unused)
{
	struct arena_map *map = arena_map_new();
	struct arena mem;
	struct guard g;

	environment();
	guard_init(&g, 4096);
	arena_init(&mem, arena_map_src(map));
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		for (size_t len = 0; len <= strlen(rows[i].in); len++) {
			struct sl_str word[16];
			struct lex_err err;

			(void)lex(guard_end(&g, rows[i].in, len), len, &mem, word, 16, &err);
			assert_true(err.at <= len);
		}
	}
	guard_fini(&g);
	arena_map_free(map);
}

static void
test_bounds(void **state sl_unused)
{
	struct arena_map *map = arena_map_new();
	struct sl_str word[4];
	struct lex_err err;
	struct arena mem;
	char big[9000];

	environment();
	arena_init(&mem, arena_map_src(map));
	assert_int_equal(lex("a b c d", 7, &mem, word, 4, &err), 4);
	assert_int_equal(lex("a b c d e f", 11, &mem, word, 4, &err), -E2BIG);
	assert_true(sl_str_eq(err.word, SL_STR("e")));
	assert_int_equal(lex("\"${A[*]}\" b c", 13, &mem, word, 4, &err), -E2BIG);
	memset(big, 'x', sizeof(big));
	assert_int_equal(lex(big, sizeof(big), &mem, word, 4, &err), 1);
	assert_int_equal(word[0].len, sizeof(big));
	for (uint32_t n = 1; n < 8; n++) {
		mem.fail_in = n;
		assert_int_equal(lex(big, sizeof(big), &mem, word, 4, &err), -ENOMEM);
	}
	mem.fail_in = 0;
	arena_map_free(map);
}

static void
test_units(void **state sl_unused)
{
	static const struct {
		int line;
		const char *text;
		int rc;
		uint32_t ms;
		char bad;
	} t[] = {
		{ __LINE__, "0", 0, 0, 0 },
		{ __LINE__, "10", 0, 10, 0 },
		{ __LINE__, "10ms", 0, 10, 0 },
		{ __LINE__, "10s", 0, 10000, 0 },
		{ __LINE__, "2m", 0, 120000, 0 },
		{ __LINE__, "1h", 0, 3600000, 0 },
		{ __LINE__, "24d", 0, 2073600000, 0 },
		{ __LINE__, "25d", -ERANGE, 0, 0 },
		{ __LINE__, "500us", 0, 1, 0 },
		{ __LINE__, "1500us", 0, 2, 0 },
		{ __LINE__, "0us", 0, 0, 0 },
		{ __LINE__, "2147483647", 0, 2147483647, 0 },
		{ __LINE__, "2147483648", -ERANGE, 0, 0 },
		{ __LINE__, "99999999999999999999999999s", -ERANGE, 0, 0 },
		{ __LINE__, "", -EINVAL, 0, '\0' },
		{ __LINE__, "x", -EINVAL, 0, 'x' },
		{ __LINE__, "-1", -EINVAL, 0, '-' },
		{ __LINE__, "10x", -EINVAL, 0, 'x' },
		{ __LINE__, "10 s", -EINVAL, 0, ' ' },
		{ __LINE__, "1.5s", -EINVAL, 0, '.' },
		{ __LINE__, "10sx", -EINVAL, 0, 's' },
		{ __LINE__, "s", -EINVAL, 0, 's' },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(t); i++) {
		uint32_t ms = 0;
		char bad = '?';
		int rc = unit_time(sl_str_c(t[i].text), &ms, &bad);

		if (rc != t[i].rc || ms != t[i].ms || (rc == -EINVAL && bad != t[i].bad))
			fail_msg("line %d: %d, %u ms, '%c'", t[i].line, rc, ms, bad);
	}
}

static void
test_sizes(void **state sl_unused)
{
	uint64_t n;

	assert_int_equal(unit_size(SL_STR("0"), &n), 0);
	assert_int_equal(unit_size(SL_STR("16k"), &n), 0);
	assert_int_equal(n, 16384);
	assert_int_equal(unit_size(SL_STR("3G"), &n), 0);
	assert_int_equal(n, 3221225472u);
	assert_int_equal(unit_size(SL_STR("k"), &n), -EINVAL);
	assert_int_equal(unit_size(SL_STR("1kb"), &n), -EINVAL);
	assert_int_equal(unit_size(SL_STR("1x"), &n), -EINVAL);
	assert_int_equal(unit_size(SL_STR("99999999999999999g"), &n), -ERANGE);
}

/* Compared with `haproxy -cc`. */
static void
test_conditions(void **state sl_unused)
{
	static const struct {
		int line;
		const char *text;
		int rc;
	} t[] = {
		{ __LINE__, "", 0 },
		{ __LINE__, "0", 0 },
		{ __LINE__, "1", 1 },
		{ __LINE__, "42", 1 },
		{ __LINE__, "!1", 0 },
		{ __LINE__, "!!1", 1 },
		{ __LINE__, "1 && 0", 0 },
		{ __LINE__, "1 && 0 || 1", 1 },
		{ __LINE__, "0 || 0", 0 },
		{ __LINE__, "(0 || 1) && !0", 1 },
		{ __LINE__, "defined(B)", 1 },
		{ __LINE__, "defined(NO)", 0 },
		{ __LINE__, "streq(a,a)", 1 },
		{ __LINE__, "streq(a,b)", 0 },
		{ __LINE__, "strneq(a,b)", 1 },
		{ __LINE__, "streq(,)", 1 },
		{ __LINE__, "streq(\"a,b\",a\\,b)", 1 },
		{ __LINE__, "version_atleast(2.6)", 1 },
		{ __LINE__, "version_atleast(2.6.12)", 1 },
		{ __LINE__, "version_atleast(2.6.13)", 0 },
		{ __LINE__, "version_atleast(2.4-dev19)", 1 },
		{ __LINE__, "version_before(2.7)", 1 },
		{ __LINE__, "feature(LUA)", 1 },
		{ __LINE__, "feature(OPENSSL)", 0 },
		{ __LINE__, "feature(THREAD) && !feature(QUIC)", 1 },
		{ __LINE__, "foo", -EINVAL },
		{ __LINE__, "foo(1)", -EINVAL },
		{ __LINE__, "streq(a", -EINVAL },
		{ __LINE__, "streq(a)", -EINVAL },
		{ __LINE__, "streq(a,b,c)", -EINVAL },
		{ __LINE__, "(1", -EINVAL },
		{ __LINE__, "1)", -EINVAL },
		{ __LINE__, "1 &&", -EINVAL },
		{ __LINE__, "!", -EINVAL },
		{ __LINE__, "streq(\"a,a)", -EINVAL },
	};
	char deep[300];

	environment();
	for (size_t i = 0; i < SL_ARRAY_SIZE(t); i++) {
		char why[100];
		struct sl_buf b;
		int rc;

		sl_buf_init(&b, why, sizeof(why));
		rc = conf_condition(sl_str_c(t[i].text), &b);
		if (rc != t[i].rc)
			fail_msg("line %d: %d %s", t[i].line, rc, why);
		assert_true(rc >= 0 || b.len > 0);
	}
	for (size_t i = 0; i < 2; i++) {
		char why[400];
		struct sl_buf b;

		memset(deep, "(!"[i], sizeof(deep));
		sl_buf_init(&b, why, sizeof(why));
		assert_int_equal(conf_condition(sl_str_make(deep, sizeof(deep)), &b), -EINVAL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_conditions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
