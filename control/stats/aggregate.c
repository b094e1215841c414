// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sums of per-worker counters.
 *
 * Runs on: any control thread, while workers count; a sum may mix moments, each value is whole.
 */
#include "control/stats/stats.h"

#include <pthread.h>
#include <stdlib.h>

uint64_t
stats_sum(struct lcore *const *lc, uint16_t n, enum lc_stat s)
{
	uint64_t sum = 0;

	for (uint16_t w = 0; w < n; w++)
		sum += counter_get(&lc[w]->stat[s]);
	return sum;
}

uint64_t
stats_accepts(struct lcore *const *lc, uint16_t n)
{
	return stats_sum(lc, n, STAT_TCP_ACCEPTS) + stats_sum(lc, n, STAT_HOST_ACCEPTS);
}

uint64_t
stats_bytes_out(struct lcore *const *lc, uint16_t n)
{
	return stats_sum(lc, n, STAT_TX_BYTES) + stats_sum(lc, n, STAT_HOST_OUT);
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
stats_sum_px_raw(
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

uint64_t
stats_max_px(struct lcore *const *lc, uint16_t n, enum stats_set set, uint32_t slot, enum px_max which)
{
	uint64_t max = 0;

	for (uint16_t w = 0; w < n; w++) {
		const struct px_counters *c = set_of(lc[w], set, slot);

		// what is of before has not been cleared by its worker yet
		if (c != NULL && counter_get(&c->max_gen) == atomic_load(&lc[w]->max_gen))
			max = sl_max(max, counter_get(&c->max[which]));
	}
	return max;
}

void
stats_clear_max(struct lcore *const *lc, uint16_t n)
{
	for (uint16_t w = 0; w < n; w++)
		atomic_fetch_add(&lc[w]->max_gen, 1);
}

/* What was there when the counters were cleared; main writes, telemetry's threads read. */
static struct {
	pthread_mutex_t lock;
	struct px_sums *sums; // proxies, then listeners, then servers
	uint32_t npx, nbind, nsrv;
} base = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const struct px_sums *
base_of(enum stats_set set, uint32_t slot)
{
	if (set == STATS_PROXY)
		return slot < base.npx ? &base.sums[slot] : NULL;
	if (set == STATS_LISTENER)
		return slot < base.nbind ? &base.sums[base.npx + slot] : NULL;
	return slot < base.nsrv ? &base.sums[base.npx + base.nbind + slot] : NULL;
}

void
stats_sum_px(
	struct lcore *const *lc, uint16_t n, enum stats_set set, uint32_t slot, struct px_sums *out)
{
	const struct px_sums *b;
	uint64_t now;

	stats_sum_px_raw(lc, n, set, slot, out);
	now = out->cur_conn; // a gauge: never cleared
	pthread_mutex_lock(&base.lock);
	b = base.sums != NULL ? base_of(set, slot) : NULL;
	if (b != NULL) {
#define X(sym, name, help) out->sym -= b->sym;
		PX_COUNTERS(X)
#undef X
	}
	pthread_mutex_unlock(&base.lock);
	out->cur_conn = now;
}

void
stats_unclear(enum stats_set set, uint32_t slot)
{
	pthread_mutex_lock(&base.lock);
	struct px_sums *b = base.sums != NULL ? (struct px_sums *)(uintptr_t)base_of(set, slot)
					      : NULL;
	if (b != NULL)
		*b = (struct px_sums){ 0 };
	pthread_mutex_unlock(&base.lock);
}

int
stats_clear(struct lcore *const *lc, uint16_t n)
{
	uint32_t npx = lc[0]->npx_cnt, nbind = lc[0]->nbind_cnt, nsrv = lc[0]->nsrv_cnt;
	struct px_sums *sums = calloc((size_t)npx + nbind + nsrv + 1, sizeof(*sums)), *old;

	if (sums == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < npx; i++)
		stats_sum_px_raw(lc, n, STATS_PROXY, i, &sums[i]);
	for (uint32_t i = 0; i < nbind; i++)
		stats_sum_px_raw(lc, n, STATS_LISTENER, i, &sums[npx + i]);
	for (uint32_t i = 0; i < nsrv; i++)
		stats_sum_px_raw(lc, n, STATS_SERVER, i, &sums[npx + nbind + i]);
	pthread_mutex_lock(&base.lock);
	old = base.sums;
	base.sums = sums;
	base.npx = npx;
	base.nbind = nbind;
	base.nsrv = nsrv;
	pthread_mutex_unlock(&base.lock);
	free(old);
	return 0;
}
