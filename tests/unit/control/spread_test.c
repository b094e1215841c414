// SPDX-License-Identifier: BSD-3-Clause
/* The self-test of a device's RSS: what it says of which traffic, and how often. */
#include "control/spread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct row {
	int line;
	uint8_t first; // enum port_spread before
	struct {
		uint32_t own, stray;
	} come[4]; // between two looks
	const char *want;
	uint32_t warnings;
	const char *says; // what the last of them contains
} rows[] = {
	{ __LINE__, PORT_SPREAD_NONE, { { 0, 9000 }, { 0, 9000 } }, "none", 0, NULL },
	{ __LINE__, PORT_SPREAD_WAITING, { { 0, 0 } }, "waiting", 0, NULL },
	{ __LINE__, PORT_SPREAD_WAITING, { { 60, 0 }, { 67, 0 } }, "waiting", 0, NULL },
	{ __LINE__, PORT_SPREAD_WAITING, { { 60, 0 }, { 68, 0 } }, "passed", 0, NULL },
	// two workers, spread by another hash
	{ __LINE__, PORT_SPREAD_WAITING, { { 500, 500 } }, "waiting", 0, NULL },
	{ __LINE__, PORT_SPREAD_WAITING, { { 500, 500 }, { 200, 100 } }, "failed", 1,
		"port 'lan': its device (net_x) gave 100 of 300 TCP frames to other workers" },
	// a trickle
	{ __LINE__, PORT_SPREAD_WAITING, { { 64, 64 }, { 60, 60 }, { 4, 4 } }, "failed", 1,
		"gave 64 of 128 TCP frames" },
	// told once
	{ __LINE__, PORT_SPREAD_WAITING, { { 0, 500 }, { 0, 500 }, { 0, 500 }, { 0, 500 } },
		"failed", 1, "'nbthread 1'" },
	// what lay in the queues before the table was set
	{ __LINE__, PORT_SPREAD_WAITING, { { 1024, 1024 }, { 500, 0 } }, "passed", 0, NULL },
	// a few of a kind that it does not hash
	{ __LINE__, PORT_SPREAD_WAITING, { { 875, 125 }, { 875, 125 } }, "passed", 0, NULL },
	{ __LINE__, PORT_SPREAD_WAITING, { { 874, 126 }, { 874, 126 } }, "failed", 1,
		"126 of 1000" },
	// it was right once: a card that was reset
	{ __LINE__, PORT_SPREAD_WAITING, { { 500, 0 }, { 250, 250 }, { 250, 250 } }, "failed", 1,
		"250 of 500" },
	{ __LINE__, PORT_SPREAD_WAITING, { { 500, 0 }, { 250, 250 }, { 500, 0 }, { 250, 250 } },
		"passed", 0, NULL },
};

static struct port
make(uint8_t spread)
{
	struct port p = { .name = "lan", .driver = "net_x" };

	atomic_store(&p.spread, spread);
	return p;
}

static void
verdicts(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		struct port p = make(r->first);
		struct spread_watch w = { 0 };
		struct net_spread now = { 0 };
		char text[512] = "";
		uint32_t warnings = 0;

		for (size_t k = 0; k < SL_ARRAY_SIZE(r->come); k++) {
			now.own += r->come[k].own;
			now.stray += r->come[k].stray;
			warnings += spread_judge(&w, &p, &now, text, sizeof(text));
		}
		if (strcmp(port_spread_name(&p), r->want) != 0 || warnings != r->warnings ||
			(r->says != NULL && strstr(text, r->says) == NULL))
			fail_msg("row of line %d: %s, %u warnings, '%s'", r->line,
				port_spread_name(&p), warnings, text);
	}
}

/* The hash beside the frames: each family once, and no verdict over the queues. */
static void
hashes(void **state)
{
	struct port p = make(PORT_SPREAD_WAITING);
	struct net_spread now = { .own = 1000, .hash_bad = { false, true } };
	struct spread_watch w = { 0 };
	char text[512] = "";

	(void)state;
	assert_true(spread_judge(&w, &p, &now, text, sizeof(text)));
	assert_non_null(strstr(text, "with IPv6 frames"));
	assert_string_equal(port_spread_name(&p), "passed");
	assert_false(spread_judge(&w, &p, &now, text, sizeof(text)));
	now.hash_bad[0] = true;
	assert_true(spread_judge(&w, &p, &now, text, sizeof(text)));
	assert_non_null(strstr(text, "with IPv4 frames"));
	assert_false(spread_judge(&w, &p, &now, text, sizeof(text)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),
		cmocka_unit_test(hashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
