// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lines of log records, against what HAProxy 2.6.12 printed for the same events.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "control/log/log_priv.h"

static const struct server servers[] = {
	{ .name = { "s1", 2 }, .slot = 0 },
	{ .name = { "t3", 2 }, .slot = 1 },
};
static const struct proxy fe = { .name = { "fe", 2 }, .mode = PX_HTTP, .options = PX_O_HTTPLOG };
static const struct proxy be = {
	.name = { "be", 2 }, .mode = PX_HTTP, .servers = servers, .nservers = 2
};
static const struct proxy ft = { .name = { "ft", 2 }, .mode = PX_TCP, .options = PX_O_TCPLOG };
static const struct proxy fp = { .name = { "fp", 2 }, .mode = PX_HTTP };
static const struct proxy fh = { .name = { "fh", 2 }, .mode = PX_TCP, .options = PX_O_HTTPLOG };
static const struct proxy *const proxies[] = { &fe, &be, &ft, &fp, &fh };
static const struct model model = { .generation = 7, .proxies = proxies, .nproxies = 5 };

#define NONE UINT16_MAX
#define LO(p)                                                                   \
	{                                                                       \
		.ip = { .b = { 127, 0, 0, 1 }, .family = ADDR_V4 }, .port = (p) \
	}
/* 20 Nov 2026 12:57:49.527 UTC */
#define AT 1795179469527000ull

struct row {
	int line;
	struct logrec rec;
	const char *text, *want;
};

#define REC(...)                                                                      \
	{                                                                             \
		.accept_wall_us = AT, .src = LO(60200), .dst = LO(18082), __VA_ARGS__ \
	}

/* What rows do not name. */
static void
complete(struct logrec *r)
{
	if (r->generation == 0)
		r->generation = 7;
	if (r->actconn == 0)
		r->actconn = r->feconn = 1;
	if (r->term[0] == '\0')
		memcpy(r->term, "----", 4);
}

static const struct row rows[] = {
	{ __LINE__,
		REC(.fe = 0, .be = 1, .srv = 0, .mode = PX_HTTP, .status = 200, .bytes_out = 120),
		"GET /x HTTP/1.1",
		"127.0.0.1:60200 [20/Nov/2026:12:57:49.527] fe be/s1 0/0/0/0/0 200 120 - - ---- "
		"1/1/0/0/0 0/0 \"GET /x HTTP/1.1\"" },
	{ __LINE__,
		REC(.fe = 0, .be = 0, .srv = NONE, .mode = PX_HTTP, .status = 403, .bytes_out = 192,
			.tw = -1, .tc = -1, .tresp = -1, .term = "PR--"),
		"GET /deny HTTP/1.1",
		"127.0.0.1:60200 [20/Nov/2026:12:57:49.527] fe fe/<NOSRV> 0/-1/-1/-1/0 403 192 - - PR-- "
		"1/1/0/0/0 0/0 \"GET /deny HTTP/1.1\"" },
	{ __LINE__,
		REC(.fe = 0, .be = NONE, .srv = NONE, .mode = PX_HTTP, .status = 400, .tr = -1,
			.tw = -1, .tc = -1, .tresp = -1, .term = "PR--"),
		"",
		"127.0.0.1:60200 [20/Nov/2026:12:57:49.527] fe fe/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- "
		"1/1/0/0/0 0/0 \"<BADREQ>\"" },
	{ __LINE__,
		REC(.fe = 0, .be = 1, .srv = 0, .mode = PX_HTTP, .tr = 1, .tw = 2, .tc = 3,
			.tresp = 4, .ta = 10, .term = "SC--", .retries = 2, .redispatched = true,
			.actconn = 5, .feconn = 4, .beconn = 3, .srvconn = 2, .srv_queue = 6,
			.be_queue = 7),
		"GET /a\x7f\"\x80? HTTP/1.0",
		"127.0.0.1:60200 [20/Nov/2026:12:57:49.527] fe be/s1 1/2/3/4/10 -1 0 - - SC-- "
		"5/4/3/2/+2 6/7 \"GET /a#7F#22#80? HTTP/1.0\"" },
	{ __LINE__,
		REC(.fe = 2, .be = 1, .srv = 1, .mode = PX_TCP, .tw = 1, .tc = 0, .tt = 2,
			.bytes_out = 156),
		"",
		"127.0.0.1:60200 [20/Nov/2026:12:57:49.527] ft be/t3 1/0/2 156 -- 1/1/0/0/0 0/0" },
	// httplog in a tcp frontend falls back to tcplog, as in HAProxy
	{ __LINE__,
		REC(.fe = 4, .be = 4, .srv = NONE, .mode = PX_TCP, .tw = -1, .tc = -1,
			.term = "SC--"),
		"",
		"127.0.0.1:60200 [20/Nov/2026:12:57:49.527] fh fh/<NOSRV> -1/-1/0 0 SC 1/1/0/0/0 0/0" },
	{ __LINE__, REC(.fe = 3, .be = 1, .srv = 0, .mode = PX_HTTP, .status = 200),
		"GET / HTTP/1.1", "Connect from 127.0.0.1:60200 to 127.0.0.1:18082 (fp/HTTP)" },
	// a record of another generation: nothing of it can be named
	{ __LINE__, REC(.fe = 3, .mode = PX_TCP, .generation = 6), "",
		"Connect from 127.0.0.1:60200 to 127.0.0.1:18082 (<unknown>/TCP)" },
};

static void
test_rows(void **state sl_unused)
{
	char line[LOG_LINE];

	setenv("TZ", "UTC", 1);
	tzset();
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct logrec r = rows[i].rec;
		uint32_t n;

		complete(&r);
		r.text_len = (uint16_t)strlen(rows[i].text);
		memcpy(r.text, rows[i].text, r.text_len);
		n = log_format(&model, &r, line, sizeof(line));
		if (strcmp(line, rows[i].want) != 0)
			fail_msg("row of line %d:\n got %s\nwant %s", rows[i].line, line,
				rows[i].want);
		assert_int_equal(n, strlen(rows[i].want));
	}
}

static void
test_long_and_v6(void **state sl_unused)
{
	struct logrec r = REC(.fe = 0, .be = 1, .srv = 0, .mode = PX_HTTP, .status = 200);
	char line[LOG_LINE], small[100];

	complete(&r);
	memset(&r.src, 0, sizeof(r.src));
	r.src.ip.family = ADDR_V6;
	r.src.ip.b[15] = 1;
	r.src.port = 80;
	r.text_len = LOGREC_TEXT;
	memset(r.text, 'a', LOGREC_TEXT);
	assert_in_range(log_format(&model, &r, line, sizeof(line)), 1024, sizeof(line) - 1);
	assert_memory_equal(line, "::1:80 [", 8);
	assert_int_equal(log_format(&model, &r, small, sizeof(small)), sizeof(small) - 1);
	assert_int_equal(strlen(small), sizeof(small) - 1);
}

/* Heads as HAProxy prints them, facility local0. */
static void
test_heads(void **state sl_unused)
{
	static const struct {
		int line;
		enum log_form form;
		enum sl_level level;
		const char *want;
	} h[] = {
		{ __LINE__, LOG_RFC3164, SL_INFO, "<134>Nov 20 12:57:49 localhost sluice[9]: " },
		{ __LINE__, LOG_RFC5424, SL_ALERT,
			"<129>1 2026-11-20T12:57:49.527000+00:00 - sluice 9 - - " },
		{ __LINE__, LOG_PRIORITY, SL_INFO, "<134>" },
		{ __LINE__, LOG_SHORT, SL_ALERT, "<1>" },
		{ __LINE__, LOG_TIMED, SL_INFO, "<6>2026-11-20T12:57:49.527000+00:00 " },
		{ __LINE__, LOG_ISO, SL_INFO, "2026-11-20T12:57:49.527000+00:00 " },
		{ __LINE__, LOG_RAW, SL_INFO, "" },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(h); i++) {
		struct log_target t = { .form = h[i].form, .facility = 16 };
		char mem[128];
		struct sl_buf b;

		sl_buf_init(&b, mem, sizeof(mem));
		log_head(&b, &t, h[i].level, AT, 9);
		if (strcmp(mem, h[i].want) != 0)
			fail_msg("line %d: got '%s', want '%s'", h[i].line, mem, h[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long_and_v6),
		cmocka_unit_test(test_heads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
