// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tables that all states share.
 *
 * Runs on: script threads, and the loader. One lock for all tables: sections are a hash lookup long, or a
 * look at all items where there is no room and some have expired, and no worker ever takes it.
 * Bounds: a table holds SHARED_BYTES of keys and values unless its first user asks for another limit, and
 * all together SHARED_SUM, whatever scripts ask for; what does not fit is refused and counted, after what has
 * expired was dropped, of all tables where the sum is what is short. At most SHARED_TABLES tables. They live
 * as long as the process.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/base/hash.h"
#include "lua/api/shared_table.h"

#define SHARED_BYTES (16u << 20)

static struct {
	pthread_mutex_t lock;
	struct shared_table *table[SHARED_TABLES];
	size_t bytes, max; // in all of them
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER, .max = SHARED_SUM };

void
shared_limit(size_t bytes)
{
	shared.max = bytes;
}

void
shared_lock(void)
{
	pthread_mutex_lock(&shared.lock);
}

void
shared_unlock(void)
{
	pthread_mutex_unlock(&shared.lock);
}

uint64_t
shared_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static size_t
size_of(const struct shared_item *it)
{
	return sizeof(*it) + it->len + (it->v.type == VAL_STR ? it->v.s.len : 0);
}

void
shared_drop(struct shared_table *t, struct shared_item **at)
{
	struct shared_item *it = *at;

	*at = it->next;
	t->bytes -= size_of(it);
	shared.bytes -= size_of(it);
	t->items--;
	if (it->v.type == VAL_STR)
		free((void *)(uintptr_t)it->v.s.p);
	free(it);
}

struct shared_item **
shared_find(struct shared_table *t, struct sl_str key)
{
	struct shared_item **at = &t->bucket[hash_mix(hash_fnv(key)) % SHARED_BUCKETS];
	uint64_t now = 0;

	while (*at != NULL) {
		if ((*at)->expires_us != 0) {
			now = now != 0 ? now : shared_now_us();
			if ((*at)->expires_us <= now) {
				t->expired++;
				shared_drop(t, at);
				continue;
			}
		}
		if ((*at)->len == key.len && memcmp((*at)->key, key.p, key.len) == 0)
			return at;
		at = &(*at)->next;
	}
	return at;
}

void
shared_expire(struct shared_table *t, struct shared_item *it, uint64_t us)
{
	it->expires_us = us;
	if (us != 0 && (t->soonest_us == 0 || us < t->soonest_us))
		t->soonest_us = us;
}

/* A walk over all items, but only when one may have expired since the one before. */
static void
drop_expired(struct shared_table *t)
{
	uint64_t now = shared_now_us();

	if (t->soonest_us == 0 || t->soonest_us > now)
		return;
	t->soonest_us = 0;
	for (uint32_t i = 0; i < SHARED_BUCKETS; i++) {
		struct shared_item **at = &t->bucket[i];
		while (*at != NULL) {
			if ((*at)->expires_us != 0 && (*at)->expires_us <= now) {
				t->expired++;
				shared_drop(t, at);
			} else {
				shared_expire(t, *at, (*at)->expires_us);
				at = &(*at)->next;
			}
		}
	}
}

/* Would the table hold `need` bytes in place of what is at `at`? */
static bool
fits(const struct shared_table *t, const struct shared_item *at, size_t need)
{
	return t->bytes - (at != NULL ? size_of(at) : 0) + need <= t->max;
}

/* Would all together? */
static bool
fits_sum(const struct shared_item *at, size_t need)
{
	size_t old = at != NULL ? size_of(at) : 0;

	return need <= old || shared.bytes - old + need <= shared.max;
}

/* The place of key, which `need` bytes fit into now; NULL: they do not. */
static struct shared_item **
make_room(struct shared_table *t, struct sl_str key, size_t need)
{
	struct shared_item **at = shared_find(t, key);

	if (!fits(t, *at, need)) {
		drop_expired(t);
		at = shared_find(t, key); // what it stood on may be gone
	}
	if (!fits(t, *at, need))
		return NULL;
	if (!fits_sum(*at, need)) {
		for (int i = 0; i < SHARED_TABLES && shared.table[i] != NULL; i++)
			drop_expired(shared.table[i]);
		at = shared_find(t, key);
	}
	return fits_sum(*at, need) ? at : NULL;
}

bool
shared_put(struct shared_table *t, struct sl_str key, const struct shared_val *v, uint64_t ttl_us,
	bool keep_ttl)
{
	size_t need = sizeof(struct shared_item) + key.len + (v->type == VAL_STR ? v->s.len : 0);
	struct shared_item **at = make_room(t, key, need), *it;
	uint64_t expires = ttl_us != 0 ? shared_now_us() + ttl_us : 0;
	char *copy = NULL;

	if (at == NULL) {
		t->refused++;
		return false;
	}
	if (keep_ttl && *at != NULL)
		expires = (*at)->expires_us;
	it = malloc(sizeof(*it) + key.len);
	if (v->type == VAL_STR)
		copy = malloc((size_t)v->s.len + 1);
	if (it == NULL || (v->type == VAL_STR && copy == NULL)) {
		free(it);
		free(copy);
		t->refused++;
		return false;
	}
	if (*at != NULL)
		shared_drop(t, at);
	*it = (struct shared_item){ .next = *at, .v = *v, .len = key.len };
	shared_expire(t, it, expires);
	memcpy(it->key, key.p, key.len);
	if (v->type == VAL_STR) {
		memcpy(copy, v->s.p, v->s.len);
		it->v.s = sl_str_make(copy, v->s.len);
	}
	*at = it;
	t->bytes += size_of(it);
	shared.bytes += size_of(it);
	t->items++;
	return true;
}

struct shared_table *
shared_open(const char *name, size_t max)
{
	for (int i = 0; i < SHARED_TABLES; i++) {
		struct shared_table *t = shared.table[i];
		if (t == NULL) {
			t = calloc(1, sizeof(*t));
			if (t == NULL)
				return NULL;
			snprintf(t->name, sizeof(t->name), "%s", name);
			t->max = max != 0 ? max : SHARED_BYTES;
			shared.table[i] = t;
			return t;
		}
		if (strcmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

bool
shared_same(const struct shared_val *a, const struct shared_val *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case VAL_INT:
		return a->i == b->i;
	case VAL_NUM:
		return a->n == b->n;
	case VAL_BOOL:
		return a->b == b->b;
	case VAL_STR:
		return sl_str_eq(a->s, b->s);
	default:
		return true;
	}
}

struct shared_val
shared_copy(const struct shared_item *it)
{
	struct shared_val v = it != NULL ? it->v : (struct shared_val){ .type = VAL_NONE };

	if (v.type == VAL_STR) {
		char *p = malloc((size_t)v.s.len + 1);
		if (p != NULL)
			memcpy(p, v.s.p, v.s.len);
		v.s.p = p;
	}
	return v;
}
