// SPDX-License-Identifier: BSD-3-Clause
/*
 * Hierarchical timing wheel: four levels of 256 slots, one per byte of the tick.
 *
 * Runs on: the one owner of the wheel. A node sits on the level of the highest byte in which its
 * date differs from `pos`, in the slot of that byte; when pos arrives there, the slot is spread
 * over the levels below. So a node moves at most three times, and everything on a level comes
 * before everything on the next.
 *
 * Invariants: no node is due before pos. The slots of pos' own bytes are empty on levels >= 1,
 * except while a spread that ran out of budget goes on; pos does not move before it is finished.
 * A date in the past is put at `now`, so it fires in the next (or the running) wheel_advance().
 */
#include "dataplane/base/wheel.h"

#define SLOT_MASK      (WHEEL_SLOTS - 1)

/*
 * Work that calls nobody (spreading slots, re-inserting extended timers) is bounded too: a node's
 * move costs a cache miss, about a quarter of a call.
 */
#define MOVES_PER_CALL 4u
#define MOVES_MIN      64u

struct work {
	uint32_t calls;
	uint64_t moves;
};

static inline uint32_t
slot_index(sl_tick at, int level)
{
	return (at >> (level * WHEEL_BITS)) & SLOT_MASK;
}

static void
map_set(struct wheel *w, int level, uint32_t i)
{
	w->map[level][i / 64] |= 1ull << (i % 64);
}

static void
map_clear(struct wheel *w, int level, uint32_t i)
{
	w->map[level][i / 64] &= ~(1ull << (i % 64));
}

/* First non-empty slot at index >= from, or WHEEL_SLOTS. */
static uint32_t
map_next(const struct wheel *w, int level, uint32_t from)
{
	for (uint32_t word = from / 64; word < WHEEL_SLOTS / 64; word++) {
		uint64_t bits = w->map[level][word];
		if (word == from / 64)
			bits &= ~0ull << (from % 64);
		if (bits != 0)
			return word * 64 + (uint32_t)__builtin_ctzll(bits);
	}
	return WHEEL_SLOTS;
}

static void
insert(struct wheel *w, struct wheel_timer *t, sl_tick at)
{
	uint32_t diff = at ^ w->pos;
	int level = diff == 0 ? 0 : (31 - __builtin_clz(diff)) / WHEEL_BITS;
	uint32_t i = slot_index(at, level);

	t->slot_at = at;
	sl_list_add_tail(&w->slot[level][i], &t->node);
	map_set(w, level, i);
	w->moves++;
}

/* Unlinks; a slot that becomes empty loses its bit. */
static void
detach(struct wheel *w, struct wheel_timer *t)
{
	// the only node of a list has the head on both sides; a head outside the array belongs
	// to the slot that wheel_advance() is working on
	if (t->node.next == t->node.prev) {
		uintptr_t off = (uintptr_t)t->node.next - (uintptr_t)&w->slot[0][0];
		if (off < sizeof(w->slot)) {
			uint32_t i = (uint32_t)(off / sizeof(struct sl_list));
			map_clear(w, (int)(i / WHEEL_SLOTS), i % WHEEL_SLOTS);
		}
	}
	sl_list_del(&t->node);
}

void
wheel_init(struct wheel *w, sl_tick now)
{
	memset(w, 0, sizeof(*w));
	w->now = w->pos = now;
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		for (uint32_t i = 0; i < WHEEL_SLOTS; i++)
			sl_list_init(&w->slot[level][i]);
	}
}

void
wheel_timer_init(struct wheel_timer *t, wheel_fn fn)
{
	sl_list_init(&t->node);
	t->deadline = TICK_NONE;
	t->slot_at = TICK_NONE;
	t->fn = fn;
}

void
wheel_arm_slow(struct wheel *w, struct wheel_timer *t, sl_tick deadline)
{
	if (deadline == TICK_NONE) {
		wheel_cancel(w, t);
		return;
	}
	if (t->deadline != TICK_NONE)
		detach(w, t);
	else
		w->armed++;
	t->deadline = deadline;
	insert(w, t, tick_is_before(deadline, w->now) ? w->now : deadline);
}

void
wheel_cancel(struct wheel *w, struct wheel_timer *t)
{
	if (t->deadline == TICK_NONE)
		return;
	detach(w, t);
	t->deadline = TICK_NONE;
	w->armed--;
}

/* Moves a slot's nodes to a list of their own, so that callbacks may fill the slot again. */
static void
slot_take(struct wheel *w, int level, uint32_t i, struct sl_list *list)
{
	struct sl_list *slot = &w->slot[level][i];

	sl_list_init(list);
	if (sl_list_is_empty(slot))
		return;
	*list = *slot;
	list->next->prev = list->prev->next = list;
	sl_list_init(slot);
	map_clear(w, level, i);
}

/* Puts what is left back in front of what came meanwhile. */
static void
slot_return(struct wheel *w, int level, uint32_t i, struct sl_list *list)
{
	struct sl_list *slot = &w->slot[level][i];

	if (sl_list_is_empty(list))
		return;
	list->prev->next = slot->next;
	slot->next->prev = list->prev;
	slot->next = list->next;
	list->next->prev = slot;
	map_set(w, level, i);
}

/* pos has reached a slot of a higher level: its nodes go to the levels below. */
static void
spread(struct wheel *w, int level, struct work *left)
{
	uint32_t i = slot_index(w->pos, level);
	struct sl_list list;

	slot_take(w, level, i, &list);
	while (!sl_list_is_empty(&list) && left->moves > 0) {
		struct wheel_timer *t = sl_list_first(&list, struct wheel_timer, node);
		left->moves--;
		sl_list_del(&t->node);
		// an extended timer goes to its real date at once
		insert(w, t, tick_is_before(t->slot_at, t->deadline) ? t->deadline : t->slot_at);
	}
	slot_return(w, level, i, &list);
}

/* The slot of pos itself: calls who is due, re-inserts who was extended. */
static uint32_t
fire(struct wheel *w, struct work *left, void *ctx)
{
	uint32_t i = slot_index(w->pos, 0), called = 0;
	struct sl_list list;

	slot_take(w, 0, i, &list);
	while (!sl_list_is_empty(&list) && left->calls > 0 && left->moves > 0) {
		struct wheel_timer *t = sl_list_first(&list, struct wheel_timer, node);
		sl_list_del(&t->node);
		if (tick_is_before(w->pos, t->deadline)) {
			left->moves--;
			insert(w, t, t->deadline);
			continue;
		}
		t->deadline = TICK_NONE;
		w->armed--;
		left->calls--;
		called++;
		t->fn(ctx, t);
	}
	slot_return(w, 0, i, &list);
	return called;
}

/* Is a slot of pos itself occupied? Returns its level (the highest first), or -ENOENT. */
static int
level_pending(const struct wheel *w)
{
	for (int level = WHEEL_LEVELS - 1; level >= 0; level--) {
		uint32_t i = slot_index(w->pos, level);
		if ((w->map[level][i / 64] >> (i % 64)) & 1)
			return level;
	}
	return -ENOENT;
}

/* The date at which the next slot behind pos is reached. */
static bool
next_slot(const struct wheel *w, sl_tick *at)
{
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		int shift = level * WHEEL_BITS;
		uint32_t own = slot_index(w->pos, level);
		uint32_t i = map_next(w, level, own + 1);

		if (i == WHEEL_SLOTS && level == WHEEL_LEVELS - 1)
			i = map_next(w, level, 0); // the tick itself wraps
		if (i == WHEEL_SLOTS)
			continue;
		*at = (w->pos & ~(((sl_tick)SLOT_MASK << shift) | ((1u << shift) - 1))) |
			(i << shift);
		return true;
	}
	return false;
}

uint32_t
wheel_advance(struct wheel *w, sl_tick now, uint32_t budget, void *ctx)
{
	struct work left = { budget, (uint64_t)budget * MOVES_PER_CALL + MOVES_MIN };
	uint32_t called = 0;

	if (tick_is_before(w->now, now))
		w->now = now;
	for (;;) {
		sl_tick at;
		int level = level_pending(w);

		if (level > 0) {
			spread(w, level, &left);
			if (left.moves == 0)
				return called;
			continue;
		}
		if (level == 0) {
			bool last = w->pos == w->now;
			called += fire(w, &left, ctx);
			// what callbacks put at `now` waits for the next call
			if (last || left.calls == 0 || left.moves == 0)
				return called;
			continue;
		}
		if (!next_slot(w, &at) || tick_is_before(w->now, at)) {
			w->pos = w->now;
			return called;
		}
		w->pos = at;
	}
}

uint32_t
wheel_next_ms(const struct wheel *w)
{
	sl_tick at;

	if (w->armed == 0)
		return UINT32_MAX;
	if (level_pending(w) >= 0)
		return 0;
	if (!next_slot(w, &at))
		return UINT32_MAX;
	return tick_is_before(w->now, at) ? at - w->now : 0;
}

static int
validate_node(const struct wheel *w, const struct wheel_timer *t, int level, uint32_t i)
{
	uint32_t own = slot_index(w->pos, level);
	uint32_t above = level == WHEEL_LEVELS - 1 ? 0 : ~0u << ((level + 1) * WHEEL_BITS);

	if (t->deadline == TICK_NONE || slot_index(t->slot_at, level) != i)
		return -EINVAL;
	if (((t->slot_at ^ w->pos) & above) != 0 || tick_is_before(t->slot_at, w->pos))
		return -EINVAL;
	if (level < WHEEL_LEVELS - 1 && i < own)
		return -EINVAL;
	// later than the deadline only for a deadline that was past when it was set
	if (tick_is_before(t->deadline, t->slot_at) && tick_is_before(w->now, t->slot_at))
		return -EINVAL;
	return 0;
}

int
wheel_validate(const struct wheel *w)
{
	uint32_t count = 0;

	if (tick_is_before(w->now, w->pos))
		return -EINVAL;
	// slots whose bit is clear are not looked at: what they held would be missing from the count
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		for (uint32_t i = map_next(w, level, 0); i < WHEEL_SLOTS; i = map_next(w, level, i + 1)) {
			const struct sl_list *slot = &w->slot[level][i];

			if (sl_list_is_empty(slot))
				return -EINVAL;
			for (const struct sl_list *n = slot->next; n != slot; n = n->next) {
				if (n->next->prev != n || ++count > w->armed)
					return -EINVAL;
				if (validate_node(w, sl_list_entry(n, struct wheel_timer, node),
					    level, i) < 0)
					return -EINVAL;
			}
		}
	}
	return count == w->armed ? 0 : -EINVAL;
}
