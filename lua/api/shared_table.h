/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to lua/api: tables that all states share (api_shared.c). Values are copied in and out. Nothing in
 * here raises a Lua error, so that the lock is always given back.
 */
#pragma once

#include <lua.h>

#include "dataplane/base/str.h"

#define SHARED_TABLES  64
#define SHARED_SUM     (256u << 20) // bytes in all tables together: the most that one may ask for, too
#define SHARED_BUCKETS 4096u        // of a table

enum shared_type { VAL_NONE, VAL_INT, VAL_NUM, VAL_BOOL, VAL_STR, VAL_BUSY };
struct shared_val {
	enum shared_type type;
	union {
		lua_Integer i;
		lua_Number n;
		bool b;
		struct sl_str s; // malloced
		struct {         // core.once: somebody is at it
			struct script_thread *thread; // NULL: while files are loaded
			uint64_t id;
			const void *scope; // whose: script_scope()
		} busy;
	};
};

struct shared_item {
	struct shared_item *next;
	struct shared_val v;
	uint64_t expires_us; // 0: never
	uint32_t len;
	char key[];
};

struct shared_table {
	char name[64];
	size_t bytes, max;
	uint64_t items, refused, expired;
	uint64_t soonest_us; // nothing expires before; 0: nothing does at all
	struct shared_item *bucket[SHARED_BUCKETS];
};

/* Tests: another sum than SHARED_SUM, before there are threads. */
void shared_limit(size_t bytes);
/* Around all that follows but shared_now_us() and shared_same(). */
void shared_lock(void);
void shared_unlock(void);
uint64_t shared_now_us(void); // monotonic
/* The table of that name; a new one gets `max` bytes (0: 16 MiB). NULL: too many tables, or no memory. */
struct shared_table *shared_open(const char *name, size_t max);
/* Where the item hangs, or would; *at is NULL if there is none. What has expired on the way is dropped. */
struct shared_item **shared_find(struct shared_table *t, struct sl_str key);
void shared_drop(struct shared_table *t, struct shared_item **at);
/* us 0: never. */
void shared_expire(struct shared_table *t, struct shared_item *it, uint64_t us);
/*
 * Copies key and value. ttl_us 0: for ever; keep_ttl: an existing item's stays. False, and counted: no room,
 * even after what has expired was dropped, in all tables if need be, or no memory. Places of shared_find()
 * hold no longer.
 */
bool shared_put(struct shared_table *t, struct sl_str key, const struct shared_val *v,
	uint64_t ttl_us, bool keep_ttl);
/* A copy, whose string is the caller's to free() (NULL: no memory); it NULL: VAL_NONE. */
struct shared_val shared_copy(const struct shared_item *it);
bool shared_same(const struct shared_val *a, const struct shared_val *b);
