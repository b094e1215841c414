// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bump allocator over chunks, and the mmap chunk source of configuration generations.
 *
 * Runs on: the owner of the arena. A worker's chunks come from its pool and cost no system call;
 * arena_map_* is for control threads only (mmap, mprotect).
 */
#include "dataplane/base/arena.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA_ALIGN     8u
#define ARENA_MAP_CHUNK (64u << 10) // few mappings per generation, little waste per small one

void
arena_init(struct arena *a, const struct arena_src *src)
{
	*a = (struct arena){ .src = src };
}

void
arena_reset(struct arena *a)
{
	struct arena_chunk *c = a->head;

	a->head = NULL;
	a->failed = false;
	while (c != NULL) {
		struct arena_chunk *next = c->next;
		a->src->put(a->src->ctx, c);
		c = next;
	}
}

static struct arena_chunk *
chunk_new(struct arena *a, uint32_t need)
{
	struct arena_chunk *c = a->src->get(a->src->ctx, need);

	if (c == NULL)
		return NULL;
	sl_assert(c->size >= need);
	c->used = 0;
	c->next = a->head;
	a->head = c;
	return c;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->head;
	uint32_t need;
	void *p;

	if (unlikely(size > UINT32_MAX / 2 || (a->fail_in != 0 && --a->fail_in == 0))) {
		a->failed = true;
		return NULL;
	}
	need = SL_ALIGN_UP((uint32_t)size, ARENA_ALIGN);
	// used may exceed size by the rounding of a chunk whose size is no multiple of 8
	if (c == NULL || c->used > c->size || c->size - c->used < need) {
		c = chunk_new(a, need);
		if (c == NULL) {
			a->failed = true;
			return NULL;
		}
	}
	p = (uint8_t *)(c + 1) + c->used;
	c->used += need;
	return p;
}

void *
arena_zalloc(struct arena *a, size_t size)
{
	void *p = arena_alloc(a, size);

	return p == NULL ? NULL : memset(p, 0, size);
}

struct sl_str
arena_str(struct arena *a, struct sl_str s)
{
	char *p = arena_alloc(a, (size_t)s.len + 1);

	if (p == NULL)
		return SL_STR_NULL;
	if (s.len > 0)
		memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return sl_str_make(p, s.len);
}

char *
arena_cstr(struct arena *a, const char *c)
{
	size_t len = strlen(c);
	char *p = arena_alloc(a, len + 1);

	return p == NULL ? NULL : memcpy(p, c, len + 1);
}

int
arena_defer(struct arena *a, void (*fn)(void *p), void *p)
{
	return a->src->defer != NULL ? a->src->defer(a->src->ctx, fn, p) : -ENOTSUP;
}

/*
 * One mapping: | struct map_block | struct arena_chunk | bytes ... |. The list of blocks belongs to
 * the map, which lives in a mapping of its own that stays writable.
 */
struct map_block {
	struct map_block *next;
	size_t bytes; // of the whole mapping
};

struct map_defer {
	struct map_defer *next;
	void (*fn)(void *p);
	void *p;
};

struct arena_map {
	struct map_block *blocks;
	struct map_defer *defers; // the latest first
	struct arena_src src;
};

static void *
map_pages(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static struct arena_chunk *
map_get(void *ctx, uint32_t need)
{
	struct arena_map *m = ctx;
	size_t head = sizeof(struct map_block) + sizeof(struct arena_chunk);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = SL_ALIGN_UP(sl_max(need + head, (size_t)ARENA_MAP_CHUNK), page);
	struct map_block *b = map_pages(bytes);
	struct arena_chunk *c;

	if (b == NULL)
		return NULL;
	b->bytes = bytes;
	b->next = m->blocks;
	m->blocks = b;
	c = (struct arena_chunk *)(b + 1);
	c->size = (uint32_t)(bytes - head);
	return c;
}

static void
map_put(void *ctx, struct arena_chunk *c)
{
	struct arena_map *m = ctx;
	struct map_block *b = (struct map_block *)(void *)c - 1;

	for (struct map_block **at = &m->blocks; *at != NULL; at = &(*at)->next) {
		if (*at != b)
			continue;
		*at = b->next;
		munmap(b, b->bytes);
		return;
	}
}

static int
map_defer(void *ctx, void (*fn)(void *p), void *p)
{
	struct arena_map *m = ctx;
	struct map_defer *d = malloc(sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	*d = (struct map_defer){ .next = m->defers, .fn = fn, .p = p };
	m->defers = d;
	return 0;
}

sl_cold struct arena_map *
arena_map_new(void)
{
	struct arena_map *m = map_pages(sizeof(*m));

	if (m != NULL)
		m->src = (struct arena_src){
			.get = map_get, .put = map_put, .ctx = m, .defer = map_defer
		};
	return m;
}

const struct arena_src *
arena_map_src(struct arena_map *m)
{
	return &m->src;
}

sl_cold void
arena_map_protect(struct arena_map *m)
{
	for (struct map_block *b = m->blocks; b != NULL; b = b->next)
		(void)mprotect(b, b->bytes, PROT_READ); // a failure loses a guard, nothing else
}

sl_cold void
arena_map_free(struct arena_map *m)
{
	if (m == NULL)
		return;
	for (struct map_defer *d = m->defers, *next; d != NULL; d = next) {
		next = d->next;
		d->fn(d->p);
		free(d);
	}
	for (struct map_block *b = m->blocks, *next; b != NULL; b = next) {
		next = b->next;
		munmap(b, b->bytes);
	}
	munmap(m, sizeof(*m));
}
