// SPDX-License-Identifier: BSD-3-Clause
/* Values of formats, and the messages for everything that is wrong with a text. */
#include "tests/unit/dataplane/expr/expr_env.h"

static const char request[] = "GET /p?x=1 HTTP/1.1\r\nHost: h\r\n\r\n";

/* lua.res: works in responses only. */
static int
lookup(void *ctx sl_unused, char kind, struct sl_str name, uint32_t *points)
{
	*points = EVAL_BIT(EVAL_HTTP_RES);
	return kind == 'f' && sl_str_eq(name, SL_STR("lua.res")) ? 0 : -ENOENT;
}

static void
open_all(struct env *e)
{
	env_open(e);
	env_request(e, request);
	e->ext = (struct expr_extern){ .lookup = lookup };
	e->comp.ext = &e->ext;
}

/* ---- formats ---- */

static const struct {
	int line;
	const char *fmt, *want;
} formats[] = {
	{ __LINE__, "", "" },
	{ __LINE__, "plain text", "plain text" },
	{ __LINE__, "a  b   c", "a  b   c" },
	{ __LINE__, "a %% b", "a % b" },
	{ __LINE__, "%%", "%" },
	{ __LINE__, "100%", "100" },
	{ __LINE__, "%[str(a)] %[str(b)]", "a b" },
	{ __LINE__, "<%[str(a)]>", "<a>" },
	{ __LINE__, "%[str(a)]", "a" },
	{ __LINE__, "%[str(\"]\")]", "]" },
	{ __LINE__, "%[hdr(none)]", "" },
	{ __LINE__, "a%[hdr(none)]b", "ab" },
	{ __LINE__, "%[int(5)]-%[src]-%[bool(true)]-%[method]", "5-127.0.0.1-1-GET" },
	{ __LINE__, "%[ipv6(2001:db8::1)]", "2001:db8::1" },
	{ __LINE__, "%[bin(414200)]", "AB" },
	{ __LINE__, "%[str(\\n)]", "%0A" }, // a value cannot end a header
	{ __LINE__, "%[str(a\\tb)]", "a\tb" },
	{ __LINE__, "%[bin(e97f22)]", "\xe9%7F\"" },
	{ __LINE__, "line\nnext", "line\nnext" }, // what the configuration says stays
	{ __LINE__,
		"%[int(1)]%[int(2)]%[int(3)]%[int(4)]%[int(5)]%[int(6)]%[int(7)]%[int(8)]"
		"%[int(9)]%[int(10)]%[int(11)]%[int(12)]%[int(13)]%[int(14)]%[int(15)]"
		"%[int(16)]%[int(17)]%[str(\\n)]",
		"1234567891011121314151617%0A" },
};

static void
format_values(void **state sl_unused)
{
	struct env e;

	open_all(&e);
	for (size_t i = 0; i < SL_ARRAY_SIZE(formats); i++) {
		const struct prog *p = env_fmt(&e, formats[i].fmt);
		struct prog_cursor c;
		if (p == NULL)
			fail_msg("line %d: %s", formats[i].line, e.error);
		assert_int_equal(env_run(&e, p, &c), PROG_END);
		assert_int_equal(c.sp, 1);
		assert_int_equal(c.stack[0].type, T_STR);
		if (!sl_str_eq(c.stack[0].s, sl_str_c(formats[i].want)))
			fail_msg("line %d: '%.*s'", formats[i].line, SL_STR_ARG(c.stack[0].s));
	}
	env_close(&e);
}

/* Every byte at every place of a word, against the plain rule. */
static void
format_encodes(void **state sl_unused)
{
	struct sample v = { .type = T_STR };
	char in[20], want[64];
	struct prog_cursor c;
	struct env e;

	open_all(&e);
	const struct prog *p = env_fmt(&e, "%[var(txn.v)]");
	assert_non_null(p);
	for (unsigned byte = 0; byte < 256; byte++) {
		for (uint32_t at = 0; at < sizeof(in); at++) {
			memset(in, byte & 1 ? 0x80 : 'a', sizeof(in));
			in[at] = (char)byte;
			uint32_t len = 0;
			for (uint32_t i = 0; i < sizeof(in); i++) {
				unsigned char b = (unsigned char)in[i];
				bool coded = (b < 32 && b != '\t') || b == 127;
				len += (uint32_t)snprintf(
					want + len, sizeof(want) - len, coded ? "%%%02X" : "%c", b);
			}
			v.s = sl_str_make(in, sizeof(in));
			arena_reset(&e.txn);
			e.vars = (struct vars){ 0 };
			assert_int_equal(var_set(&e.vars, &e.txn, VAR_TXN, SL_STR("v"), &v), 0);
			assert_int_equal(env_run(&e, p, &c), PROG_END);
			if (!sl_str_eq(c.stack[0].s, sl_str_make(want, len)))
				fail_msg("byte %u at %u: '%.*s'", byte, at,
					SL_STR_ARG(c.stack[0].s));
		}
	}
	env_close(&e);
}

/* ---- messages ---- */

struct error_row {
	int line;
	const char *expr, *word, *text;
};

static const struct error_row expr_errors[] = {
	{ __LINE__, "", "", "missing fetch method" },
	{ __LINE__, " str(a)", "", "missing fetch method" },
	{ __LINE__, ",str(a)", "", "missing fetch method" },
	{ __LINE__, "zzzzzz", "zzzzzz", "unknown fetch method 'zzzzzz'" },
	{ __LINE__, "hdrr(a)", "hdrr", "unknown fetch method 'hdrr' (did you mean 'hdr'?)" },
	{ __LINE__, "lua.nosuch", "lua.nosuch", "unknown fetch method 'lua.nosuch'" },
	{ __LINE__, "str(a),", "str(a),", "missing converter behind ','" },
	{ __LINE__, "str(a), upper", "str(a),", "missing converter behind ','" },
	{ __LINE__, "str(a),uper", "uper", "unknown converter 'uper' (did you mean 'upper'?)" },
	{ __LINE__, "str(a)b", "str(a)b", "expected ',' or the end behind 'str(a)', found 'b'" },
	{ __LINE__, "str(a) upper", "str(a) upper",
		"expected ',' or the end behind 'str(a)', found ' upper'" },
	{ __LINE__, "str(a", "str", "fetch method 'str': expected ')' after '(a'" },
	{ __LINE__, "str(\"a)", "str", "fetch method 'str': unmatched quote in '(\"a)'" },
	{ __LINE__, "str", "str", "fetch method 'str': expects 1 argument: string" },
	{ __LINE__, "str(a,b)", "str", "fetch method 'str': expects 1 argument: string" },
	{ __LINE__, "hdr", "hdr", "fetch method 'hdr': expects 1 to 2 arguments: string, integer" },
	{ __LINE__, "hdr(a,1,2)", "hdr",
		"fetch method 'hdr': expects 1 to 2 arguments: string, integer" },
	{ __LINE__, "hdr(a,b)", "hdr",
		"fetch method 'hdr': failed to parse 'b' as type 'integer' at position 2" },
	{ __LINE__, "int()", "int", "fetch method 'int': expects 1 argument: integer" },
	{ __LINE__, "int(0x10)", "int",
		"fetch method 'int': failed to parse '0x10' as type 'integer' at position 1" },
	{ __LINE__, "int(9223372036854775808)", "int",
		"fetch method 'int': failed to parse '9223372036854775808' as type 'integer' at "
		"position 1" },
	{ __LINE__, "ipv4(127.1)", "ipv4",
		"fetch method 'ipv4': failed to parse '127.1' as type 'IPv4 address' at position 1" },
	{ __LINE__, "ipv4(::1)", "ipv4",
		"fetch method 'ipv4': failed to parse '::1' as type 'IPv4 address' at position 1" },
	{ __LINE__, "ipv6(1.2.3.4)", "ipv6",
		"fetch method 'ipv6': failed to parse '1.2.3.4' as type 'IPv6 address' at position "
		"1" },
	{ __LINE__, "src,ipmask(33)", "ipmask",
		"converter 'ipmask': failed to parse '33' as type 'IPv4 mask' at position 1" },
	{ __LINE__, "src,ipmask(8,129)", "ipmask",
		"converter 'ipmask': failed to parse '129' as type 'IPv6 mask' at position 2" },
	{ __LINE__, "src,ipmask", "ipmask",
		"converter 'ipmask': expects 1 to 2 arguments: IPv4 mask, IPv6 mask" },
	{ __LINE__, "int(5),add(a)", "add",
		"converter 'add': failed to parse 'a' as type 'integer or variable' at position 1" },
	{ __LINE__, "str(a),concat(,x)", "concat",
		"converter 'concat': invalid variable name 'x': a name starts with its scope "
		"('proc', 'sess', 'txn', 'req' or 'res') and a dot, then letters, digits, '.' and "
		"'_'" },
	{ __LINE__, "bool(yes)", "bool",
		"fetch method 'bool': expects 'true', 'false', '0' or '1'" },
	{ __LINE__, "bin(123)", "bin",
		"fetch method 'bin': an even number of hex digits is expected" },
	{ __LINE__, "bin(1z)", "bin", "fetch method 'bin': a series of hex digits is expected" },
	{ __LINE__, "date(0,x)", "date",
		"fetch method 'date': expects 's', 'ms' or 'us' as second argument" },
	{ __LINE__, "str(a),field(0,_)", "field",
		"converter 'field': unexpected value 0 for index: the first is 1, the last is -1" },
	{ __LINE__, "str(a),url_enc(foo)", "url_enc",
		"converter 'url_enc': unexpected encode type; the allowed value is 'query'" },
	{ __LINE__, "urlp(a,ab)", "urlp", "fetch method 'urlp': the delimiter is one character" },
	{ __LINE__, "rand(4294967296)", "rand", "fetch method 'rand': the range has 32 bits" },
	{ __LINE__, "bin(00),add(1)", "add",
		"converter 'add' cannot be applied: it takes type integer, but gets binary" },
	{ __LINE__, "path_beg", "path_beg",
		"'path_beg' exists in conditions only: it carries the match method 'beg'" },
	{ __LINE__, "status", "status",
		"fetch method 'status' cannot be used in http-request rules: there is no response "
		"yet" },
	{ __LINE__, "lua.res", "lua.res",
		"fetch method 'lua.res' cannot be used in http-request rules: there is no response "
		"yet" },
	{ __LINE__, "str(1,2,3,4,5,6,7,8,9,10,11,12,13)", "str",
		"fetch method 'str': too many arguments" },
	{ __LINE__, "int(1),crc32(1,2)", "crc32",
		"converter 'crc32': expects 0 to 1 argument: "
		"integer" },
};

static const struct error_row fmt_errors[] = {
	{ __LINE__, "%ci", "%ci", "'%ci': log variables are not supported yet in this place" },
	{ __LINE__, "a %{+Q}o b", "%{+Q}o b",
		"'%{+Q}o b': flags in %{} are not supported yet in this place" },
	{ __LINE__, "a % b", "% ", "'% ': expected '%%' or '%[' here" },
	{ __LINE__, "%[]", "", "missing fetch method" },
	{ __LINE__, "%[str(a)", "str(a)", "expected ']' after 'str(a)'" },
	{ __LINE__, "%[str(a)b]", "str(a)", "expected ']' after 'str(a)', but found 'b'" },
	{ __LINE__, "%[str(a) ,upper]", "str(a)", "expected ']' after 'str(a)', but found ' '" },
	{ __LINE__, "%[foo]", "foo", "unknown fetch method 'foo'" }, // not "bool"
};

static void
check_errors(struct env *e, const struct error_row *r, size_t n,
	const struct prog *(*compile)(struct env *, const char *))
{
	for (size_t i = 0; i < n; i++, r++) {
		if (compile(e, r->expr) != NULL)
			fail_msg("line %d: '%s' was accepted", r->line, r->expr);
		if (strcmp(e->error, r->text) != 0 || strcmp(e->word, r->word) != 0)
			fail_msg("line %d: word '%s' text '%s'", r->line, e->word, e->error);
		assert_int_equal(e->nerrors, 1);
	}
}

static const struct prog *
any_expr(struct env *e, const char *t)
{
	return env_expr(e, t, T_ANY);
}

static void
error_texts(void **state sl_unused)
{
	struct env e;

	open_all(&e);
	check_errors(&e, expr_errors, SL_ARRAY_SIZE(expr_errors), any_expr);
	check_errors(&e, fmt_errors, SL_ARRAY_SIZE(fmt_errors), env_fmt);
	assert_null(env_expr(&e, "bin(00)", T_SINT));
	assert_string_equal(e.error, "'bin(00)' gives type binary, which cannot become integer");
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format_values),
		cmocka_unit_test(format_encodes),
		cmocka_unit_test(error_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
