/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One sorted index per kind of keyword table (see keyword.h). Built at start on the main thread,
 * then read-only and safe on every thread.
 */
#pragma once

#include "dataplane/base/keyword.h"
#include "dataplane/base/str.h"

struct registry {
	const char *kind;
	const void **rows; // sorted by name
	uint32_t count;
	const char *dup; // text of a refused duplicate: "name: file1, file2"
};

/* The bounds of a kind's linker section, for registry_open(). */
#define SL_KW_SECTION(kind)                                                                        \
	extern const struct sl_kwtab *const __start_sl_kw_##kind[] __attribute__((weak));          \
	extern const struct sl_kwtab *const __stop_sl_kw_##kind[] __attribute__((weak))

#define registry_open(r, kind)                                                                     \
	registry_open_section(r, #kind, __start_sl_kw_##kind, __stop_sl_kw_##kind)

/* 0; -ENOENT: no table at all; -EEXIST: duplicate name, see r->dup; -ENOMEM. */
int registry_open_section(struct registry *r, const char *kind,
	const struct sl_kwtab *const *start, const struct sl_kwtab *const *stop);
void registry_close(struct registry *r);
/* The row, or NULL. */
const void *registry_find(const struct registry *r, struct sl_str name);
/* The row with the most similar name (for "did you mean"), or NULL if none is near. */
const void *registry_nearest(const struct registry *r, struct sl_str name);
/* Edit distance of two names, bounded by `max` (returns max + 1 beyond). */
uint32_t registry_distance(struct sl_str a, struct sl_str b, uint32_t max);
