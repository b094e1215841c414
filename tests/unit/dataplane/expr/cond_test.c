// SPDX-License-Identifier: BSD-3-Clause
/*
 * Conditions: matching methods, patterns, named and predefined ACLs, and/or/not. Results are those
 * of HAProxy 2.6.12 for the same condition and request, unless the row says otherwise.
 */
#include <unistd.h>

#include "tests/unit/dataplane/expr/expr_env.h"

static const char request[] = "GET /6?x=1 HTTP/1.1\r\n"
			      "Host: www.Example.com\r\n"
			      "A: x, y , z\r\n"
			      "a: q\r\n"
			      "b: 9.9.9.9, 1.2.3.4\r\n"
			      "c: 5,6\r\n\r\n";

struct cond_row {
	int line;
	const char *cond;
	bool want;
};

static const struct cond_row rows[] = {
	/* methods */
	{ __LINE__, "{ str(a) -m str a }", true }, { __LINE__, "{ str(a) a }", true },
	{ __LINE__, "{ str(a) -m str b a }", true }, { __LINE__, "{ str(a) -m str b c }", false },
	{ __LINE__, "{ str(abc) -m beg a }", true }, { __LINE__, "{ str(abc) -m beg b }", false },
	{ __LINE__, "{ str(abc) -m beg abcd }", false }, { __LINE__, "{ str(abc) -m beg }", false },
	{ __LINE__, "{ str(abc) -m end bc }", true }, { __LINE__, "{ str(abc) -m end b }", false },
	{ __LINE__, "{ str(abc) -m sub b }", true }, { __LINE__, "{ str(abc) -m sub d }", false },
	{ __LINE__, "{ str(abc) -m found }", true }, { __LINE__, "{ str() -m found }", true },
	{ __LINE__, "{ str(abc) -m found x }", true },
	{ __LINE__, "{ always_true -m found }", true }, { __LINE__, "{ always_true }", true },
	{ __LINE__, "{ always_true 0 }", true }, { __LINE__, "{ always_false }", false },
	{ __LINE__, "{ int(5) 5 }", true }, { __LINE__, "{ int(5) 4:6 }", true },
	{ __LINE__, "{ int(5) :6 }", true }, { __LINE__, "{ int(5) :4 }", false },
	{ __LINE__, "{ int(5) 5: }", true }, { __LINE__, "{ int(5) 6: }", false },
	{ __LINE__, "{ int(5) gt 4 }", true }, { __LINE__, "{ int(5) gt 5 }", false },
	{ __LINE__, "{ int(5) ge 5 }", true }, { __LINE__, "{ int(5) lt 5 }", false },
	{ __LINE__, "{ int(5) le 5 }", true }, { __LINE__, "{ int(5) lt 3 gt 4 }", true },
	{ __LINE__, "{ int(3) ge 3 le 2 }", true }, { __LINE__, "{ int(5) eq 1:6 }", true },
	{ __LINE__, "{ int(5) eq 4 5 6 }", true }, { __LINE__, "{ int(5) }", false },
	{ __LINE__, "{ int(9223372036854775807) gt 9223372036854775807 }", false },
	{ __LINE__, "{ int(-9223372036854775808) lt -9223372036854775808 }", false },
	{ __LINE__, "{ int(5) -m bool }", true }, { __LINE__, "{ int(0) -m bool }", false },
	{ __LINE__, "{ int(5) -m str 5 }", true }, { __LINE__, "{ int(5) -m len 1 }", true },
	{ __LINE__, "{ int(-5) lt 0 }", true }, { __LINE__, "{ int(-5) -- -5 }", true },
	{ __LINE__, "{ int(-5) -- -10:-1 }", true }, { __LINE__, "{ bool(true) 1 }", true },
	{ __LINE__, "{ bool(true) -m int 1 }", true },
	{ __LINE__, "{ bool(true) -m str 1 }", true }, { __LINE__, "{ str(5) -m int 5 }", true },
	{ __LINE__, "{ str(5x) -m int 5 }", true }, { __LINE__, "{ str(5) eq 5 }", true },
	{ __LINE__, "{ str(eq) eq }", true }, { __LINE__, "{ str(abc) -m len 3 }", true },
	{ __LINE__, "{ str(abc) -m len eq 3 }", true },
	{ __LINE__, "{ str(abc) -m len 2:4 }", true },
	{ __LINE__, "{ str(abc) -m len gt 3 }", false },
	/* addresses */
	{ __LINE__, "{ ipv4(10.0.0.12) 10.12 }", true },
	{ __LINE__, "{ ipv4(10.0.0.12) 10/8 }", false },
	{ __LINE__, "{ ipv4(0.0.0.10) 10 }", true },
	{ __LINE__, "{ ipv4(10.0.0.12) 10.0.0.0/255.0.0.0 }", true },
	{ __LINE__, "{ ipv4(10.0.0.1) 10.0.0.0/255.0.255.0 }", true },
	{ __LINE__, "{ ipv4(10.9.0.1) 10.0.0.0/255.0.255.0 }", true },
	{ __LINE__, "{ ipv4(10.0.9.1) 10.0.0.0/255.0.255.0 }", false },
	{ __LINE__, "{ ipv4(10.0.0.12) 10.0.0.9/8 }", true },
	{ __LINE__, "{ ipv4(11.0.0.12) 10.0.0.9/8 }", false },
	{ __LINE__, "{ ipv4(11.0.0.12) 0.0.0.0/0 }", true },
	{ __LINE__, "{ ipv4(127.0.0.1) 127.1/8 }", true },
	{ __LINE__, "{ ipv4(192.168.0.1) 192.168.1 }", true },
	{ __LINE__, "{ ipv6(2001:db8::1) 2001:db8::/32 }", true },
	{ __LINE__, "{ ipv6(2001:db9::1) 2001:db8::/32 }", false },
	{ __LINE__, "{ ipv6(::ffff:10.0.0.1) 10.0.0.0/8 }", true },
	{ __LINE__, "{ ipv6(2002:0a00:0001::) 10.0.0.0/8 }", true },
	{ __LINE__, "{ ipv6(::10.0.0.1) 10.0.0.0/8 }", true },
	{ __LINE__, "{ ipv6(2001:db8::10.0.0.1) 10.0.0.0/8 }", false },
	{ __LINE__, "{ ipv4(10.0.0.1) ::ffff:0:0/96 }", true },
	{ __LINE__, "{ ipv4(10.0.0.1) ::/0 }", true },
	{ __LINE__, "{ ipv4(10.0.0.1) 2001::/16 }", false },
	{ __LINE__, "{ str(10.0.0.1) -m ip 10.0.0.0/8 }", true },
	{ __LINE__, "{ str(nonsense) -m ip 10.0.0.0/8 }", false },
	{ __LINE__, "{ src 127.0.0.1 }", true }, { __LINE__, "{ src,lower 127.0.0.1 }", true },
	{ __LINE__, "{ src -m int 2130706433 }", true },
	{ __LINE__, "{ src -m str 127.0.0.1 }", true }, { __LINE__, "{ src -m beg 127. }", true },
	/* directories and domains */
	{ __LINE__, "{ str(/images/png/logo/32x32.png) -m dir images }", true },
	{ __LINE__, "{ str(/images/png/logo/32x32.png) -m dir /images/png/ }", true },
	{ __LINE__, "{ str(/images/png/logo/32x32.png) -m dir png }", true },
	{ __LINE__, "{ str(/images/png/logo/32x32.png) -m dir logo/32x32.png }", true },
	{ __LINE__, "{ str(/images/png/logo/32x32.png) -m dir 32x32 }", false },
	{ __LINE__, "{ str(/images/png) -m dir / }", false },
	{ __LINE__, "{ str(a?b) -m dir b }", true },
	{ __LINE__, "{ str(http://www1.dc-eu.example.com:80/blah) -m dom example.com }", true },
	{ __LINE__, "{ str(http://www1.dc-eu.example.com:80/blah) -m dom eu }", false },
	{ __LINE__, "{ str(http://www1.dc-eu.example.com:80/blah) -m dom :www1: }", true },
	{ __LINE__, "{ str(http://www1.dc-eu.example.com:80/blah) -m dom dc-eu.example:80 }",
		false },
	{ __LINE__, "{ str(http://www1.dc-eu.example.com:80/blah) -m dom dc-eu.example }", true },
	{ __LINE__, "{ str(a/b) -m dom b }", true }, { __LINE__, "{ str(a?b) -m dom b }", true },
	{ __LINE__, "{ str(ab.cd) -m dom .cd. }", true },
	{ __LINE__, "{ str(ab.cd) -m dom . }", false },
	{ __LINE__, "{ str(xab.cd) -m dom ab }", false },
	{ __LINE__, "{ str(xab.ab) -m dom ab }", true },
	/* case, flags */
	{ __LINE__, "{ str(ABC) -i -m str abc }", true },
	{ __LINE__, "{ str(ABC) -m str -i abc }", true },
	{ __LINE__, "{ str(ABC) -m str abc }", false },
	{ __LINE__, "{ str(ABC) -m str abc -i ABC }", true },
	{ __LINE__, "{ str(-i) -m str -- -i }", true },
	{ __LINE__, "{ str(-i) -m str x -i }", true },
	{ __LINE__, "{ str(xABCx) -m sub -i abc }", true },
	{ __LINE__, "{ str(ABC.d) -m dom -i aBc }", true },
	{ __LINE__, "{ str(ABCd) -m beg -i aBc }", true },
	{ __LINE__, "{ str(dABC) -m end -i aBc }", true },
	{ __LINE__, "{ int(9) -m str -i 9 }", true }, { __LINE__, "{ str(abc) -n abc }", true },
	{ __LINE__, "{ bin(48656c6c6f0a) -m bin 48656c6c6f0a }", true },
	{ __LINE__, "{ bin(48656c6c6f0a) -m bin -i 48656C6C6F0A }", true },
	{ __LINE__, "{ bin(48656c6c6f0a) -m bin 48656c6c6f }", false },
	{ __LINE__, "{ str(hello) -m bin 68656c6c6f }", true },
	{ __LINE__, "{ bin(00) -m str a }", false },
	/* regular expressions */
	{ __LINE__, "{ str(abc) -m reg ^a.c$ }", true },
	{ __LINE__, "{ str(abc) -m reg ^b }", false },
	{ __LINE__, "{ str(abc) -m reg x y z b }", true },
	{ __LINE__, "{ str(ABC) -m reg b }", false },
	{ __LINE__, "{ str(ABC) -m reg -i b }", true },
	{ __LINE__, "{ str() -m reg ^$ }", true },
	{ __LINE__, "{ str(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) -m reg ^(a+)+$ }", true },
	/* more steps than REGEX_LIMIT: no match, and soon */
	{ __LINE__, "{ str(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaX) -m reg ^(a+)+$ }", false },
	/* many patterns: searched by halves */
	{ __LINE__, "{ str(g) -m str z g a m b c x }", true },
	{ __LINE__, "{ str(a) -m str z g a m b c x }", true },
	{ __LINE__, "{ str(z) -m str z g a m b c x }", true },
	{ __LINE__, "{ str(h) -m str z g a m b c x }", false },
	{ __LINE__, "{ str() -m str z g a m b c x }", false },
	{ __LINE__, "{ str(gg) -m str z g a m b c x }", false },
	{ __LINE__, "{ str(Gx) -m str -i z gX a m b c x }", true },
	{ __LINE__, "{ str([b) -m str -i z [B a _c B] c x }", true },
	/* variables */
	{ __LINE__, "{ var(txn.none) -m str 1 }", false },
	{ __LINE__, "{ var(txn.none) -m found }", false },
	{ __LINE__, "! { var(txn.none) -m found }", true },
	{ __LINE__, "{ var(txn.n) -m found }", true },
	{ __LINE__, "{ var(txn.n) -m int 42 }", true },
	{ __LINE__, "{ var(txn.n) -m str 42 }", true },
	{ __LINE__, "{ var(txn.none,7) -m int 7 }", true },
	/* the method in the fetch's name */
	{ __LINE__, "{ path_beg / }", true }, { __LINE__, "{ path_beg,lower / }", false },
	{ __LINE__, "{ path_beg -m end 6 }", true }, { __LINE__, "{ path_end 6 }", true },
	{ __LINE__, "{ path_len 2 }", true }, { __LINE__, "{ path_len gt 1 }", true },
	{ __LINE__, "{ path_sub 7 }", false }, { __LINE__, "{ path_dir 6 }", true },
	{ __LINE__, "{ url_beg / }", true }, { __LINE__, "{ url_sub x= }", true },
	{ __LINE__, "{ hdr_beg(host) www. }", true },
	{ __LINE__, "{ hdr_beg(host) -i WWW. }", true },
	{ __LINE__, "{ hdr_dom(host) Example }", true },
	{ __LINE__, "{ hdr_end(host) -i .example.com }", true },
	{ __LINE__, "{ base_beg www.example.com }", false },
	{ __LINE__, "{ base_beg -i www.example.com }", true }, { __LINE__, "{ urlp(x) 1 }", true },
	{ __LINE__, "{ urlp_len(x) 1 }", true },
	/* all values of a header */
	{ __LINE__, "{ hdr(a) x }", true }, { __LINE__, "{ hdr(a) y }", true },
	{ __LINE__, "{ hdr(a) z }", true }, { __LINE__, "{ hdr(a) q }", true },
	{ __LINE__, "{ hdr(a) none }", false }, { __LINE__, "{ hdr(a,1) q }", false },
	{ __LINE__, "{ hdr(a,-1) q }", true }, { __LINE__, "{ hdr(a,-1) x }", false },
	{ __LINE__, "{ hdr(a,2) y }", true }, { __LINE__, "{ hdr(a),upper Y }", true },
	{ __LINE__, "{ hdr(a),upper y }", false }, { __LINE__, "{ hdr(a) -m found }", true },
	{ __LINE__, "{ hdr(none) -m found }", false }, { __LINE__, "{ hdr(a) -m len 1 }", true },
	{ __LINE__, "{ hdr(a) }", false }, { __LINE__, "{ hdr(none) }", false },
	{ __LINE__, "{ hdr_cnt(a) 4 }", true }, { __LINE__, "{ req.fhdr_cnt(a) 2 }", true },
	{ __LINE__, "{ req.fhdr(a) q }", true }, { __LINE__, "{ req.fhdr(a) -m sub y }", true },
	{ __LINE__, "{ hdr_ip(b) 1.2.3.4 }", true }, { __LINE__, "{ hdr_ip(b) 9.0.0.0/8 }", true },
	{ __LINE__, "{ hdr_ip(b) 8.0.0.0/8 }", false }, { __LINE__, "{ hdr_val(c) 5 }", true },
	{ __LINE__, "{ hdr_val(c) 6 }", true }, { __LINE__, "{ hdr_val(c) 7 }", false },
	{ __LINE__, "{ urlp(a) 1 }", false }, { __LINE__, "{ req.ver 1.1 }", true },
	{ __LINE__, "{ method GET POST }", true }, { __LINE__, "{ method get }", false },
	{ __LINE__, "{ method -m str GET }", true }, { __LINE__, "{ method -m beg G }", true },
	{ __LINE__, "{ method -m len 3 }", true },
	/* predefined */
	{ __LINE__, "TRUE", true }, { __LINE__, "FALSE", false },
	{ __LINE__,
		"METH_GET HTTP_1.1 HTTP !HTTP_1.0 LOCALHOST HTTP_URL_SLASH !HTTP_URL_STAR "
		"!HTTP_URL_ABS",
		true },
	{ __LINE__, "METH_POST", false }, { __LINE__, "!METH_POST", true },
	{ __LINE__, "HTTP_CONTENT", false }, { __LINE__, "HTTP_2.0", false },
	/* not, and, or */
	{ __LINE__, "! { hdr(none) x }", true }, { __LINE__, "!{ hdr(none) x }", true },
	{ __LINE__, "! ! { hdr(a) x }", true }, { __LINE__, "!! { hdr(a) x }", true },
	{ __LINE__, "!!TRUE", true },
	{ __LINE__, "{ hdr(a) x } or", true }, // HAProxy ignores a stray one
	{ __LINE__, "or { hdr(a) x }", true }, { __LINE__, "{ hdr(a) no } || { hdr(a) x }", true },
	{ __LINE__, "{ hdr(a) x } { hdr(a) no } or TRUE FALSE or TRUE TRUE", true },
	{ __LINE__, "{ hdr(a) x } { hdr(a) no } or TRUE FALSE or FALSE TRUE", false },
	/* named: several lines of a name are alternatives */
	{ __LINE__, "one", true }, { __LINE__, "two", true }, { __LINE__, "none", false },
	{ __LINE__, "!two", false }, { __LINE__, "one !none two", true },
	{ __LINE__, "none or two", true }, { __LINE__, "many", true },
	{ __LINE__, "METH_PUT", true }, // redefined
};

static void
add_acl(struct env *e, const char *name, const char *text)
{
	struct sl_str word[64];
	struct acl_scope *s = (struct acl_scope *)(uintptr_t)e->comp.acls;

	if (acl_add(s, &e->comp, sl_str_c(name), word, env_words(text, word, 64)) < 0)
		fail_msg("acl %s: %s", name, e->error);
}

static bool
truth(struct env *e, int line, const char *cond, bool unless)
{
	const struct prog *p = env_cond(e, cond, unless);
	struct prog_cursor c;

	if (p == NULL)
		fail_msg("line %d: '%s': %s", line, cond, e->error);
	if (env_run(e, p, &c) != PROG_END || c.sp != 0 || c.iter != 0)
		fail_msg("line %d: '%s' did not end", line, cond);
	return c.flag;
}

static void
open_all(struct env *e)
{
	struct sample n = { .type = T_SINT, .i = 42 };

	env_open(e);
	env_request(e, request);
	assert_int_equal(var_set(&e->vars, &e->txn, VAR_TXN, SL_STR("n"), &n), 0);
	add_acl(e, "one", "hdr(a) z");
	add_acl(e, "two", "hdr(a) nope");
	add_acl(e, "two", "hdr(a),upper -m str Q");
	add_acl(e, "two", "src 1.1.1.1");
	add_acl(e, "none", "path /none");
	add_acl(e, "none", "hdr(a) nope");
	for (int i = 0; i < 150; i++)
		add_acl(e, "many", i == 20 ? "hdr(a) y" : "int(1) 2");
	add_acl(e, "METH_PUT", "method GET");
}

static void
cond_values(void **state sl_unused)
{
	struct env e;

	open_all(&e);
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		for (int unless = 0; unless < 2; unless++) {
			bool got = truth(&e, rows[i].line, rows[i].cond, unless);
			if (got != (rows[i].want != unless))
				fail_msg("line %d: '%s' is %d%s", rows[i].line, rows[i].cond, got,
					unless ? " (unless)" : "");
		}
	}
	env_close(&e);
}

/* All conditions of three terms with and/or and negations, against the plain rule. */
static void
cond_truth_table(void **state sl_unused)
{
	struct env e;
	char text[128];

	open_all(&e);
	for (unsigned n = 0; n < 256; n++) {
		bool v[3], neg[3], result = false, term = true;
		size_t at = 0;
		for (unsigned i = 0; i < 3; i++) {
			v[i] = n >> i & 1;
			neg[i] = n >> (3 + i) & 1;
			bool or_before = i != 0 && (n >> (5 + i) & 1);
			if (or_before) {
				result |= term;
				term = true;
			}
			term &= v[i] != neg[i];
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s%s ",
				or_before ? "or " : "", neg[i] ? "!" : "", v[i] ? "one" : "none");
		}
		result |= term;
		if (truth(&e, __LINE__, text, false) != result)
			fail_msg("'%s' is not %d", text, result);
	}
	env_close(&e);
}

struct error_row {
	int line;
	const char *cond, *word, *text;
};

static const struct error_row errors[] = {
	{ __LINE__, "nosuch", "nosuch", "no such ACL : 'nosuch'" },
	{ __LINE__, "", "", "missing condition: an ACL or '{ … }' is expected" },
	{ __LINE__, "or ||", "", "missing condition: an ACL or '{ … }' is expected" },
	{ __LINE__, "TRUE !", "!", "missing ACL behind '!' in condition" },
	{ __LINE__, "! or TRUE", "!", "missing ACL behind '!' in condition" },
	{ __LINE__, "{ path /9", "{", "missing closing '}' in condition" },
	{ __LINE__, "{ }", "", "missing fetch method in ACL expression ''" },
	{ __LINE__, "{ ! path }", "!", "unknown fetch method '!'" },
	{ __LINE__, "{ pathh / }", "pathh", "unknown fetch method 'pathh' (did you mean 'path'?)" },
	{ __LINE__, "{ path(x) / }", "path", "fetch method 'path': expects no argument" },
	{ __LINE__, "{ int(-5) -5 }", "-5",
		"'-5' is not a valid ACL option. Please use '--' before any pattern beginning with "
		"a '-'" },
	{ __LINE__, "{ int(5) -u x }", "x", "'-u' expects a number, got 'x'" },
	{ __LINE__, "{ int(5) -M -u }", "-u", "'-u' needs a word behind it" },
	{ __LINE__, "{ int(5) -m }", "-m", "'-m' needs a word behind it" },
	{ __LINE__, "{ str(a) -m foo a }", "foo",
		"unknown matching method 'foo' when parsing ACL expression" },
	{ __LINE__, "{ str(a) -m reg a( }", "a(",
		"regex 'a(' is invalid (error=missing closing parenthesis, erroffset=2)" },
	{ __LINE__, "{ bin(00) 00 }", "bin(00)",
		"matching method must be specified first (using '-m') when using a sample fetch of "
		"this type ('bin(00)')" },
	{ __LINE__, "{ var(txn.x) 1 }", "var(txn.x)",
		"matching method must be specified first (using '-m') when using a sample fetch of "
		"this type ('var(txn.x)')" },
	{ __LINE__, "{ bool(true) -m ip 1.2.3.4 }", "bool(true)",
		"matching method 'ip' cannot be used with fetch keyword 'bool(true)'" },
	{ __LINE__, "{ int(5) abc }", "abc", "'abc' is not a number" },
	{ __LINE__, "{ int(5) 5x }", "5x", "'5x' is not a number" },
	{ __LINE__, "{ int(5) 4:3 }", "4:3", "'4:3' is not a valid number range" },
	{ __LINE__, "{ int(5) : }", ":", "':' is not a valid number range" },
	{ __LINE__, "{ int(5) gt }", "gt", "a number is missing behind 'gt'" },
	{ __LINE__, "{ int(5) gt 1:4 }", "1:4", "a range such as '1:4' goes with 'eq' only" },
	{ __LINE__, "{ src xx.yy.invalid }", "xx.yy.invalid",
		"'xx.yy.invalid' is not a valid IPv4 or IPv6 address" },
	{ __LINE__, "{ src 10.0.0.1/33 }", "10.0.0.1/33",
		"'10.0.0.1/33' is not a valid IPv4 or IPv6 address" },
	{ __LINE__, "{ src ::1/129 }", "::1/129", "'::1/129' is not a valid IPv4 or IPv6 address" },
	{ __LINE__, "{ src 1.2.3.4.5 }", "1.2.3.4.5",
		"'1.2.3.4.5' is not a valid IPv4 or IPv6 address" },
	{ __LINE__, "{ src 10.16777216 }", "10.16777216",
		"'10.16777216' is not a valid IPv4 or IPv6 address" },
	{ __LINE__, "{ str(a) -m bin 123 }", "123",
		"an even number of hex digits is expected, not '123'" },
	{ __LINE__, "{ str(a) -m bin 1z }", "1z", "'1z' is not a series of hex digits" },
	{ __LINE__, "{ str(a) -f /nonexistent/list }", "/nonexistent/list",
		"failed to open pattern file </nonexistent/list>: No such file or directory" },
	{ __LINE__, "{ status 200 }", "status",
		"fetch method 'status' cannot be used in http-request rules: there is no response "
		"yet" },
	{ __LINE__, "resp", "status",
		"fetch method 'status' cannot be used in http-request rules: there is no response "
		"yet" },
	{ __LINE__, "{ str(a)x a }", "str(a)x",
		"expected ',' or a blank behind 'str(a)', found 'x'" },
};

static void
cond_errors(void **state sl_unused)
{
	struct env e;

	open_all(&e);
	add_acl(&e, "resp", "status 200");
	for (size_t i = 0; i < SL_ARRAY_SIZE(errors); i++) {
		const struct error_row *r = &errors[i];
		if (env_cond(&e, r->cond, false) != NULL)
			fail_msg("line %d: '%s' was accepted", r->line, r->cond);
		if (strcmp(e.error, r->text) != 0 || strcmp(e.word, r->word) != 0)
			fail_msg("line %d: word '%s' text '%s'", r->line, e.word, e.error);
		assert_int_equal(e.nerrors, 1);
	}
	env_close(&e);
}

static void
acl_names(void **state sl_unused)
{
	static const struct {
		const char *name, *text;
	} bad[] = {
		{ "", "missing ACL name" },
		{ "or", "'or' cannot name an ACL: it is an operator" },
		{ "a/b", "character '/' is not permitted in ACL name 'a/b'" },
	};
	struct sl_str word[2] = { SL_STR("path"), SL_STR("/") };
	struct env e;

	env_open(&e);
	struct acl_scope *s = acl_scope_new(&e.mem);
	for (size_t i = 0; i < SL_ARRAY_SIZE(bad); i++) {
		e.nerrors = 0;
		assert_int_equal(acl_add(s, &e.comp, sl_str_c(bad[i].name), word, 2), -EINVAL);
		assert_string_equal(e.error, bad[i].text);
	}
	assert_int_equal(acl_add(s, &e.comp, SL_STR("Ab-9_.:"), word, 2), 0);
	env_close(&e);
}

/* Lines of a file; flags before it apply, later ones do not. */
static void
pattern_files(void **state sl_unused)
{
	static const struct cond_row with[] = {
		{ __LINE__, "{ str(alpha) -f %s }", true },
		{ __LINE__, "{ str(Alpha) -f %s }", false },
		{ __LINE__, "{ str(Alpha) -i -f %s }", true },
		{ __LINE__, "{ str(Alpha) -f %s -i x }", false },
		{ __LINE__, "{ str(X) -f %s -i x }", true },
		{ __LINE__, "{ str(be ta) -f %s }", false },
		{ __LINE__, "{ str(#sharp) -f %s }", true },
		{ __LINE__, "{ str(comment) -f %s }", false },
		{ __LINE__, "{ str(last) -f %s }", true },
		{ __LINE__, "{ str(blast) -m end -f %s }", true },
		{ __LINE__, "{ str(word) -f %s word }", true },
		{ __LINE__, "{ str() -f %s }", false },
	};
	char name[] = "/tmp/expr_test_XXXXXX", text[128];
	static const char lines[] = "alpha\n#comment\n\n \t #sharp\r\n  beta\nlast";
	struct env e;
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, lines, sizeof(lines) - 1), sizeof(lines) - 1);
	close(fd);
	env_open(&e);
	for (size_t i = 0; i < SL_ARRAY_SIZE(with); i++) {
		/* "be ta" is two words */
		if (strstr(with[i].cond, "be ta") != NULL)
			continue;
		const char *at = strstr(with[i].cond, "%s");
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - with[i].cond), with[i].cond,
			name, at + 2);
		if (truth(&e, with[i].line, text, false) != with[i].want)
			fail_msg("line %d: '%s'", with[i].line, text);
	}
	unlink(name);
	env_close(&e);
}

/* A long list of networks finds what walking it finds. */
static void
many_nets(void **state sl_unused)
{
	static struct sl_str word[400];
	static char text[400][64];
	static struct ip_net net[400];
	struct env e;
	uint32_t n = 0, hits = 0;

	open_all(&e);
	word[n++] = SL_STR("{");
	word[n++] = SL_STR("var(txn.ip)");
	word[n++] = SL_STR("-m");
	word[n++] = SL_STR("ip");
	uint32_t first = n;
	for (; n < 390; n++) {
		uint32_t bits = 8 + rand_below(&e.rand, 25);
		uint32_t x = rand_below(&e.rand, 64), y = rand_below(&e.rand, 256);
		if (n % 3 == 0)
			snprintf(text[n], sizeof(text[n]), "2001:%x:%x::/%u", x, y, 24 + bits);
		else
			snprintf(text[n], sizeof(text[n]), "10.%u.%u.0/%u", x, y,
				bits + (bits < 18) * 8);
		word[n] = sl_str_c(text[n]);
		assert_int_equal(addr_parse_net(word[n], &net[n]), 0);
	}
	uint32_t last = n;
	word[n++] = SL_STR("}");
	struct prog_builder *b = prog_begin(&e.comp);
	assert_int_equal(prog_add_cond(b, word, n, false), 0);
	const struct prog *p = prog_end(b);
	assert_non_null(p);
	for (uint32_t i = 0; i < 4000; i++) {
		struct sample s = { .type = T_ADDR };
		struct prog_cursor c;
		bool want = false;
		char ip[64];
		if (i % 3 == 0)
			snprintf(ip, sizeof(ip), "2001:%x:%x::%x", rand_below(&e.rand, 64),
				rand_below(&e.rand, 256), i);
		else
			snprintf(ip, sizeof(ip), "10.%u.%u.%u", rand_below(&e.rand, 64),
				rand_below(&e.rand, 256), i % 256);
		assert_int_equal(addr_parse(sl_str_c(ip), &s.ip), 0);
		for (uint32_t k = first; k < last; k++)
			want |= addr_in_net(&s.ip, &net[k]);
		arena_reset(&e.txn);
		e.vars = (struct vars){ 0 };
		assert_int_equal(var_set(&e.vars, &e.txn, VAR_TXN, SL_STR("ip"), &s), 0);
		assert_int_equal(env_run(&e, p, &c), PROG_END);
		if (c.flag != want)
			fail_msg("%s: %d", ip, c.flag);
		hits += want;
	}
	assert_in_range(hits, 400, 3600);
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cond_values),
		cmocka_unit_test(cond_truth_table),
		cmocka_unit_test(cond_errors),
		cmocka_unit_test(acl_names),
		cmocka_unit_test(pattern_files),
		cmocka_unit_test(many_nets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
