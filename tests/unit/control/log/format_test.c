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
static struct proxy fe = { .name = { "fe", 2 }, .mode = PX_HTTP };
static const struct proxy be = {
	.name = { "be", 2 }, .mode = PX_HTTP, .servers = servers, .nservers = 2
};
static struct proxy ft = { .name = { "ft", 2 }, .mode = PX_TCP };
static const struct proxy fp = { .name = { "fp", 2 }, .mode = PX_HTTP };
static struct proxy fv = { .name = { "fv", 2 }, .mode = PX_HTTP, .nreq_cap = 2, .nres_cap = 1 };
static const struct proxy *const proxies[] = { &fe, &be, &ft, &fp, &fv };
static const struct model model = { .generation = 7, .proxies = proxies, .nproxies = 5 };
static const struct logfmt_env env = {
	.m = &model, .hostname = { "host", 4 }, .pid = 0x78b6, .log_count = 9, .date = log_date
};

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
		.accept_wall_us = AT, .start_wall_us = AT, .src = LO(60200), .dst = LO(18082), __VA_ARGS__ \
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

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct logrec r = rows[i].rec;
		uint32_t n;

		complete(&r);
		r.text_len = (uint16_t)strlen(rows[i].text);
		memcpy(r.text, rows[i].text, r.text_len);
		n = log_format(&env, &r, line, sizeof(line));
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
	assert_in_range(log_format(&env, &r, line, sizeof(line)), 1024, sizeof(line) - 1);
	assert_memory_equal(line, "::1:80 [", 8);
	assert_int_equal(log_format(&env, &r, small, sizeof(small)), sizeof(small) - 1);
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
		log_head(&b, &t,
			&(struct log_head_args){
				.level = h[i].level, .us = AT, .pid = 9, .tag = SL_STR("sluice") });
		if (strcmp(mem, h[i].want) != 0)
			fail_msg("line %d: got '%s', want '%s'", h[i].line, mem, h[i].want);
	}
}

/* ---- formats ---- */

static char said[256];

static void
on_error(void *ctx sl_unused, struct sl_str word sl_unused, const char *text)
{
	snprintf(said, sizeof(said), "%s", text);
}

static const struct expr_diag diag = { .error = on_error };
static struct arena mem;

static const struct log_format *
compile(struct sl_str text, enum px_mode mode, bool on_worker)
{
	struct expr_comp comp = { .mem = &mem, .diag = &diag, .point = EVAL_LOG };

	said[0] = '\0';
	return logfmt_compile(&comp, text, mode, LOGREC_CAPTURES + 3, on_worker);
}

/* One after another behind the request line: unique-id, two captures, one of the response, rest. */
static void
put_values(struct logrec *r, const char *const *v, uint32_t n)
{
	char *p = r->text + r->text_len;

	for (uint32_t i = 0; i < n; i++) {
		uint16_t len = v[i] != NULL ? (uint16_t)strlen(v[i]) : LOGREC_NONE;

		memcpy(p, &len, sizeof(len));
		p += sizeof(len);
		if (v[i] != NULL)
			memcpy(p, v[i], len);
		p += v[i] != NULL ? len : 0;
	}
	r->values_len = (uint16_t)(p - r->text - r->text_len);
}

#define GET "GET http://h/a%20b?x=1&\"y\" HTTP/1.1"
#define BAD ""

/* In the forms of HAProxy 2.6.12; tests/compat/log_lines.py compares the lines of both. */
static const struct {
	int line;
	const char *format, *request, *want;
} formats[] = {
	{ __LINE__, "  a   b%hrl  %CC c  %ST ", GET, "a bx#22\\ - - c 200 " },
	{ __LINE__, "%HM %HP [%HQ] %HU %HV %HPO", GET,
		"GET http://h/a%20b [?x=1&#22y#22] http://h/a%20b?x=1&#22y#22 HTTP/1.1 /a%20b" },
	{ __LINE__, "%HM [%HQ] %HV %HPO", "POST /d HTTP/1.0", "POST [] HTTP/1.0 /d" },
	{ __LINE__, "%{+Q}o %HM [%HQ] %r", BAD, "\"<BADREQ>\" [\"<BADREQ>\"] \"<BADREQ>\"" },
	{ __LINE__, "%{+Q}o %b %s %{-Q}ft %ID %CC %ts %tsc %ST %B", GET,
		"\"be\" \"s1\" fv \"u-1\" \"\" SD SD-- 200 120" },
	{ __LINE__, "%{+X}o %ci %cp %fi %fp %si %bi %Ts %rt %pid %ms", GET,
		"7F000001 EB28 7F000001 46A2 - - 6B0043CD 000C 78B6 20F" },
	{ __LINE__, "%hr %hs|%hrl|%hsl|%{+Q}hr|%{+Q}hrl", GET,
		"{x#22\\|} {r#7C}|x#22\\ -|r#7C|\"{x#22\\|}\"|\"x#22\\\" \"\"" },
	{ __LINE__, "%{+E,+Q}hr %{+E}[fe_name] %{+Q,+E}[fe_name] %[fe_name] %{-M}[be_name]|%[be_name]",
		GET, "\"{x#22\\\\|}\" v\\\"\\]\\\\ \"v\\\"\\]\\\\\" v\"]\\ |-" },
	{ __LINE__, "%T|%Tl|%t|%tr|%trg|%trl|%Ts|%ms|%H|%lc", GET,
		"20/Nov/2026:12:57:49 +0000|20/Nov/2026:12:57:49 +0000|20/Nov/2026:12:57:49.527|"
		"20/Nov/2026:12:57:49.527|20/Nov/2026:12:57:49 +0000|20/Nov/2026:12:57:49 +0000|"
		"1795179469|527|host|9" },
	{ __LINE__, "%Th %Ti %Tq %TR %Tw %Tc %Tr %Td %Ta %Tt %Tu %U %B %rt %rc", GET,
		"0 20 21 1 2 3 4 5 15 35 15 64 120 12 +2" },
	{ __LINE__, "%ac/%fc/%bc/%sc/%rc %sq/%bq 100%% %f", GET, "1/2/3/4/+2 5/6 100% fv" },
};

static void
test_formats(void **state sl_unused)
{
	static const char *const values[] = { "u-1", "x\"\\", NULL, "r|", "v\"]\\", "v\"]\\",
		"v\"]\\" };
	char line[LOG_LINE];

	for (size_t i = 0; i < SL_ARRAY_SIZE(formats); i++) {
		struct logrec r = REC(.generation = 7, .fe = 4, .be = 1, .srv = 0, .mode = PX_HTTP,
			.status = 200, .bytes_out = 120, .bytes_in = 64, .term = "SD--", .actconn = 1,
			.feconn = 2, .beconn = 3, .srvconn = 4, .srv_queue = 5, .be_queue = 6,
			.retries = 2, .redispatched = true, .unique = 12, .tr = 1, .tw = 2, .tc = 3,
			.tresp = 4, .td = 5, .ta = 15, .ti = 20, .tt = 35);

		r.text_len = (uint16_t)strlen(formats[i].request);
		memcpy(r.text, formats[i].request, r.text_len);
		r.no_captures = r.text_len == 0;
		put_values(&r, values, SL_ARRAY_SIZE(values));
		fv.log_fmt = compile(sl_str_c(formats[i].format), PX_HTTP, false);
		if (fv.log_fmt == NULL)
			fail_msg("line %d: %s", formats[i].line, said);
		log_format(&env, &r, line, sizeof(line));
		if (strcmp(line, formats[i].want) != 0)
			fail_msg("line %d:\n got %s\nwant %s", formats[i].line, line,
				formats[i].want);
	}
}

/* "+" where the end is not known yet. */
static void
test_asap(void **state sl_unused)
{
	struct logrec r = REC(.generation = 7, .fe = 4, .mode = PX_HTTP, .ta = 3, .tt = 4,
		.bytes_out = 5, .asap = true);
	char line[LOG_LINE];

	fv.log_fmt = compile(SL_STR("%Ta %Tt %B %U"), PX_HTTP, false);
	log_format(&env, &r, line, sizeof(line));
	assert_string_equal(line, "+3 +4 +5 0");
}

static void
test_refused(void **state sl_unused)
{
	static const struct {
		int line;
		const char *format;
		enum px_mode mode;
		bool on_worker;
		const char *says;
	} bad[] = {
		{ __LINE__, "%zz", PX_HTTP, false, "no such format variable 'zz'" },
		{ __LINE__, "%ci:%c", PX_HTTP, false, "no such format variable 'c'" },
		{ __LINE__, "a %", PX_HTTP, false, "truncated line after '%'" },
		{ __LINE__, "%{+Q}", PX_HTTP, false, "truncated line after '%'" },
		{ __LINE__, "%{+Z}o", PX_HTTP, false, "unknown flag at the end of '{+Z'" },
		{ __LINE__, "%{+Q ci", PX_HTTP, false, "unknown flag" },
		{ __LINE__, "%{+Q", PX_HTTP, false, "missing '}' behind '{+Q'" },
		{ __LINE__, "%HM", PX_TCP, false, "'HM' is reserved for HTTP mode" },
		{ __LINE__, "%t", PX_HTTP, true, "not supported yet by sluice: format variable 't'" },
		{ __LINE__, "%[src", PX_HTTP, false, "expected ']' after 'src'" },
		{ __LINE__, "%[req.hdr(host)]", PX_HTTP, false, "cannot be used in log formats" },
		{ __LINE__, "%[nothing]", PX_HTTP, false, "unknown fetch method 'nothing'" },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(bad); i++) {
		if (compile(sl_str_c(bad[i].format), bad[i].mode, bad[i].on_worker) != NULL)
			fail_msg("line %d: accepted", bad[i].line);
		if (strstr(said, bad[i].says) == NULL)
			fail_msg("line %d: '%s'", bad[i].line, said);
	}
}

static void
test_too_many(void **state sl_unused)
{
	char text[4096];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	for (uint32_t i = LOGREC_CAPTURES + 3; i < LOG_MAX_VALUES; i++)
		sl_buf_addc(&b, "%[src] ");
	assert_non_null(compile(sl_buf_str(&b), PX_HTTP, false));
	sl_buf_addc(&b, "%[src]");
	assert_null(compile(sl_buf_str(&b), PX_HTTP, false));
	assert_string_equal(said, "too many expressions");
}

static int
setup(void **state sl_unused)
{
	const char *dup;

	setenv("TZ", "UTC", 1);
	tzset();
	if (expr_init(&dup) < 0)
		return -1;
	arena_init(&mem, arena_map_src(arena_map_new()));
	fe.log_fmt = compile(logfmt_builtin(LOGFMT_HTTP), PX_HTTP, false);
	ft.log_fmt = compile(logfmt_builtin(LOGFMT_TCP), PX_TCP, false);
	return fe.log_fmt != NULL && ft.log_fmt != NULL ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long_and_v6),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_asap),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
