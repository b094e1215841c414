// SPDX-License-Identifier: BSD-3-Clause
/* Addresses: what is accepted, the canonical text of RFC 5952, networks; libc as a second opinion. */
#include "dataplane/base/addr.h"
#include "dataplane/base/rand.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *
text(const struct ip_addr *a, char mem[64])
{
	struct sl_buf b;

	sl_buf_init(&b, mem, 64);
	addr_format(&b, a);
	return mem;
}

static void
parse_and_format(void **state sl_unused)
{
	static const struct {
		int line;
		const char *in;
		const char *out; // NULL: refused
	} rows[] = {
		{ __LINE__, "0.0.0.0", "0.0.0.0" },
		{ __LINE__, "10.1.0.255", "10.1.0.255" },
		{ __LINE__, "255.255.255.255", "255.255.255.255" },
		{ __LINE__, "256.0.0.1", NULL },
		{ __LINE__, "1.2.3", NULL },
		{ __LINE__, "1.2.3.", NULL },
		{ __LINE__, "1.2.3.4.", NULL },
		{ __LINE__, "1.2.3.4.5", NULL },
		{ __LINE__, ".1.2.3", NULL },
		{ __LINE__, "1..2.3", NULL },
		{ __LINE__, "01.2.3.4", NULL },
		{ __LINE__, "1.2.3.0004", NULL },
		{ __LINE__, "1.2.3.4 ", NULL },
		{ __LINE__, " 1.2.3.4", NULL },
		{ __LINE__, "1.2.3.-4", NULL },
		{ __LINE__, "1.2.3.a", NULL },
		{ __LINE__, "", NULL },
		{ __LINE__, "host", NULL },
		{ __LINE__, "::", "::" },
		{ __LINE__, "::1", "::1" },
		{ __LINE__, "1::", "1::" },
		{ __LINE__, "2001:db8::1", "2001:db8::1" },
		// RFC 5952 4.1: no leading zeros
		{ __LINE__, "2001:0db8::0001", "2001:db8::1" },
		// 4.2.1: shorten as much as possible
		{ __LINE__, "2001:db8:0:0:0:0:2:1", "2001:db8::2:1" },
		{ __LINE__, "2001:db8::0:1", "2001:db8::1" },
		// 4.2.2: one group of zeros is not shortened
		{ __LINE__, "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ __LINE__, "2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		// 4.2.3: the longest run, the first of equals
		{ __LINE__, "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
		{ __LINE__, "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
		// 4.3: lower case
		{ __LINE__, "2001:DB8::AbCd", "2001:db8::abcd" },
		// 5: dotted quads for the mapped prefix only
		{ __LINE__, "::ffff:192.0.2.1", "::ffff:192.0.2.1" },
		{ __LINE__, "::ffff:c000:201", "::ffff:192.0.2.1" },
		{ __LINE__, "64:ff9b::192.0.2.33", "64:ff9b::c000:221" },
		{ __LINE__, "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304" },
		{ __LINE__, "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
		{ __LINE__, "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
		{ __LINE__, "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8" },
		{ __LINE__, "fe80::1", "fe80::1" },
		{ __LINE__, "1:2:3:4:5:6:7", NULL },
		{ __LINE__, "1:2:3:4:5:6:7:8:9", NULL },
		{ __LINE__, "1:2:3:4:5:6:7:8::", NULL },
		{ __LINE__, "::1:2:3:4:5:6:7:8", NULL },
		{ __LINE__, "1:2:3:4::5:6:7:8", NULL },
		{ __LINE__, "1::2::3", NULL },
		{ __LINE__, ":::", NULL },
		{ __LINE__, ":", NULL },
		{ __LINE__, ":1", NULL },
		{ __LINE__, "1:", NULL },
		{ __LINE__, "::1:", NULL },
		{ __LINE__, ":1::", NULL },
		{ __LINE__, "12345::", NULL },
		{ __LINE__, "g::", NULL },
		{ __LINE__, "::1.2.3", NULL },
		{ __LINE__, "::1.2.3.4:5", NULL },
		{ __LINE__, "1.2.3.4::", NULL },
		{ __LINE__, "1:2:3:4:5:6:7:1.2.3.4", NULL },
		{ __LINE__, "fe80::1%eth0", NULL },
		{ __LINE__, "[::1]", NULL },
		{ __LINE__, "::1 ", NULL },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct ip_addr a = { .family = 99 };
		int rc = addr_parse(sl_str_c(rows[i].in), &a);
		char mem[64];

		if (rc != (rows[i].out == NULL ? -EINVAL : 0))
			fail_msg("line %d: rc %d", rows[i].line, rc);
		if (rc < 0)
			assert_int_equal(a.family, 99);
		else if (strcmp(text(&a, mem), rows[i].out) != 0)
			fail_msg("line %d: %s", rows[i].line, mem);
	}
	assert_int_equal(addr_parse(SL_STR("1.2.3.4\0"), &(struct ip_addr){ 0 }), -EINVAL);
	assert_int_equal(addr_parse(SL_STR_NULL, &(struct ip_addr){ 0 }), -EINVAL);
}

/* Random addresses with many zeros survive a round trip and mean the same to libc. */
static void
round_trip(void **state sl_unused)
{
	struct sl_rand r;

	rand_seed(&r, 11);
	for (int i = 0; i < 20000; i++) {
		struct ip_addr a = { .family = i % 4 == 0 ? ADDR_V4 : ADDR_V6 }, back;
		uint8_t libc[16];
		char mem[64];

		for (int k = 0; k < (a.family == ADDR_V4 ? 4 : 16); k += 2) {
			uint64_t n = rand_u64(&r);
			a.b[k] = (n & 1) != 0 ? 0 : (uint8_t)(n >> 8);
			a.b[k + 1] = (n & 3) != 0 ? 0 : (uint8_t)(n >> 16);
		}
		assert_int_equal(addr_parse(sl_str_c(text(&a, mem)), &back), 0);
		assert_true(addr_eq(&a, &back));
		assert_int_equal(inet_pton(a.family == ADDR_V4 ? AF_INET : AF_INET6, mem, libc), 1);
		assert_memory_equal(libc, a.b, a.family == ADDR_V4 ? 4 : 16);
	}
}

static void
networks(void **state sl_unused)
{
	static const struct {
		int line;
		const char *net;
		int prefix; // -1: refused
		const char *in, *out;
	} rows[] = {
		{ __LINE__, "10.1.0.1/24", 24, "10.1.0.200", "10.1.1.0" },
		{ __LINE__, "10.1.0.1", 32, "10.1.0.1", "10.1.0.2" },
		{ __LINE__, "0.0.0.0/0", 0, "255.1.2.3", "::" },
		{ __LINE__, "172.16.0.0/12", 12, "172.31.255.255", "172.32.0.0" },
		{ __LINE__, "192.0.2.128/25", 25, "192.0.2.129", "192.0.2.127" },
		{ __LINE__, "192.0.2.2/31", 31, "192.0.2.3", "192.0.2.4" },
		{ __LINE__, "2001:db8::/32", 32, "2001:db8:ffff::", "2001:db9::" },
		{ __LINE__, "2001:db8::4/126", 126, "2001:db8::7", "2001:db8::8" },
		{ __LINE__, "::1", 128, "::1", "::2" },
		{ __LINE__, "::/0", 0, "ff::", "0.0.0.0" },
		{ __LINE__, "10.0.0.0/33", -1, NULL, NULL },
		{ __LINE__, "::/129", -1, NULL, NULL },
		{ __LINE__, "10.0.0.0/", -1, NULL, NULL },
		{ __LINE__, "10.0.0.0/-1", -1, NULL, NULL },
		{ __LINE__, "10.0.0.0/8/8", -1, NULL, NULL },
		{ __LINE__, "/8", -1, NULL, NULL },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct ip_net n;
		struct ip_addr a;
		int rc = addr_parse_net(sl_str_c(rows[i].net), &n);

		if (rc != (rows[i].prefix < 0 ? -EINVAL : 0))
			fail_msg("line %d: rc %d", rows[i].line, rc);
		if (rc < 0)
			continue;
		assert_int_equal(n.prefix, rows[i].prefix);
		assert_int_equal(addr_parse(sl_str_c(rows[i].in), &a), 0);
		if (!addr_in_net(&a, &n))
			fail_msg("line %d: in", rows[i].line);
		assert_int_equal(addr_parse(sl_str_c(rows[i].out), &a), 0);
		if (addr_in_net(&a, &n))
			fail_msg("line %d: out", rows[i].line);
	}
}

static void
kinds(void **state sl_unused)
{
	static const struct {
		int line;
		const char *in;
		bool any, multi, local;
	} rows[] = {
		{ __LINE__, "0.0.0.0", 1, 0, 0 },
		{ __LINE__, "0.0.0.1", 0, 0, 0 },
		{ __LINE__, "::", 1, 0, 0 },
		{ __LINE__, "::1", 0, 0, 0 },
		{ __LINE__, "224.0.0.1", 0, 1, 0 },
		{ __LINE__, "239.255.255.255", 0, 1, 0 },
		{ __LINE__, "240.0.0.1", 0, 0, 0 },
		{ __LINE__, "255.255.255.255", 0, 1, 0 },
		{ __LINE__, "ff02::1", 0, 1, 0 },
		{ __LINE__, "169.254.1.1", 0, 0, 1 },
		{ __LINE__, "169.253.1.1", 0, 0, 0 },
		{ __LINE__, "fe80::1", 0, 0, 1 },
		{ __LINE__, "febf::1", 0, 0, 1 },
		{ __LINE__, "fec0::1", 0, 0, 0 },
	};
	struct ip_port ap = { .port = 8080 };
	struct ip_addr none = { 0 };
	char mem[64];
	struct sl_buf b;

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct ip_addr a;
		assert_int_equal(addr_parse(sl_str_c(rows[i].in), &a), 0);
		if (addr_is_any(&a) != rows[i].any || addr_is_multicast(&a) != rows[i].multi ||
			addr_is_linklocal(&a) != rows[i].local)
			fail_msg("line %d", rows[i].line);
	}
	sl_buf_init(&b, mem, sizeof(mem));
	assert_int_equal(addr_parse(SL_STR("2001:db8::1"), &ap.ip), 0);
	addr_format_port(&b, &ap);
	assert_string_equal(mem, "[2001:db8::1]:8080");
	sl_buf_reset(&b);
	assert_int_equal(addr_parse(SL_STR("10.0.0.1"), &ap.ip), 0);
	addr_format_port(&b, &ap);
	assert_string_equal(mem, "10.0.0.1:8080");
	assert_string_equal(text(&none, mem), "-");
	assert_false(addr_eq(&none, &ap.ip));
	assert_false(addr_in_net(&none, &(struct ip_net){ 0 }));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_and_format),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(networks),
		cmocka_unit_test(kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
