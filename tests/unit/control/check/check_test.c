// SPDX-License-Identifier: BSD-3-Clause
/*
 * Health checks: rise, fall and intervals in virtual time; lines against what HAProxy 2.6.12
 * printed; status lines whole and byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/check/check_priv.h"

/*
 * A run of results: '+' passed, '-' failed. Expected after each: 'u' still up, 'd' still down, 'U'
 * went up, 'D' went down; and the date of the next check.
 */
struct run {
	int line;
	uint16_t rise, fall;
	uint32_t inter, fast, down;
	const char *results, *states;
	uint32_t at[8]; // ms since the start of the run, before each result
};

static const struct run runs[] = {
	// the very first failure takes a server down
	{ __LINE__, 2, 3, 1000, 0, 0, "-", "D", { 0 } },
	// then `rise` successes bring it back, a failure in between starts over
	{ __LINE__, 2, 3, 1000, 0, 0, "-++", "DdU", { 0, 1000, 2000 } },
	{ __LINE__, 3, 2, 1000, 0, 0, "-++-+++", "DdddddU", { 0, 1000, 2000, 3000, 4000 } },
	// one success is full health; then `fall` failures take it down
	{ __LINE__, 2, 3, 1000, 0, 0, "+---", "uuuD", { 0, 1000, 2000, 3000 } },
	{ __LINE__, 2, 3, 1000, 0, 0, "+--+---", "uuuuuuD", { 0, 1000 } },
	{ __LINE__, 1, 1, 1000, 0, 0, "+-+-", "uDUD", { 0, 1000, 2000, 3000 } },
	// between full health and down: fastinter; down: downinter
	{ __LINE__, 2, 3, 1000, 200, 5000, "+---++", "uuuDdU",
		{ 0, 1000, 1200, 1400, 6400, 6600 } },
	{ __LINE__, 2, 2, 1000, 0, 3000, "+--++", "uuDdU", { 0, 1000, 2000, 5000, 6000 } },
	// defaults: inter 2s rise 2 fall 3
	{ __LINE__, 0, 0, 0, 0, 0, "+---", "uuuD", { 0, 2000, 4000, 6000 } },
};

static char
state_of(enum check_change ch, const struct check_sm *m)
{
	if (ch == CHECK_SAME)
		return check_sm_is_up(m) ? 'u' : 'd';
	return ch == CHECK_UP ? 'U' : 'D';
}

static void
test_runs(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(runs); i++) {
		const struct run *r = &runs[i];
		struct server srv = { .rise = r->rise,
			.fall = r->fall,
			.inter_ms = r->inter,
			.fastinter_ms = r->fast,
			.downinter_ms = r->down };
		struct check_sm m;
		uint32_t now = 0;

		check_sm_init(&m, &srv);
		assert_true(check_sm_is_up(&m));
		for (size_t k = 0; r->results[k] != '\0'; k++) {
			char got;

			if (k > 0)
				now += check_sm_interval(&m);
			if (k < 8 && (k == 0 || r->at[k] != 0) && now != r->at[k])
				fail_msg("line %d: check %zu at %u", r->line, k, now);
			got = state_of(check_sm_result(&m, r->results[k] == '+'), &m);
			if (got != r->states[k])
				fail_msg("line %d: after result %zu: %c", r->line, k, got);
		}
	}
}

static void
test_spread(void **state sl_unused)
{
	assert_int_equal(check_start_ms(0, 4, 2000), 0);
	assert_int_equal(check_start_ms(1, 4, 2000), 500);
	assert_int_equal(check_start_ms(3, 4, 2000), 1500);
	assert_int_equal(check_start_ms(3, 4, 999), 0); // HAProxy spreads from a second on
	assert_int_equal(check_start_ms(999999, 1000000, UINT32_MAX - 1), UINT32_MAX - 4296);
}

static const struct proxy be = { .name = { "be", 2 } };
static const struct server s1 = { .name = { "s1", 2 }, .be = &be };
static const struct server t3 = { .name = { "t3", 2 }, .be = &be, .backup = true };

static void
test_lines(void **state sl_unused)
{
	static const struct {
		int line;
		struct check_result res;
		struct check_line l;
		const char *want;
	} rows[] = {
		{ __LINE__, { CHK_L4CON, 0, "Connection refused" }, { .srv = &s1, .active = 2 },
			"Server be/s1 is DOWN, reason: Layer4 connection problem, info: \"Connection "
			"refused\", check duration: 0ms. 2 active and 0 backup servers left. 0 sessions "
			"active, 0 requeued, 0 remaining in queue." },
		{ __LINE__, { CHK_L4CON, 0, "Connection refused" }, { .srv = &s1, .backup = 1 },
			"Server be/s1 is DOWN, reason: Layer4 connection problem, info: \"Connection "
			"refused\", check duration: 0ms. 0 active and 1 backup servers left. Running on "
			"backup. 0 sessions active, 0 requeued, 0 remaining in queue." },
		{ __LINE__, { CHK_L7TOUT, 0, "" },
			{ .srv = &s1, .duration_ms = 301, .sessions = 7 },
			"Server be/s1 is DOWN, reason: Layer7 timeout, check duration: 301ms. 0 active "
			"and 0 backup servers left. 7 sessions active, 0 requeued, 0 remaining in queue." },
		{ __LINE__, { CHK_L7STS, 503, "Service Unavailable" }, { .srv = &s1, .active = 1 },
			"Server be/s1 is DOWN, reason: Layer7 wrong status, code: 503, info: \"Service "
			"Unavailable\", check duration: 0ms. 1 active and 0 backup servers left. 0 "
			"sessions active, 0 requeued, 0 remaining in queue." },
		{ __LINE__, { CHK_L7OK, 200, "OK" },
			{ .srv = &s1, .up = true, .active = 1, .duration_ms = 1 },
			"Server be/s1 is UP, reason: Layer7 check passed, code: 200, check duration: "
			"1ms. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in "
			"queue." },
		{ __LINE__, { CHK_L4OK, 0, "" },
			{ .srv = &t3, .up = true, .active = 1, .backup = 1 },
			"Backup Server be/t3 is UP, reason: Layer4 check passed, check duration: 0ms. 1 "
			"active and 1 backup servers online. 0 sessions requeued, 0 total in queue." },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct check_line l = rows[i].l;
		char text[512];

		l.res = &rows[i].res;
		check_format(text, sizeof(text), &l);
		if (strcmp(text, rows[i].want) != 0)
			fail_msg("line %d:\n got %s\nwant %s", rows[i].line, text, rows[i].want);
	}
}

static void
test_status_lines(void **state sl_unused)
{
	static const struct {
		int line;
		const char *text;
		int rc;
		uint16_t code;
		const char *reason;
	} rows[] = {
		{ __LINE__, "HTTP/1.1 200 OK\r\nA: b\r\n", 0, 200, "OK" },
		{ __LINE__, "HTTP/1.0 503 Service Unavailable\n", 0, 503, "Service Unavailable" },
		{ __LINE__, "HTTP/1.1 204\r\n", 0, 204, "" },
		{ __LINE__, "HTTP/1.1 204 \r\n", 0, 204, "" },
		{ __LINE__, "HTTP/1.1 200 OK", -EAGAIN, 0, "" },
		{ __LINE__, "HTT", -EAGAIN, 0, "" },
		{ __LINE__, "", -EAGAIN, 0, "" },
		{ __LINE__, "HTTP/2.0 200 OK\r\n", -EBADMSG, 0, "" },
		{ __LINE__, "HTTX", -EBADMSG, 0, "" },
		{ __LINE__, "SSH-2.0-OpenSSH\r\n", -EBADMSG, 0, "" },
		{ __LINE__, "HTTP/1.1 2x0 OK\r\n", -EBADMSG, 0, "" },
		{ __LINE__, "HTTP/1.1 2000\r\n", -EBADMSG, 0, "" },
		{ __LINE__, "HTTP/1.1\r\n", -EBADMSG, 0, "" },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		size_t n = strlen(rows[i].text);
		struct sl_str reason = SL_STR_NULL;
		uint16_t code = 0;

		for (size_t k = 0; k <= n; k++) { // every prefix, against the end of its memory
			char *copy = malloc(k > 0 ? k : 1);
			int rc;

			memcpy(copy, rows[i].text, k);
			rc = check_status_line(sl_str_make(copy, k), &code, &reason);
			if (k == n) {
				if (rc != rows[i].rc)
					fail_msg("line %d: %d", rows[i].line, rc);
				if (rc == 0 &&
					(code != rows[i].code ||
						reason.len != strlen(rows[i].reason) ||
						memcmp(reason.p, rows[i].reason, reason.len) != 0))
					fail_msg("line %d: %u", rows[i].line, code);
			}
			free(copy);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_status_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
