// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fixed-size objects by index, with a generation each.
 *
 * Runs on: the one owner of the pool. Layout of the caller's memory:
 *
 *	| objects: nr * size | gen: nr * 4 | next: nr * 4 |
 *
 * Invariant: gen[i] is odd exactly while object i is allocated; every even object hangs in the free
 * list once. A generation wraps after 2^31 lives of one object; 0 is even, so it never names a
 * live one.
 */
#include "dataplane/base/pool.h"

static uint32_t
object_size(uint32_t size)
{
	return SL_ALIGN_UP(sl_max(size, 8u), 8u);
}

size_t
pool_bytes(uint32_t nr, uint32_t size)
{
	return (size_t)nr * (object_size(size) + 2 * sizeof(uint32_t));
}

/* Newton's iteration: each step doubles the number of right bits; n * n = 1 modulo 8 gives three. */
static uint64_t
inverse(uint64_t n)
{
	uint64_t x = n;

	for (int i = 0; i < 5; i++)
		x *= 2 - n * x;
	return x;
}

void
pool_init(struct pool *p, void *mem, uint32_t nr, uint32_t size)
{
	*p = (struct pool){ .mem = mem, .size = object_size(size), .nr = nr };
	p->shift = (uint32_t)__builtin_ctz(p->size);
	p->inv = inverse(p->size >> p->shift);
	p->gen = (uint32_t *)(void *)(p->mem + (size_t)nr * p->size);
	p->next = p->gen + nr;
	for (uint32_t i = 0; i < nr; i++)
		p->next[i] = i + 1 < nr ? i + 1 : POOL_NONE;
	p->free_head = nr > 0 ? 0 : POOL_NONE;
}

void *
pool_new(struct pool *p)
{
	uint32_t i = p->free_head;
	void *obj;

	if (unlikely(i == POOL_NONE || (p->fail_in != 0 && --p->fail_in == 0))) {
		p->failed++;
		return NULL;
	}
	p->free_head = p->next[i];
	p->gen[i]++;
	if (++p->used > p->peak)
		p->peak = p->used;
	obj = pool_at(p, i);
	memset(obj, 0, p->size);
	return obj;
}

void
pool_free(struct pool *p, void *obj)
{
	uint32_t i = pool_index(p, obj);

	sl_assert(i < p->nr && pool_at(p, i) == obj && (p->gen[i] & 1) == 1);
	if (unlikely(i >= p->nr || (p->gen[i] & 1) == 0))
		return; // freeing twice would link the object twice: rather lose the call
	p->gen[i]++;
	p->next[i] = p->free_head;
	p->free_head = i;
	p->used--;
}

int
pool_validate(const struct pool *p)
{
	uint32_t nr_free = 0, nr_live = 0;

	for (uint32_t i = p->free_head; i != POOL_NONE; i = p->next[i]) {
		if (i >= p->nr || (p->gen[i] & 1) != 0 || ++nr_free > p->nr)
			return -EINVAL;
	}
	for (uint32_t i = 0; i < p->nr; i++)
		nr_live += p->gen[i] & 1;
	if (nr_live != p->used || nr_live + nr_free != p->nr || p->peak < p->used)
		return -EINVAL;
	return 0;
}
