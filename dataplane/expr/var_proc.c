// SPDX-License-Identifier: BSD-3-Clause
/*
 * Variables of the process: one store of a generation, for all its workers, states and the runtime API.
 *
 * Any thread reads and writes, none ever waits for another: a value is written into blocks of its own
 * and then published by one exchange. The blocks of the value before it go to a list of free ones at
 * once, so a reader may find them used again below its hands: it copies, and looks whether the
 * variable still has the value that it began with; if not, it begins again. Tags count the values of a
 * variable: 2^32 would have to pass within one copy to be taken for none. Names stay for good, a variable
 * that is unset has a name without a value.
 *
 *	place[hash] -> name -> now: tag and first block    block -> block -> ...
 *
 * Words of a block are stored with release and loaded with acquire: who has seen a word of a later user
 * also sees that the variable has moved on.
 * Runs on: any thread; the loader makes, bounds and frees a store.
 * Follows: HAProxy 2.6, "proc." and tune.vars.proc-max-size; unlike there a value that finds no room
 * leaves the old one as it is.
 */
#include <sys/mman.h>

#include "dataplane/base/hash.h"
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

#define PLACES     2048u // of names; three quarters are used at most
/* What is counted fits, with the blocks' links and their last bytes, and new values beside the old ones. */
#define BLOCK_BYTES (PROC_VARS_BYTES + (2u << 20))
#define BLOCKS      (BLOCK_BYTES / sizeof(struct block))
#define WORDS      31u // of a block: 256 bytes with its link
#define HEAD_WORDS (sizeof(struct sample) / 8)
#define NONE       0u // blocks are numbered from 1

struct block {
	_Atomic(uint32_t) next;
	uint32_t pad;
	_Atomic(uint64_t) w[WORDS];
};

/* Never changes but for `now` and `declared`. */
struct name {
	_Atomic(uint64_t) now; // tag of its version in the upper half, first block in the lower one
	_Atomic(bool) declared; // the configuration names it
	uint32_t hash, len;
	char text[PROC_VAR_NAME];
};

struct proc_vars {
	_Atomic(uint64_t) used;  // bytes, as they are counted
	_Atomic(uint64_t) limit; // of them
	_Atomic(uint64_t) spare; // tag and first block of those that were given back
	_Atomic(uint32_t) fresh; // blocks that never were in use begin behind it
	_Atomic(uint32_t) nnames;
	_Atomic(uint32_t) place[PLACES]; // number of its name, from 1; 0: free
	struct name name[PLACES];
	struct block block[];
};

static_assert(sizeof(struct sample) % 8 == 0, "a sample is stored as words");
static_assert(sizeof(struct block) == 256, "blocks are counted by it");

struct proc_vars *
proc_vars_new(void)
{
	struct proc_vars *p = mmap(NULL, sizeof(*p) + BLOCK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	p->limit = PROC_VARS_BYTES; // pages come when they are touched
	return p;
}

void
proc_vars_free(struct proc_vars *p)
{
	if (p != NULL)
		munmap(p, sizeof(*p) + BLOCK_BYTES);
}

void
proc_vars_limit(struct proc_vars *p, uint64_t bytes)
{
	p->limit = bytes == 0 ? PROC_VARS_BYTES : sl_min(bytes, (uint64_t)PROC_VARS_BYTES);
}

/* ---- blocks ---- */

static struct block *
block_at(struct proc_vars *p, uint32_t i)
{
	return &p->block[i - 1];
}

static uint64_t
tagged(uint64_t old, uint32_t i)
{
	return ((old >> 32) + 1) << 32 | i;
}

static uint32_t
block_get(struct proc_vars *p)
{
	uint64_t head = atomic_load_explicit(&p->spare, memory_order_acquire);
	uint32_t i;

	while ((uint32_t)head != NONE) {
		uint32_t next = atomic_load_explicit(
			&block_at(p, (uint32_t)head)->next, memory_order_acquire);
		if (atomic_compare_exchange_weak_explicit(&p->spare, &head, tagged(head, next),
			    memory_order_acq_rel, memory_order_acquire))
			return (uint32_t)head;
	}
	i = atomic_load_explicit(&p->fresh, memory_order_relaxed);
	while (i < BLOCKS) {
		if (atomic_compare_exchange_weak_explicit(
			    &p->fresh, &i, i + 1, memory_order_relaxed, memory_order_relaxed))
			return i + 1;
	}
	return NONE;
}

/* A chain that nobody but late readers sees. */
static void
blocks_put(struct proc_vars *p, uint32_t first)
{
	uint64_t head = atomic_load_explicit(&p->spare, memory_order_acquire);
	uint32_t last = first, next;

	if (first == NONE)
		return;
	while ((next = atomic_load_explicit(&block_at(p, last)->next, memory_order_acquire)) != NONE)
		last = next;
	do {
		atomic_store_explicit(
			&block_at(p, last)->next, (uint32_t)head, memory_order_release);
	} while (!atomic_compare_exchange_weak_explicit(&p->spare, &head, tagged(head, first),
		memory_order_acq_rel, memory_order_acquire));
}

static void
store(struct block *b, uint32_t at, const void *from, uint32_t len)
{
	uint64_t w;

	for (; len != 0; at++) {
		uint32_t n = sl_min(len, 8u);
		w = 0;
		memcpy(&w, from, n);
		atomic_store_explicit(&b->w[at], w, memory_order_release);
		from = (const char *)from + n;
		len -= n;
	}
}

static void
load(const struct block *b, uint32_t at, void *to, uint32_t len)
{
	for (; len != 0; at++) {
		uint32_t n = sl_min(len, 8u);
		uint64_t w = atomic_load_explicit(&b->w[at], memory_order_acquire);
		memcpy(to, &w, n);
		to = (char *)to + n;
		len -= n;
	}
}

/* The first block has the sample before its text. Returns NONE without room. */
static uint32_t
value_put(struct proc_vars *p, const struct sample *v)
{
	uint32_t left = sample_has_text(v) ? v->s.len : 0, at = HEAD_WORDS;
	const char *from = left != 0 ? v->s.p : NULL;
	uint32_t first = block_get(p), i = first;

	if (first == NONE)
		return NONE;
	atomic_store_explicit(&block_at(p, i)->next, NONE, memory_order_release);
	store(block_at(p, i), 0, v, sizeof(*v));
	for (;;) {
		uint32_t n = sl_min(left, (uint32_t)(WORDS - at) * 8), next;
		store(block_at(p, i), at, from, n);
		left -= n;
		if (left == 0)
			return first;
		from += n;
		next = block_get(p);
		if (next == NONE) {
			blocks_put(p, first);
			return NONE;
		}
		atomic_store_explicit(&block_at(p, next)->next, NONE, memory_order_release);
		atomic_store_explicit(&block_at(p, i)->next, next, memory_order_release);
		i = next;
		at = 0;
	}
}

/* May read what is no value any more: the caller looks. False: it surely was none. */
static bool
text_get(struct proc_vars *p, uint32_t i, uint32_t len, char *to)
{
	uint32_t at = HEAD_WORDS;

	for (;;) {
		uint32_t n = sl_min(len, (uint32_t)(WORDS - at) * 8);
		load(block_at(p, i), at, to, n);
		len -= n;
		if (len == 0)
			return true;
		to += n;
		i = atomic_load_explicit(&block_at(p, i)->next, memory_order_acquire);
		if (i == NONE || i > BLOCKS)
			return false;
		at = 0;
	}
}

/* ---- names ---- */

static struct name *
name_find(struct proc_vars *p, struct sl_str text, uint32_t hash, uint32_t *place)
{
	for (uint32_t at = hash % PLACES;; at = (at + 1) % PLACES) {
		uint32_t i = atomic_load_explicit(&p->place[at], memory_order_acquire);
		struct name *n = i != 0 ? &p->name[i - 1] : NULL;

		*place = at;
		if (n == NULL ||
			(n->hash == hash && sl_str_eq(sl_str_make(n->text, n->len), text)))
			return n;
	}
}

/* NULL: no room. A name that another thread adds meanwhile wins; the number taken for ours is lost. */
static struct name *
name_add(struct proc_vars *p, struct sl_str text, uint32_t hash)
{
	uint32_t place, none, i = 0;
	struct name *n = name_find(p, text, hash, &place);

	while (n == NULL) {
		if (i == 0) {
			if (text.len > PROC_VAR_NAME ||
				atomic_load_explicit(&p->nnames, memory_order_relaxed) >= PROC_VARS_NAMES)
				return NULL;
			i = atomic_fetch_add_explicit(&p->nnames, 1, memory_order_relaxed) + 1;
			if (i > PROC_VARS_NAMES)
				return NULL;
			n = &p->name[i - 1];
			n->hash = hash;
			n->len = text.len;
			memcpy(n->text, text.p, text.len);
		}
		none = 0;
		if (atomic_compare_exchange_strong_explicit(&p->place[place], &none, i,
			    memory_order_acq_rel, memory_order_acquire))
			return &p->name[i - 1];
		n = name_find(p, text, hash, &place);
	}
	return n;
}

/* ---- variables ---- */

static uint64_t
size_of(const struct sample *v)
{
	return PROC_VAR_SIZE + (sample_has_text(v) ? v->s.len : 0);
}

/* The sample at the head of what `now` names; false: there is none, or it has just gone. */
static bool
head_get(struct proc_vars *p, const struct name *n, uint64_t now, struct sample *out)
{
	if ((uint32_t)now == NONE)
		return false;
	load(block_at(p, (uint32_t)now), 0, out, sizeof(*out));
	return atomic_load_explicit(&n->now, memory_order_acquire) == now;
}

/* Puts block `first` (NONE: no value) where the old value was, which is counted no more. */
static void
publish(struct proc_vars *p, struct name *n, uint32_t first)
{
	uint64_t old = atomic_load_explicit(&n->now, memory_order_acquire);
	struct sample was;

	while (!atomic_compare_exchange_weak_explicit(&n->now, &old, tagged(old, first),
		memory_order_acq_rel, memory_order_acquire))
		;
	if ((uint32_t)old == NONE)
		return;
	load(block_at(p, (uint32_t)old), 0, &was, sizeof(was)); // ours now
	blocks_put(p, (uint32_t)old);
	atomic_fetch_sub_explicit(&p->used, size_of(&was), memory_order_relaxed);
}

/* What the variable has taken so far: it is given back when the new value is there. */
static uint64_t
size_now(struct proc_vars *p, const struct name *n)
{
	struct sample was;

	return head_get(p, n, atomic_load_explicit(&n->now, memory_order_acquire), &was)
		? size_of(&was)
		: 0;
}

int
proc_var_declare(struct proc_vars *p, struct sl_str text)
{
	struct name *n = name_add(p, text, hash_fnv(text));

	if (n == NULL)
		return -ENOSPC;
	atomic_store_explicit(&n->declared, true, memory_order_relaxed);
	return 0;
}

bool
proc_var_get(struct proc_vars *p, struct sl_str text, struct sample *out, struct arena *mem)
{
	uint32_t place, room = 0;
	struct name *n = name_find(p, text, hash_fnv(text), &place);
	char *to = NULL;
	struct sample v; // its text is where the writer had it: not for the caller

	if (n == NULL)
		return false;
	for (;;) {
		uint64_t now = atomic_load_explicit(&n->now, memory_order_acquire);
		if ((uint32_t)now == NONE)
			return false;
		if (!head_get(p, n, now, &v))
			continue;
		if (sample_has_text(&v)) {
			if (to == NULL || v.s.len > room) {
				// it grows below our hands: room for whatever it may become
				room = to == NULL ? v.s.len : PROC_VAR_MAX;
				to = arena_alloc(mem, room);
				if (to == NULL)
					return false;
			}
			if (!text_get(p, (uint32_t)now, v.s.len, to) ||
				atomic_load_explicit(&n->now, memory_order_acquire) != now)
				continue;
			v.s.p = to;
		}
		*out = v;
		return true;
	}
}

int
proc_var_set(struct proc_vars *p, struct sl_str text, const struct sample *v, bool ifexist)
{
	uint32_t hash = hash_fnv(text), place, first;
	struct name *n = name_find(p, text, hash, &place);
	uint64_t size = size_of(v), used;

	if (ifexist && (n == NULL ||
			       (!atomic_load_explicit(&n->declared, memory_order_relaxed) &&
				       (uint32_t)atomic_load_explicit(
					       &n->now, memory_order_acquire) == NONE)))
		return -ENOENT;
	if (n == NULL)
		n = name_add(p, text, hash);
	if (n == NULL || size > PROC_VAR_SIZE + PROC_VAR_MAX)
		return -ENOSPC;
	used = atomic_fetch_add_explicit(&p->used, size, memory_order_relaxed) + size;
	// the value of now may be another thread's, and not be in `used` yet: no difference of them
	if (used > atomic_load_explicit(&p->limit, memory_order_relaxed) + size_now(p, n) ||
		(first = value_put(p, v)) == NONE) {
		atomic_fetch_sub_explicit(&p->used, size, memory_order_relaxed);
		return -ENOSPC;
	}
	publish(p, n, first);
	return 0;
}

void
proc_var_unset(struct proc_vars *p, struct sl_str text)
{
	uint32_t place;
	struct name *n = name_find(p, text, hash_fnv(text), &place);

	if (n != NULL)
		publish(p, n, NONE);
}

uint64_t
proc_vars_used(const struct proc_vars *p)
{
	return atomic_load_explicit(&p->used, memory_order_relaxed);
}
