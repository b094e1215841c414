// SPDX-License-Identifier: BSD-3-Clause
/*
 * The wheel against a model: an array of deadlines, searched linearly. Random operations from a
 * seed; wheel_validate() after each; starts just before the tick wraps, so that runs cross it.
 */
#include "dataplane/base/rand.h"
#include "dataplane/base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NR 64

struct world {
	struct wheel w;
	struct wheel_timer t[NR];
	sl_tick want[NR]; // the model; TICK_NONE: not armed
	sl_tick now;
	sl_tick last; // date of the last timer that fired in this advance
	uint32_t fired;
	struct sl_rand rnd;
	bool rearm; // callbacks arm and cancel others
	uint64_t seed;
};

static void
check(struct world *x)
{
	uint32_t armed = 0;
	sl_tick first = TICK_NONE;
	uint32_t next = wheel_next_ms(&x->w);

	if (wheel_validate(&x->w) < 0)
		fail_msg("seed %llu: wheel_validate", (unsigned long long)x->seed);
	for (int i = 0; i < NR; i++) {
		assert_int_equal(x->t[i].deadline, x->want[i]);
		armed += x->want[i] != TICK_NONE;
		first = tick_first(first, x->want[i]);
	}
	assert_int_equal(x->w.armed, armed);
	// a lower bound of the first date, and never "nothing" when there is one
	assert_true(next <= tick_remain(x->now, first));
	assert_int_equal(next == UINT32_MAX, armed == 0);
}

static uint32_t
random_delay(struct sl_rand *r)
{
	// every level of the wheel, and dates that hit slot borders
	static const uint32_t spans[] = { 1, 4, 256, 300, 65536, 70000, 1u << 24, TICK_MAX_MS };
	uint32_t span = spans[rand_below(r, SL_ARRAY_SIZE(spans))];

	return rand_below(r, 4) == 0 ? span : rand_below(r, span);
}

static void
arm(struct world *x, uint32_t i, sl_tick at)
{
	wheel_arm(&x->w, &x->t[i], at);
	x->want[i] = at;
}

static void
on_timer(void *ctx, struct wheel_timer *t)
{
	struct world *x = ctx;
	uint32_t i = (uint32_t)(t - x->t);

	assert_int_equal(t->deadline, TICK_NONE);
	assert_true(tick_is_expired(x->want[i], x->now)); // never early
	x->want[i] = TICK_NONE;
	x->fired++;
	if (!x->rearm)
		return;
	if (rand_below(&x->rnd, 2) == 0)
		arm(x, i, tick_add(x->now, random_delay(&x->rnd)));
	if (rand_below(&x->rnd, 4) == 0) {
		uint32_t other = rand_below(&x->rnd, NR);
		wheel_cancel(&x->w, &x->t[other]);
		x->want[other] = TICK_NONE;
	}
	if (rand_below(&x->rnd, 4) == 0)
		arm(x, rand_below(&x->rnd, NR), tick_add(x->now, random_delay(&x->rnd)));
}

static void
start(struct world *x, sl_tick now, uint64_t seed)
{
	memset(x, 0, sizeof(*x));
	x->now = now;
	x->seed = seed;
	rand_seed(&x->rnd, seed);
	wheel_init(&x->w, now);
	for (int i = 0; i < NR; i++)
		wheel_timer_init(&x->t[i], on_timer);
}

/* After an unlimited advance nothing that was due before is left, unless armed meanwhile. */
static void
advance(struct world *x, uint32_t ms)
{
	x->now += ms;
	if (x->rearm) {
		wheel_advance(&x->w, x->now, UINT32_MAX, x);
	} else if (rand_below(&x->rnd, 4) == 0) {
		uint32_t budget = 1 + rand_below(&x->rnd, 5), n;
		do {
			uint32_t before = x->fired;
			n = wheel_advance(&x->w, x->now, budget, x);
			assert_true(n <= budget);
			assert_int_equal(n, x->fired - before);
			check(x);
			// a call may stop early; days behind, dates would order wrongly
		} while (wheel_next_ms(&x->w) == 0 || x->w.pos != x->now);
	} else {
		wheel_advance(&x->w, x->now, UINT32_MAX, x);
	}
	for (int i = 0; i < NR && !x->rearm; i++)
		assert_false(tick_is_expired(x->want[i], x->now));
}

static void
random_run(uint64_t seed, bool rearm)
{
	struct world x;

	start(&x, (sl_tick)(seed % 3 == 0 ? 0u - 70000u : seed * 2654435761u), seed);
	x.rearm = rearm;
	for (int op = 0; op < 1500; op++) {
		uint32_t i = rand_below(&x.rnd, NR), ms;

		switch (rand_below(&x.rnd, 8)) {
		case 0:
		case 1:
		case 2:
			arm(&x, i, tick_add(x.now, random_delay(&x.rnd)));
			break;
		case 3: // later: lazy
			if (x.want[i] != TICK_NONE && tick_remain(x.now, x.want[i]) < 1u << 30)
				arm(&x, i, tick_add(x.want[i], rand_below(&x.rnd, 100000)));
			break;
		case 4:
			wheel_cancel(&x.w, &x.t[i]);
			x.want[i] = TICK_NONE;
			break;
		case 5: // in the past
			arm(&x, i, tick_add(x.now - 1000, rand_below(&x.rnd, 1000)));
			break;
		case 6: // as an idle worker or a simulator: jump to the bound
			if (wheel_next_ms(&x.w) != UINT32_MAX)
				advance(&x, wheel_next_ms(&x.w));
			break;
		default:
			ms = random_delay(&x.rnd);
			advance(&x, ms >> rand_below(&x.rnd, 31));
			break;
		}
		check(&x);
	}
	assert_true(x.fired > 50);
}

static void
model(void **state sl_unused)
{
	for (uint64_t seed = 1; seed <= 60; seed++)
		random_run(seed, false);
}

static void
model_rearming(void **state sl_unused)
{
	for (uint64_t seed = 1; seed <= 60; seed++)
		random_run(seed, true);
}

static void
extension_is_lazy(void **state sl_unused)
{
	struct world x;
	uint64_t moves;

	start(&x, 5000, 1);
	arm(&x, 0, 5100);
	moves = x.w.moves;
	for (sl_tick at = 5101; at < 90000; at += 7)
		arm(&x, 0, at);
	assert_int_equal(x.w.moves, moves);
	check(&x);
	arm(&x, 0, 5110); // earlier than the last, but not than the slot
	assert_int_equal(x.w.moves, moves);
	x.now = 5105;
	assert_int_equal(
		wheel_advance(&x.w, 5105, 10, &x), 0); // the slot fires, the timer does not
	assert_int_equal(x.w.moves, moves + 1);
	arm(&x, 0, 5107); // earlier than the slot: moves at once
	assert_int_equal(x.w.moves, moves + 2);
	x.now = 5107;
	assert_int_equal(wheel_advance(&x.w, 5107, 10, &x), 1);
	assert_int_equal(wheel_next_ms(&x.w), UINT32_MAX);
}

/*
 * A timer that re-arms itself for "now" does not fire endlessly in one call: once, and once more
 * when the wheel was behind.
 */
static void
on_self(void *ctx, struct wheel_timer *t)
{
	struct world *x = ctx;

	x->fired++;
	wheel_arm(&x->w, t, x->now);
}

static void
self_rearm_ends(void **state sl_unused)
{
	struct world x;

	start(&x, UINT32_MAX - 2, 1);
	x.t[0].fn = on_self;
	arm(&x, 0, x.now);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(wheel_next_ms(&x.w), 0);
		assert_in_range(wheel_advance(&x.w, x.now, UINT32_MAX, &x), 1, 2);
		x.now = tick_add(x.now, 1);
	}
	x.now += 100;
	assert_int_equal(wheel_advance(&x.w, x.now, UINT32_MAX, &x), 2);
}

static void
on_order(void *ctx, struct wheel_timer *t)
{
	struct world *x = ctx;
	uint32_t i = (uint32_t)(t - x->t);

	if (x->fired++ > 0)
		assert_false(tick_is_before(x->want[i], x->last));
	x->last = x->want[i];
	x->want[i] = TICK_NONE;
}

static void
fires_in_order(void **state sl_unused)
{
	struct world x;

	start(&x, 0u - 300u, 9);
	for (uint32_t i = 0; i < NR; i++) {
		x.t[i].fn = on_order;
		arm(&x, i, tick_add(x.now, rand_below(&x.rnd, 5000)));
		if (i % 3 == 0)
			arm(&x, i, tick_add(x.want[i], rand_below(&x.rnd, 5000)));
	}
	x.now += 20000;
	assert_int_equal(wheel_advance(&x.w, x.now, UINT32_MAX, &x), NR);
	check(&x);
}

/* Callbacks that cancel the rest of their own slot, as a dying connection does. */
static void
on_massacre(void *ctx, struct wheel_timer *t sl_unused)
{
	struct world *x = ctx;

	x->fired++;
	for (int i = 0; i < NR; i++)
		wheel_cancel(&x->w, &x->t[i]);
	memset(x->want, 0, sizeof(x->want));
}

static void
cancel_within_slot(void **state sl_unused)
{
	struct world x;

	start(&x, 77, 1);
	for (uint32_t i = 0; i < NR; i++) {
		x.t[i].fn = on_massacre;
		arm(&x, i, 100);
	}
	x.now = 200;
	assert_int_equal(wheel_advance(&x.w, 200, UINT32_MAX, &x), 1);
	check(&x);
	// a timer of zeroed memory may be cancelled before it was ever armed
	struct wheel_timer zero = { 0 };
	wheel_cancel(&x.w, &zero);
	wheel_arm(&x.w, &x.t[0], TICK_NONE);
	check(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(model),
		cmocka_unit_test(model_rearming),
		cmocka_unit_test(extension_is_lazy),
		cmocka_unit_test(self_rearm_ends),
		cmocka_unit_test(fires_in_order),
		cmocka_unit_test(cancel_within_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
