// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sums of per-worker counters.
 *
 * Runs on: any control thread, while workers count; a sum may mix moments, each value is whole.
 */
#include "control/stats/stats.h"

uint64_t
stats_sum(struct lcore *const *lc, uint16_t n, enum lc_stat s)
{
	uint64_t sum = 0;

	for (uint16_t w = 0; w < n; w++)
		sum += counter_get(&lc[w]->stat[s]);
	return sum;
}

uint64_t
stats_sum_drop(struct lcore *const *lc, uint16_t n, enum drop d)
{
	uint64_t sum = 0;

	for (uint16_t w = 0; w < n; w++)
		sum += counter_get(&lc[w]->drop[d]);
	return sum;
}

static const struct px_counters *
set_of(const struct lcore *lc, enum stats_set set, uint32_t slot)
{
	switch (set) {
	case STATS_PROXY:
		return slot < lc->npx_cnt ? &lc->px_cnt[slot] : NULL;
	case STATS_LISTENER:
		return slot < lc->nbind_cnt ? &lc->bind_cnt[slot] : NULL;
	default:
		return slot < lc->nsrv_cnt ? &lc->srv_cnt[slot] : NULL;
	}
}

void
stats_sum_px(
	struct lcore *const *lc, uint16_t n, enum stats_set set, uint32_t slot, struct px_sums *out)
{
	memset(out, 0, sizeof(*out));
	for (uint16_t w = 0; w < n; w++) {
		const struct px_counters *c = set_of(lc[w], set, slot);

		if (c == NULL)
			continue;
#define X(sym, name, help) out->sym += counter_get(&c->sym);
		PX_COUNTERS(X)
#undef X
	}
}
