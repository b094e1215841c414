/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hierarchical timing wheel in milliseconds: O(1) arm and cancel, lazy extension.
 *
 * The user embeds a struct wheel_timer. Moving a deadline later is a plain store of `deadline` in
 * wheel_arm(): the slot fires early, sees the later date and re-inserts the node. Only an
 * earlier date moves the node at once. One owner thread; no allocation.
 */
#pragma once

#include "dataplane/base/list.h"
#include "dataplane/base/tick.h"

#define WHEEL_BITS   8
#define WHEEL_SLOTS  (1u << WHEEL_BITS)
#define WHEEL_LEVELS 4 // 2^32 ms

struct wheel_timer;
/* May arm, cancel or free any timer, also its own. */
typedef void (*wheel_fn)(void *ctx, struct wheel_timer *t);

struct wheel_timer {
	struct sl_list node;
	sl_tick deadline; // TICK_NONE: not armed
	sl_tick slot_at;  // date for which the node sits in the wheel; <= deadline unless past
	wheel_fn fn;
};

struct wheel {
	sl_tick now; // the latest date given to wheel_advance()
	sl_tick pos; // everything before was fired; behind `now` only when a budget ran out
	uint32_t armed;
	uint64_t moves; // insertions, for tests and telemetry
	struct sl_list slot[WHEEL_LEVELS][WHEEL_SLOTS];
	uint64_t map[WHEEL_LEVELS][WHEEL_SLOTS / 64]; // non-empty slots
};

void wheel_init(struct wheel *w, sl_tick now);
void wheel_timer_init(struct wheel_timer *t, wheel_fn fn);
/*
 * Sets the deadline; TICK_NONE cancels. A later deadline than the current one is lazy. A past
 * deadline fires in the next wheel_advance().
 */
static inline void wheel_arm(struct wheel *w, struct wheel_timer *t, sl_tick deadline);
void wheel_cancel(struct wheel *w, struct wheel_timer *t);
/*
 * Advances to `now` and calls fn(ctx, t) of at most `budget` expired timers (deadline cleared
 * before the call). Returns the number called; the rest fires in the next call (wheel_next_ms()
 * is 0 then). Moving nodes inside the wheel is bounded in proportion to the budget, so a call may
 * stop early with less than `budget` calls.
 */
uint32_t wheel_advance(struct wheel *w, sl_tick now, uint32_t budget, void *ctx);
/*
 * Milliseconds from `now` until a slot may fire: a lower bound, 0 if something is due, UINT32_MAX if nothing
 * is armed. Lets an idle worker choose its nap, and a simulator jump.
 */
uint32_t wheel_next_ms(const struct wheel *w);
/* Walks all slots and checks each node against the range its slot may hold; 0 or -EINVAL. */
int wheel_validate(const struct wheel *w);

/* The general case of wheel_arm(). */
void wheel_arm_slow(struct wheel *w, struct wheel_timer *t, sl_tick deadline);

static inline void
wheel_arm(struct wheel *w, struct wheel_timer *t, sl_tick deadline)
{
	if (likely(t->deadline != TICK_NONE && deadline != TICK_NONE &&
		    !tick_is_before(deadline, t->slot_at)))
		t->deadline = deadline;
	else
		wheel_arm_slow(w, t, deadline);
}
