/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to patset.c and patview.c: files, their entries, their views. */
#pragma once

#include <pthread.h>

#include "dataplane/expr/expr_priv.h"

/* A line of a file, or what was added at run time. Immutable; arrays share them. */
struct pat_entry {
	uint32_t refs;
	uint32_t ver;
	uint32_t line; // 0: of run time
	bool bounded;  // counts for PAT_GROWN_MAX
	uint64_t id;
	struct sl_str key, value; // in the same allocation
};

struct pat_array {
	struct pat_entry **e;
	uint32_t n, cap;
};

/* A list that workers may look at. */
struct pat_live {
	struct pat_list l;
	struct arena_map *map;
	struct pat_live *next; // of what is to be freed
};

struct pat_view {
	struct pat_view *next;
	const struct pat_file *file;
	struct pat_how how;
	/* ==== whoever holds the set's lock writes, workers read ==== */
	_Atomic(struct pat_live *) live;
	struct pat_live *fresh; // compiled, not published yet
};

struct pat_use {
	const char *path;
	uint32_t line;
};

struct pat_file {
	struct pat_file *next;
	struct pat_use *use;
	uint32_t nuse;
	struct pat_set *set;
	char *path;
	bool map;
	int32_t id;
	uint32_t ver, next_ver;
	struct pat_array all; // of all versions
	struct pat_view *views, **last;
};

/* A change that a worker has asked for. seq: the place is free for who comes `seq`th, or filled (seq + 1). */
struct pat_ask {
	_Atomic uint32_t seq;
	uint8_t op; // enum pat_op
	uint16_t nkey, nvalue;
	struct pat_file *file;
	char text[PAT_ASK_TEXT]; // the key, the value
};

/* Bounded, without locks: several workers write, main reads. */
struct pat_asks {
	_Atomic uint32_t in;
	uint32_t out, refused; // main's
	struct pat_ask ask[PAT_ASKS];
};

struct pat_set {
	struct pat_asks *asks; // NULL: no rule changes files
	pthread_mutex_t lock;
	struct pat_file *files, **last;
	bool closed;
	struct pat_use place; // of the line being read; path NULL: none
	uint64_t ids;
	struct pat_live *retired, *waiting;
	uint32_t nretired, nwaiting; // items in them
};

/* ---- patset.c; under the lock ---- */
/*
 * As pat_file_edit(). each: what becomes of every change; one for which there is no such key, or no room, is
 * left out, and no error of all.
 */
int pat_edit_locked(struct pat_file *f, const struct pat_edit *e, uint32_t n, int *each,
	struct sl_buf *why);

/* ---- patview.c; under the lock ---- */
/* Compiles the entries of version ver. 0, -ENOMEM, -EINVAL with a text. */
int pat_live_new(const struct pat_view *v, const struct pat_array *a, uint32_t ver,
	struct pat_live **out, struct sl_buf *why);
void pat_live_free(struct pat_live *l);
