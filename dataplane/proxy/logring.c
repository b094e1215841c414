// SPDX-License-Identifier: BSD-3-Clause
/*
 * The reader's half of the log ring: records are looked at in place and given back.
 *
 * Runs on: main, and whatever else stands in for it (bench, tests); one reader per ring. Not here:
 * the worker's half, which fills records; a full ring is counted there.
 */
#include "dataplane/proxy/proxy.h"

const struct logrec *
logring_at(const struct logring *r, uint32_t at)
{
	return &r->rec[r->ring[at & r->mask]];
}

const struct logrec *
logring_peek(struct logring *r)
{
	uint32_t h = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (h == atomic_load_explicit(&r->tail, memory_order_acquire))
		return NULL;
	return logring_at(r, h);
}

void
logring_done(struct logring *r)
{
	uint32_t h = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store_explicit(&r->head, h + 1, memory_order_release);
}
