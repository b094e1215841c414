// SPDX-License-Identifier: BSD-3-Clause
/*
 * Options: every row once whole, placed against the end of its buffer; writers against the parser.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/tcp/tcp_priv.h"

struct row {
	int line;
	bool syn;
	const char *bytes;
	uint32_t n;
	int rc;
	uint8_t opts;
	uint16_t mss;
	uint8_t wscale, nsack;
};

#define B(s) s, sizeof(s) - 1

static const struct row rows[] = {
	{ __LINE__, true, B(""), 0, 0, 0, 0, 0 },
	{ __LINE__, true, B("\2\4\5\xb4"), 0, TCP_OPT_MSS, 1460, 0, 0 },
	{ __LINE__, false, B("\2\4\5\xb4"), 0, 0, 0, 0, 0 }, // only in SYNs
	{ __LINE__, true, B("\2\3\5"), 0, 0, 0, 0, 0 },      // another length: not this option
	{ __LINE__, true, B("\1\3\3\7"), 0, TCP_OPT_WSCALE, 0, 7, 0 },
	{ __LINE__, true, B("\1\3\3\77"), 0, TCP_OPT_WSCALE, 0, 14, 0 }, // RFC 7323 2.3
	{ __LINE__, true, B("\4\2\1\1"), 0, TCP_OPT_SACK_OK, 0, 0, 0 },
	{ __LINE__, true, B("\376\4\1\2\2\4\5\xb4"), 0, TCP_OPT_MSS, 1460, 0, 0 }, // unknown
	{ __LINE__, true, B("\42\6abcd\2\4\5\xb4"), 0, TCP_OPT_MSS, 1460, 0, 0 }, // Fast Open's cookie
	{ __LINE__, false, B("\34\4\200\1"), 0, 0, 0, 0, 0 },                   // a user timeout
	{ __LINE__, true, B("\0\4\5\xb4\2\0"), 0, 0, 0, 0, 0 },                    // behind the end
	{ __LINE__, true, B("\2"), -EBADMSG, 0, 0, 0, 0 },
	{ __LINE__, true, B("\2\0"), -EBADMSG, 0, 0, 0, 0 },
	{ __LINE__, true, B("\2\1\1\1"), -EBADMSG, 0, 0, 0, 0 },
	{ __LINE__, true, B("\2\5\5\xb4"), -EBADMSG, 0, 0, 0, 0 },
	{ __LINE__, false, B("\1\1\10\12\0\0\0\1\0\0\0\2"), 0, TCP_OPT_TS, 0, 0, 0 },
	{ __LINE__, false, B("\10\12\0\0\0\1\0\0\0\2\1\1"), 0, TCP_OPT_TS, 0, 0, 0 },
	{ __LINE__, false, B("\1\1\5\12\0\0\0\1\0\0\0\2"), 0, 0, 0, 0, 1 },
	{ __LINE__, false, B("\5\13\0\0\0\1\0\0\0\2\0"), 0, 0, 0, 0, 0 }, // not of 8
	{ __LINE__, false, B("\5\2\1\1"), 0, 0, 0, 0, 0 },
};

static void
test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		uint8_t *p = malloc(r->n > 0 ? r->n : 1); // the sanitizer guards its end
		struct tcp_seg s = { 0 };

		memcpy(p, r->bytes, r->n);
		int rc = tcp_opt_parse(r->n > 0 ? p : p + 1, r->n, r->syn, &s);
		if (rc != r->rc ||
			(rc == 0 &&
				(s.opts != r->opts || s.mss != r->mss || s.wscale != r->wscale ||
					s.nsack != r->nsack)))
			fail_msg("line %d: rc %d opts %x mss %u wscale %u nsack %u", r->line, rc,
				s.opts, s.mss, s.wscale, s.nsack);
		free(p);
	}
}

static void
test_write(void **state)
{
	uint8_t p[40];
	struct tcp_seg s;
	struct tcp_sack b[4] = { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 } };

	(void)state;
	for (uint8_t opts = 0; opts < 16; opts++) {
		struct tcp_bare o = {
			.opts = opts, .mss = 1428, .wscale = 5, .tsval = 7, .tsecr = 9
		};
		uint32_t n = tcp_opt_syn(p, &o);
		memset(&s, 0, sizeof(s));
		assert_int_equal(n % 4, 0);
		assert_true(n <= 40);
		assert_int_equal(tcp_opt_parse(p, n, true, &s), 0);
		assert_int_equal(s.opts, opts | TCP_OPT_MSS);
		assert_int_equal(s.mss, 1428);
		assert_int_equal(s.wscale, opts & TCP_OPT_WSCALE ? 5 : 0);
		if (opts & TCP_OPT_TS)
			assert_true(s.tsval == 7 && s.tsecr == 9);
	}
	for (uint32_t k = 1; k <= 4; k++) {
		uint32_t n = k < 4 ? tcp_opt_ts(p, 1, 2) : 0;
		n += tcp_opt_sack(p + n, b, k);
		assert_true(n <= 40 && n % 4 == 0);
		assert_int_equal(tcp_opt_parse(p, n, false, &s), 0);
		assert_int_equal(s.nsack, k);
		assert_memory_equal(s.sack, b, k * sizeof(b[0]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
