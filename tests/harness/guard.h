/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory between two forbidden pages, for parsers: an input is copied so that its last byte (or
 * its first) touches a PROT_NONE page, and one byte read too far is a SIGSEGV in every build.
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
	char *map;
	size_t page;
	size_t room; // bytes between the forbidden pages
};

/* Stops the test program when there is no memory. */
static inline void
guard_init(struct guard *g, size_t max)
{
	g->page = (size_t)sysconf(_SC_PAGESIZE);
	g->room = (max + g->page - 1) / g->page * g->page;
	g->map = mmap(NULL, g->room + 2 * g->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->map == MAP_FAILED ||
		mprotect(g->map + g->page, g->room, PROT_READ | PROT_WRITE) != 0)
		abort();
}

static inline void
guard_fini(struct guard *g)
{
	munmap(g->map, g->room + 2 * g->page);
}

/* A copy that ends at the forbidden page; valid until the next copy. len <= max. */
static inline char *
guard_end(struct guard *g, const void *data, size_t len)
{
	char *to = g->map + g->page + g->room - len;

	if (len > g->room)
		abort();
	return len == 0 ? to : memcpy(to, data, len);
}

/* A copy that begins behind the forbidden page. */
static inline char *
guard_start(struct guard *g, const void *data, size_t len)
{
	char *to = g->map + g->page;

	if (len > g->room)
		abort();
	return len == 0 ? to : memcpy(to, data, len);
}
