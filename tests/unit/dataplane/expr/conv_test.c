// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every converter, argument quoting and casts on the way. The values were printed by HAProxy 2.6.12
 * for the same expressions (log format in "http-request return"), unless the row says otherwise.
 */
#include "tests/unit/dataplane/expr/expr_env.h"

static const struct value_row rows[] = {
	/* casts */
	{ __LINE__, "int(1),hex", "0000000000000001" },
	{ __LINE__, "bool(true),hex", "0000000000000001" },
	{ __LINE__, "bin(414200)", "AB" },
	{ __LINE__, "bin(4142004344),hex", "4142004344" },
	{ __LINE__, "bin(41420043),length", "2" },
	{ __LINE__, "str(12abc),add(1)", "13" },
	{ __LINE__, "str(abc),add(1)", "1" },
	{ __LINE__, "str(-5),add(1)", "-4" },
	{ __LINE__, "str(+5),add(1)", "6" },
	{ __LINE__, "str(99999999999999999999),add(0)", "9223372036854775807" },
	{ __LINE__, "str(-99999999999999999999),add(0)", "-9223372036854775808" },
	{ __LINE__, "str(),add(1)", NULL },
	{ __LINE__, "ipv4(10.0.0.1),add(1)", "167772162" },
	{ __LINE__, "ipv4(10.0.0.1),hex", "0A000001" },
	{ __LINE__, "ipv6(2001:db8::1),hex", "20010DB8000000000000000000000001" },
	{ __LINE__, "ipv6(::1),add(1)", NULL }, // HAProxy refuses at load: its IPv6 is a type
	{ __LINE__, "bool(true)", "1" },
	{ __LINE__, "bool(1)", "1" },
	{ __LINE__, "bool(false)", "0" },
	{ __LINE__, "always_true,add(1)", "2" },
	{ __LINE__, "always_false", "0" },
	/* quoting */
	{ __LINE__, "str(\"a,b\")", "a,b" },
	{ __LINE__, "str(\"a)b\")", "a)b" },
	{ __LINE__, "str('a)b')", "a)b" },
	{ __LINE__, "str(\\d)", "\\d" },
	{ __LINE__, "str(\"\\d\")", "\\d" },
	{ __LINE__, "str(a\"b\"c)", "abc" },
	{ __LINE__, "str(\"a\\\"b\")", "a\"b" },
	{ __LINE__, "str('a\\\"b')", "a\\\"b" },
	{ __LINE__, "str(\"a'b\")", "a'b" },
	{ __LINE__, "str(\\'x\\')", "'x'" },
	{ __LINE__, "str( a )", " a " },
	{ __LINE__, "str(a\\ b)", "a b" },
	{ __LINE__, "str(\\n)", "\n" },
	{ __LINE__, "str(\"x\\ty\")", "x\ty" },
	{ __LINE__, "str(a\\\\b)", "a\\b" },
	{ __LINE__, "str()", "" },
	{ __LINE__, "str(a),upper()", "A" },
	/* strings */
	{ __LINE__, "str(ABCdef),lower", "abcdef" },
	{ __LINE__, "str(ABCdef),upper", "ABCDEF" },
	{ __LINE__, "str([@Z`{az]),upper", "[@Z`{AZ]" },
	{ __LINE__, "int(255),length", "3" },
	{ __LINE__, "src,length", "9" },
	{ __LINE__, "str(f1_f2_f3__f5),field(5,_)", "f5" },
	{ __LINE__, "str(f1_f2_f3__f5),field(2,_,0)", "f2_f3__f5" },
	{ __LINE__, "str(f1_f2_f3__f5),field(2,_,2)", "f2_f3" },
	{ __LINE__, "str(f1_f2_f3__f5),field(-2,_,3)", "f2_f3_" },
	{ __LINE__, "str(f1_f2_f3__f5),field(-3,_,0)", "f1_f2_f3" },
	{ __LINE__, "str(f1_f2_f3__f5),field(4,_)", "" },
	{ __LINE__, "str(f1_f2_f3__f5),field(9,_)", NULL },
	{ __LINE__, "str(f1_f2_f3__f5),field(-9,_)", NULL },
	{ __LINE__, "str(f1_f2_f3__f5),field(4,_,9)", "_f5" },
	{ __LINE__, "str(f1_f2_f3__f5),field(1,-)", "f1_f2_f3__f5" },
	{ __LINE__, "str(a-b_c),field(2,_-)", "b" },
	{ __LINE__, "str(f1_f2),field(-1,_,0)", "f1_f2" },
	{ __LINE__, "str(f1_f2),field(-1,_,2)", "f1_f2" },
	{ __LINE__, "str(f1_f2_),field(-1,_),length", "0" },
	{ __LINE__, "str(f1_f2_f3),field(-2,_,1)", "f2" },
	{ __LINE__, "str(f1_f2_f3),field(-2,_,5)", "f1_f2" },
	{ __LINE__, "str(f1_f2_f3__f5),word(4,_)", "f5" },
	{ __LINE__, "str(f1_f2_f3__f5),word(2,_,0)", "f2_f3__f5" },
	{ __LINE__, "str(f1_f2_f3__f5),word(3,_,2)", "f3__f5" },
	{ __LINE__, "str(f1_f2_f3__f5),word(-2,_,3)", "f1_f2_f3" },
	{ __LINE__, "str(f1_f2_f3__f5),word(-3,_,0)", "f1_f2" },
	{ __LINE__, "str(/f1/f2/f3/f4),word(1,/)", "f1" },
	{ __LINE__, "str(/f1/f2/f3/f4),word(9,/),length", "0" },
	{ __LINE__, "str(/f1/f2/f3/f4),word(-9,/),length", "0" },
	{ __LINE__, "str(/f1/f2/f3/f4/),word(-1,/)", "f4" },
	{ __LINE__, "str(/f1/f2/f3/f4/),word(4,/,5)", "f4/" },
	{ __LINE__, "str(/f1/f2/f3/f4/),word(3,/,0)", "f3/f4/" },
	{ __LINE__, "str(),word(1,/),length", "0" },
	{ __LINE__, "str(abc),word(1,/)", "abc" },
	{ __LINE__, "str(abc),word(2,/),length", "0" },
	{ __LINE__, "str(abc),word(-1,/)", "abc" },
	{ __LINE__, "str(abcdef),bytes(2)", "cdef" },
	{ __LINE__, "str(abcdef),bytes(2,2)", "cd" },
	{ __LINE__, "str(abcdef),bytes(2,9)", "cdef" },
	{ __LINE__, "str(abcdef),bytes(6),length", "0" },
	{ __LINE__, "str(abcdef),bytes(9),length", "0" },
	{ __LINE__, "str(abcdef),bytes(0,0),length", "0" },
	{ __LINE__, "str(abcdef),bytes(-1),length", "0" },
	{ __LINE__, "str(abcdef),bytes(1,-1),length", "5" },
	{ __LINE__, "str(a),concat(-,txn.none,b)", "a-b" },
	{ __LINE__, "str(a),concat(-,txn.n,b)", "a-42b" },
	{ __LINE__, "str(a),concat(,txn.s)", "aval" },
	{ __LINE__, "str(a),concat(,,b)", "ab" },
	{ __LINE__, "str(a),concat(b)", "ab" },
	{ __LINE__, "str(a),concat()", "a" },
	{ __LINE__, "str(a),concat", "a" },
	{ __LINE__, "str(xxabcxx),ltrim(x)", "abcxx" },
	{ __LINE__, "str(xxabcxx),rtrim(x)", "xxabc" },
	{ __LINE__, "str(xxx),ltrim(x),length", "0" },
	{ __LINE__, "str(xxx),rtrim(x),length", "0" },
	{ __LINE__, "str(val),strcmp(txn.s)", "0" },
	{ __LINE__, "str(val),strcmp(txn.none)", NULL },
	{ __LINE__, "bool(true),iif(y,n)", "y" },
	{ __LINE__, "int(0),iif(y,n)", "n" },
	{ __LINE__, "str(5),iif(y,n)", "y" },
	/* numbers */
	{ __LINE__, "int(+5)", "5" },
	{ __LINE__, "int(9223372036854775807),add(1)", "9223372036854775807" },
	{ __LINE__, "int(-9223372036854775807),sub(10)", "-9223372036854775808" },
	{ __LINE__, "int(5),add(txn.none)", NULL },
	{ __LINE__, "int(5),add(txn.n)", "47" },
	{ __LINE__, "int(5),div(0)", "9223372036854775807" },
	{ __LINE__, "int(5),mod(0)", "0" },
	{ __LINE__, "int(-7),div(2)", "-3" },
	{ __LINE__, "int(-7),mod(2)", "-1" },
	{ __LINE__, "int(5),mul(9223372036854775807)", "9223372036854775807" },
	{ __LINE__, "int(3),mul(-4)", "-12" },
	{ __LINE__, "int(9223372036854775807),mul(-2)", "-9223372036854775808" },
	{ __LINE__, "int(-9223372036854775807),add(-5)", "-9223372036854775808" },
	{ __LINE__, "int(9223372036854775807),sub(-1)", "9223372036854775807" },
	{ __LINE__, "int(-9223372036854775808),div(-1)", "9223372036854775807" }, // not asked
	{ __LINE__, "int(-9223372036854775808),mod(-1)", "0" },
	{ __LINE__, "int(-9223372036854775808),neg", "9223372036854775807" }, // not asked
	{ __LINE__, "int(-7),odd", "1" },
	{ __LINE__, "int(-7),even", "0" },
	{ __LINE__, "int(4),odd", "0" },
	{ __LINE__, "int(0),even", "1" },
	{ __LINE__, "int(5),cpl", "-6" },
	{ __LINE__, "int(5),neg", "-5" },
	{ __LINE__, "int(5),bool", "1" },
	{ __LINE__, "int(5),not", "0" },
	{ __LINE__, "int(0),not", "1" },
	{ __LINE__, "str(true),bool", "0" },
	{ __LINE__, "str(1),bool", "1" },
	{ __LINE__, "str(yes),not", "1" },
	{ __LINE__, "int(12),xor(10)", "6" },
	{ __LINE__, "int(12),and(10)", "8" },
	{ __LINE__, "int(12),or(3)", "15" },
	/* hashes */
	{ __LINE__, "str(hello),crc32", "907060870" },
	{ __LINE__, "str(hello),crc32(1)", "3902247103" },
	{ __LINE__, "str(),crc32", "0" },
	{ __LINE__, "str(hello),djb2", "261238937" },
	{ __LINE__, "str(hello),djb2(1)", "1119739105" },
	{ __LINE__, "str(),djb2(1)", "3719394183" },
	{ __LINE__, "str(hello),sdbm", "684824882" },
	{ __LINE__, "str(hello),sdbm(1)", "2061535398" },
	{ __LINE__, "str(),sdbm", "0" },
	{ __LINE__, "str(hello),wt6", "3538347703" },
	{ __LINE__, "str(hello),wt6(1)", "140457739" },
	{ __LINE__, "str(),wt6", "4187620192" },
	{ __LINE__, "str(The quick brown fox jumps),wt6", "2858881318" },
	{ __LINE__, "str(The quick brown fox jumps),crc32", "3616334110" },
	{ __LINE__, "str(The quick brown fox jumps),djb2(0)", "1453397863" },
	{ __LINE__, "str(The quick brown fox jumps),sdbm(5)", "2185120565" },
	{ __LINE__, "str(The quick),djb2(2)", "3301278062" },
	{ __LINE__, "str(The quick),wt6(1)", "2458599356" },
	{ __LINE__, "int(1),crc32", "304476159" },
	{ __LINE__, "src,crc32", "1696554816" },
	{ __LINE__, "bool(true),crc32", "304476159" },
	/* codes */
	{ __LINE__, "str(hello),hex", "68656C6C6F" },
	{ __LINE__, "str(),hex", "" },
	{ __LINE__, "bin(00ff7f),hex", "00FF7F" },
	{ __LINE__, "str(ff),hex2i", "255" },
	{ __LINE__, "str(1F),hex2i", "31" },
	{ __LINE__, "str(xx),hex2i", NULL },
	{ __LINE__, "str(hello),base64", "aGVsbG8=" },
	{ __LINE__, "str(a),base64", "YQ==" },
	{ __LINE__, "str(ab),base64", "YWI=" },
	{ __LINE__, "str(),base64", "" },
	{ __LINE__, "bin(00ff),base64", "AP8=" },
	{ __LINE__, "str(aGVsbG8=),b64dec", "hello" },
	{ __LINE__, "str(aGVsbG8),b64dec", NULL },
	{ __LINE__, "str(!!),b64dec", NULL },
	{ __LINE__, "str(YQ==),b64dec", "a" },
	{ __LINE__, "str(YQ=),b64dec", NULL },
	{ __LINE__, "str(YR==),b64dec", "a" },
	{ __LINE__, "str(=YQ=),b64dec", NULL },
	{ __LINE__, "str(aGVs bG8=),b64dec", NULL },
	{ __LINE__, "str(),b64dec,length", "0" },
	{ __LINE__, "str(a%20b+c),url_dec", "a b+c" },
	{ __LINE__, "str(a%20b+c),url_dec(1)", "a b c" },
	{ __LINE__, "str(a+b),url_dec(0)", "a+b" },
	{ __LINE__, "str(a+b?c+d),url_dec", "a+b?c d" },
	{ __LINE__, "str(a?b%2Bc+d),url_dec", "a?b+c d" },
	{ __LINE__, "str(a%2),url_dec", NULL },
	{ __LINE__, "str(a%zz),url_dec", NULL },
	{ __LINE__, "str(a%4G),url_dec", NULL },
	{ __LINE__, "str(a%41),url_dec", "aA" },
	{ __LINE__, "str(%41%00b),url_dec,hex", "410062" },
	{ __LINE__, "str(a~b-c_d.e%f#g<h>i^j|k`l),url_enc",
		"a~b-c_d.e%25f%23g%3Ch%3Ei%5Ej%7Ck%60l" },
	{ __LINE__, "str(\\n\\t),url_enc", "%0A%09" },
	{ __LINE__, "bin(00ff41),url_enc", "" },
	{ __LINE__, "str(abc),url_enc(query)", "abc" },
	/* regular expressions */
	{ __LINE__, "str(a-b-c),regsub(-,+)", "a+b-c" },
	{ __LINE__, "str(a-b-c),regsub(-,+,g)", "a+b+c" },
	{ __LINE__, "str(aXbxc),regsub(x,,ig)", "abc" },
	{ __LINE__, "str(abc),regsub(\"(.)(.)\",\"<\\2\\1>\")", "<ba>c" },
	{ __LINE__, "str(abc),regsub(x*,-,g)", "-a-b-c-" },
	{ __LINE__, "str(abc),regsub(b*,-,g)", "-a--c-" },
	{ __LINE__, "str(abab),regsub(^a,x,g)", "xbab" },
	{ __LINE__, "str(ab),regsub(^,x,g)", "xab" },
	{ __LINE__, "str(abc),regsub(z,y)", "abc" },
	{ __LINE__, "str(abc),regsub(b,\"\\x41\")", "aAc" },
	{ __LINE__, "str(),regsub(a,b),length", "0" },
	/* addresses */
	{ __LINE__, "int(16909060),ipmask(32)", "1.2.3.4" },
	{ __LINE__, "str(1.2.3.4),ipmask(16)", "1.2.0.0" },
	{ __LINE__, "str(2001:db8::1),ipmask(16,32)", "2001:db8::" },
	{ __LINE__, "str(2001:db8::1),ipmask(16)", NULL },
	{ __LINE__, "str(10.1.2.3),ipmask(255.255.0.0)", "10.1.0.0" },
	{ __LINE__, "str(10.1.2.3),ipmask(255.0.255.0)", "10.0.2.0" },
	{ __LINE__, "src,ipmask(8)", "127.0.0.0" },
	{ __LINE__, "src,ipmask(0)", "0.0.0.0" },
	{ __LINE__, "str(2001:db8:1:2::1),ipmask(24,64)", "2001:db8:1:2::" },
	{ __LINE__, "str(2001:db8:1:2::1),ipmask(24,ffff:ffff::)", "2001:db8::" },
	{ __LINE__, "str(xyz),ipmask(24)", NULL },
};

static void
conv_values(void **state sl_unused)
{
	struct sample n = { .type = T_SINT, .i = 42 };
	struct sample s = { .type = T_STR, .s = SL_STR("val") };
	struct env e;

	env_open(&e);
	assert_int_equal(var_set(&e.vars, &e.txn, VAR_TXN, SL_STR("n"), &n), 0);
	assert_int_equal(var_set(&e.vars, &e.txn, VAR_TXN, SL_STR("s"), &s), 0);
	env_values(&e, rows, SL_ARRAY_SIZE(rows));
	env_close(&e);
}

/* Every converter that is registered stands in the table above. */
static void
conv_all_covered(void **state sl_unused)
{
	struct env e;
	char with[64];

	env_open(&e);
	const struct registry *reg = expr_convs();
	assert_true(reg->count >= 30);
	for (uint32_t i = 0; i < reg->count; i++) {
		const struct conv_row *row = reg->rows[i];
		bool found = strncmp(row->name, "map", 3) == 0; // map_test.c
		snprintf(with, sizeof(with), ",%s", row->name);
		for (size_t k = 0; k < SL_ARRAY_SIZE(rows) && !found; k++) {
			const char *at = strstr(rows[k].expr, with);
			found = at != NULL && strchr("(,", at[strlen(with)]) != NULL;
		}
		if (!found)
			fail_msg("converter %s is not tested", row->name);
		assert_non_null(row->help);
	}
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conv_values),
		cmocka_unit_test(conv_all_covered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
