// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory of a Lua state: its cap, and freed blocks that are kept for the next call.
 *
 * Runs on: whoever has the state; nothing is shared between states.
 * A request makes and drops the same objects as the one before; a library's object of some hundred
 * fields takes nine tables of doubling size, and the collector frees those of a hundred requests at once.
 * Freed blocks lie in lists by size, at most KEEP bytes of a state; the C library, which would split and
 * join them each time, has the rest.
 * Lua names the size of what it frees, so that a block needs no head.
 */
#include <stdlib.h>
#include <string.h>

#include "control/script/script_priv.h"

#define KEEP      (2u << 20)
#define HELD_PART 4u // of the cap is for what scripts hold outside of Lua's memory

#ifdef __SANITIZE_ADDRESS__
#define KEEPS false // a block that is used after it was freed shall be seen
#else
#define KEEPS true
#endif

/*
 * Sizes up to SMALL go in steps of 16 bytes, larger ones in quarters of a power of two: tables are five
 * times a power of two.
 */
#define SMALL   512u
#define LARGEST 16384u

static_assert(MEM_CLASSES == SMALL / 16 + 1 + 4 * 5, "lists by size");

/* The list for n bytes, and how large its blocks are; false: none. */
static bool
class_of(size_t n, uint32_t *class, size_t *size)
{
	uint32_t log, part;

	if (n <= SMALL) {
		*class = (uint32_t)((n + 15) / 16);
		*size = (size_t) * class * 16;
		return true;
	}
	if (n > LARGEST)
		return false;
	log = 63 - (uint32_t)__builtin_clzll(n - 1); // 2^log < n <= 2^(log+1), log from 9 on
	part = (uint32_t)((n - 1 - ((size_t)1 << log)) >> (log - 2)); // 0 to 3
	*class = SMALL / 16 + 1 + (log - 9) * 4 + part;
	*size = ((size_t)5 + part) << (log - 2);
	return true;
}

static void *
block_new(struct script_mem *m, size_t n)
{
	uint32_t class;
	size_t size;
	void *p;

	if (!KEEPS || !class_of(n, &class, &size))
		return malloc(n);
	p = m->list[class];
	if (p == NULL)
		return malloc(size);
	memcpy(&m->list[class], p, sizeof(void *));
	m->kept -= size;
	return p;
}

static void
block_free(struct script_mem *m, void *p, size_t n)
{
	uint32_t class;
	size_t size;

	if (!KEEPS || p == NULL || !class_of(n, &class, &size) || m->kept + size > KEEP) {
		free(p);
		return;
	}
	memcpy(p, &m->list[class], sizeof(void *));
	m->list[class] = p;
	m->kept += size;
}

/* Shrinking never fails, Lua relies on it. */
static void *
block_resize(struct script_mem *m, void *ptr, size_t old, size_t n)
{
	uint32_t a, b;
	size_t size;
	void *p;

	if (!KEEPS || (old > LARGEST && n > LARGEST)) {
		p = realloc(ptr, n);
		return p != NULL || n > old ? p : ptr;
	}
	if (class_of(old, &a, &size) && class_of(n, &b, &size) && a == b)
		return ptr;
	p = block_new(m, n);
	if (p == NULL)
		return n > old ? NULL : ptr; // a larger block than its list says does no harm
	memcpy(p, ptr, sl_min(old, n));
	block_free(m, ptr, old);
	return p;
}

/* The cap is per state: one leaking script cannot take the memory of the process. */
void *
mem_alloc(void *ctx, void *ptr, size_t osize, size_t nsize)
{
	struct script_state *st = ctx;
	size_t old = ptr != NULL ? osize : 0; // else osize is a type
	void *p;

	if (nsize == 0) {
		st->used -= old;
		block_free(&st->mem, ptr, old);
		return NULL;
	}
	if (st->max != 0 && nsize > old && st->used - old + nsize > st->max)
		return NULL;
	p = ptr == NULL ? block_new(&st->mem, nsize) : block_resize(&st->mem, ptr, old, nsize);
	if (p != NULL)
		st->used = st->used - old + nsize;
	return p;
}

/*
 * Its own share of the cap, beside Lua's: when Lua's is full a collection frees what needs no __gc, so that
 * garbage of this kind would keep a state full for ever. Lua does not see this memory, and is told of it.
 */
bool
script_hold(lua_State *L, size_t bytes)
{
	struct script_state *st = script_state_of(L);
	size_t max = st->max != 0 ? st->max / HELD_PART : SIZE_MAX;

	lua_gc(L, LUA_GCSTEP, (int)sl_min(bytes >> 10, (size_t)INT32_MAX / 1024) + 1);
	if (bytes > max)
		return false;
	if (st->held > max - bytes)
		lua_gc(L, LUA_GCCOLLECT, 0);
	if (st->held > max - bytes)
		return false;
	st->held += bytes;
	return true;
}

void
script_let_go(lua_State *L, size_t bytes)
{
	script_state_of(L)->held -= bytes;
}

void
mem_fini(struct script_mem *m)
{
	for (uint32_t i = 0; i < MEM_CLASSES; i++) {
		while (m->list[i] != NULL) {
			void *p = m->list[i];

			memcpy(&m->list[i], p, sizeof(void *));
			free(p);
		}
	}
	m->kept = 0;
}
