/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bump allocator over chunks from a chunk source: one per transaction on workers (chunks from a
 * pool), one per configuration generation on control threads (chunks from mmap). Freed whole.
 */
#pragma once

#include "dataplane/base/base.h"
#include "dataplane/base/str.h"

struct arena_chunk {
	struct arena_chunk *next;
	uint32_t size; // usable bytes after this header
	uint32_t used;
};

/* Where chunks come from. get() may return NULL: then the allocation fails. */
struct arena_src {
	/* At least `need` usable bytes, or NULL. Sets ->size. */
	struct arena_chunk *(*get)(void *ctx, uint32_t need);
	void (*put)(void *ctx, struct arena_chunk *c);
	void *ctx;
	/* 0: fn(p) runs when the source is freed. NULL: this source cannot (workers). */
	int (*defer)(void *ctx, void (*fn)(void *p), void *p);
};

struct arena {
	struct arena_chunk *head; // newest
	const struct arena_src *src;
	uint32_t fail_in; // test hook: refuse the n-th next allocation (0: off)
	bool failed;      // an allocation was refused since arena_init() or arena_reset()
};

void arena_init(struct arena *a, const struct arena_src *src);
/* Returns all chunks to the source; the arena can be used again. */
void arena_reset(struct arena *a);
/* 8-byte aligned, not zeroed; NULL when the source refuses. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
/* Copies; adds a NUL after the bytes for the convenience of control threads. */
struct sl_str arena_str(struct arena *a, struct sl_str s);
char *arena_cstr(struct arena *a, const char *c);

/*
 * What an object of the arena holds elsewhere goes with the arena's source: fn(p) when that is
 * freed. 0; -ENOTSUP: a worker's arena; -ENOMEM. On errors fn() is not called.
 */
int arena_defer(struct arena *a, void (*fn)(void *p), void *p);

/*
 * Chunks from anonymous mmap, for configuration generations: arena_map_protect() makes every
 * page read-only after publishing, so that a stray write from a worker is a SIGSEGV.
 */
struct arena_map;
struct arena_map *arena_map_new(void);
const struct arena_src *arena_map_src(struct arena_map *m);
void arena_map_protect(struct arena_map *m);
void arena_map_free(struct arena_map *m);
