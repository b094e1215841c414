/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fixed-size objects addressed by 32-bit index, with a generation per object.
 *
 * The memory is the caller's (an own mapping of the worker). Freed objects are reused in LIFO
 * order, so that the hot ones stay in cache. One owner thread. A handle {index, generation} names
 * an object from elsewhere: pool_lookup() gives NULL once the object was freed.
 */
#pragma once

#include "dataplane/base/base.h"

#define POOL_NONE UINT32_MAX

struct sl_handle {
	uint32_t idx;
	uint32_t gen; // 0 is never a live generation
};

struct pool {
	uint8_t *mem;
	uint32_t *gen;  // one per object; odd while allocated
	uint32_t *next; // free list
	uint32_t size;  // bytes per object, multiple of 8
	uint32_t shift; // size = odd number << shift
	uint64_t inv;   // inverse of that odd number modulo 2^64
	uint32_t nr;
	uint32_t used;
	uint32_t peak;
	uint32_t free_head;
	uint64_t failed; // allocations refused
	uint32_t fail_in; // test hook: refuse the n-th next allocation (0: off)
};

/* Bytes of memory that pool_init() needs. */
size_t pool_bytes(uint32_t nr, uint32_t size);
/* mem: pool_bytes() zeroed bytes, cache-line aligned; stays the caller's. */
void pool_init(struct pool *p, void *mem, uint32_t nr, uint32_t size);
/* Zeroed object, or NULL (counted in `failed`) when full. */
void *pool_new(struct pool *p);
void pool_free(struct pool *p, void *obj);
int pool_validate(const struct pool *p);

/* obj: of this pool. An exact division by the size, which a multiplication does in a few cycles. */
static inline uint32_t
pool_index(const struct pool *p, const void *obj)
{
	return (uint32_t)(((uint64_t)((const uint8_t *)obj - p->mem) >> p->shift) * p->inv);
}

static inline void *
pool_at(const struct pool *p, uint32_t idx)
{
	return p->mem + (size_t)idx * p->size;
}

/* Is the object at this index allocated? Owner thread only. */
static inline bool
pool_is_live(const struct pool *p, uint32_t idx)
{
	return (p->gen[idx] & 1) != 0;
}

static inline struct sl_handle
pool_handle(const struct pool *p, const void *obj)
{
	uint32_t i = pool_index(p, obj);
	return (struct sl_handle){ .idx = i, .gen = p->gen[i] };
}

/* The live object of a handle, or NULL. Owner thread only. */
static inline void *
pool_lookup(const struct pool *p, struct sl_handle h)
{
	if (h.idx >= p->nr || (h.gen & 1) == 0 || p->gen[h.idx] != h.gen)
		return NULL;
	return pool_at(p, h.idx);
}
