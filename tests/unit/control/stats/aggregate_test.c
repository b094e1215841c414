// SPDX-License-Identifier: BSD-3-Clause
/* Sums over workers, each set by its own slot; slots that a worker does not have count nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "control/stats/stats.h"

static void
test_sums(void **state sl_unused)
{
	struct lcore *lc[2];
	struct px_sums c;

	for (uint16_t w = 0; w < 2; w++) {
		struct lcore_spec s = {
			.id = w, .nlcores = 2, .socket = -1, .npx = 3, .nbind = 2, .nsrv = 4
		};

		lc[w] = lcore_new(&s);
		assert_non_null(lc[w]);
	}
	stat_add(lc[0], STAT_RX_PACKETS, 5);
	stat_add(lc[1], STAT_RX_PACKETS, 7);
	stat_add(lc[1], STAT_RX_BYTES, 9);
	drop_count(lc[0], DROP_TCP_CSUM);
	drop_count(lc[1], DROP_TCP_CSUM);
	counter_add(&lc[0]->px_cnt[2].cum_req, 1);
	counter_add(&lc[1]->px_cnt[2].cum_req, 10);
	counter_add(&lc[1]->bind_cnt[1].rsp_5xx, 3);
	counter_add(&lc[0]->srv_cnt[2].rsp_other, 4);
	assert_int_equal(stats_sum(lc, 2, STAT_RX_PACKETS), 12);
	assert_int_equal(stats_sum(lc, 1, STAT_RX_PACKETS), 5);
	assert_int_equal(stats_sum(lc, 2, STAT_RX_BYTES), 9);
	assert_int_equal(stats_sum_drop(lc, 2, DROP_TCP_CSUM), 2);
	stats_sum_px(lc, 2, STATS_PROXY, 2, &c);
	assert_int_equal(c.cum_req, 11);
	assert_int_equal(c.rsp_other, 0);
	stats_sum_px(lc, 2, STATS_LISTENER, 1, &c);
	assert_int_equal(c.rsp_5xx, 3);
	stats_sum_px(lc, 2, STATS_SERVER, 2, &c);
	assert_int_equal(c.rsp_other, 4);
	stats_sum_px(lc, 2, STATS_LISTENER, 2, &c);
	assert_int_equal(c.rsp_5xx, 0);
	for (uint16_t w = 0; w < 2; w++)
		lcore_free(lc[w]);
}

/* Names are keys of telemetry: present, unique, of the characters it takes. */
static void
check_names(const struct stat_desc *d, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		assert_non_null(d[i].name);
		assert_true(d[i].name[0] != '\0' && d[i].help[0] != '\0');
		assert_int_equal(strspn(d[i].name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
			strlen(d[i].name));
		for (uint32_t k = 0; k < i; k++)
			assert_string_not_equal(d[i].name, d[k].name);
	}
}

static void
test_names(void **state sl_unused)
{
	check_names(stat_desc, STAT_NR);
	check_names(drop_desc, DROP_NR);
	assert_true(STAT_NR < 200 && DROP_NR < 200); // a telemetry dictionary takes 256
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
