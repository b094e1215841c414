// SPDX-License-Identifier: BSD-3-Clause
/*
 * The self-test of a device's RSS.
 *
 * Runs on: main. A device that is right gives no worker a frame of another; one that hashes otherwise
 * gives (n - 1) / n of them. An eighth is far from both, and leaves room for fragments and the like.
 */
#include "control/spread.h"

#include <stdio.h>

#define STRAY_PART 8

static bool
judge_hash(struct spread_watch *w, const struct port *p, const struct net_spread *now, char *text,
	uint32_t size)
{
	for (uint32_t f = 0; f < 2; f++) {
		if (!now->hash_bad[f] || w->hash_told[f])
			continue;
		w->hash_told[f] = true;
		snprintf(text, size,
			"port '%s': the hash that its device (%s) gives with IPv%u frames is not that of the "
			"key it was given: it is computed in software",
			p->name, p->driver, f == 0 ? 4 : 6);
		return true;
	}
	return false;
}

bool
spread_judge(struct spread_watch *w, struct port *p, const struct net_spread *now, char *text,
	uint32_t size)
{
	uint64_t own = now->own - w->own, stray = now->stray - w->stray;
	uint8_t was = atomic_load_explicit(&p->spread, memory_order_relaxed);
	uint8_t is = was;

	if (was == PORT_SPREAD_NONE)
		return false;
	if (own + stray >= SPREAD_ROUND) {
		w->rounds = stray * STRAY_PART > own + stray ? w->rounds + 1 : 0;
		w->own = now->own;
		w->stray = now->stray;
		if (w->rounds >= SPREAD_ROUNDS)
			is = PORT_SPREAD_FAILED;
		else if (w->rounds == 0 && was == PORT_SPREAD_WAITING)
			is = PORT_SPREAD_PASSED;
		atomic_store_explicit(&p->spread, is, memory_order_relaxed);
	}
	if (is == was || is != PORT_SPREAD_FAILED)
		return judge_hash(w, p, now, text, size);
	snprintf(text, size,
		"port '%s': its device (%s) gave %llu of %llu TCP frames to other workers than the "
		"RSS key and table it was given say: nothing is lost, but they are copied between "
		"workers; try a newer firmware of the card, or 'nbthread 1'",
		p->name, p->driver, (unsigned long long)stray, (unsigned long long)(own + stray));
	return true;
}
