/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Single-producer single-consumer rings of pointers or small messages between threads, in C11
 * atomics (so that TSan understands them). Fixed size; full is an answer, not a wait.
 */
#pragma once

#include "dataplane/base/base.h"

#define XMSG_WORDS 4 // 32 bytes per message

struct xmsg {
	uint64_t w[XMSG_WORDS]; // w[0]: low 16 bits enum xmsg_type, the rest as xmsg.def says
};

struct xring {
	/* ==== producer writes ==== */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) tail;
	uint32_t head_seen; // producer's copy of head
	uint64_t full;      // refusals, for telemetry
	/* ==== consumer writes ==== */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) head;
	uint32_t tail_seen;
	/* ==== fixed ==== */
	alignas(SL_CACHE_LINE) uint32_t mask;
	struct xmsg *slot;
};

/* size: power of two; slots: size entries owned by the caller as long as the ring lives. */
void xring_init(struct xring *r, struct xmsg *slots, uint32_t size);

/* Producer: false when full (counted). */
static inline bool
xring_push(struct xring *r, const struct xmsg *m)
{
	uint32_t t = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (unlikely(t - r->head_seen > r->mask)) {
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		if (t - r->head_seen > r->mask) {
			r->full++;
			return false;
		}
	}
	r->slot[t & r->mask] = *m;
	atomic_store_explicit(&r->tail, t + 1, memory_order_release);
	return true;
}

/* Consumer: false when empty. */
static inline bool
xring_pop(struct xring *r, struct xmsg *m)
{
	uint32_t h = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (h == r->tail_seen) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (h == r->tail_seen)
			return false;
	}
	*m = r->slot[h & r->mask];
	atomic_store_explicit(&r->head, h + 1, memory_order_release);
	return true;
}

/* Anyone, approximate. */
static inline uint32_t
xring_count(const struct xring *r)
{
	struct xring *w = (struct xring *)(uintptr_t)r;
	return atomic_load_explicit(&w->tail, memory_order_acquire) -
		atomic_load_explicit(&w->head, memory_order_acquire);
}
