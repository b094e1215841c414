/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wrap-safe milliseconds.
 *
 * A tick is a 32-bit count of milliseconds that wraps every 49.7 days. Two ticks are compared by
 * the sign of their difference, so dates up to 24.8 days apart order correctly. The value 0 is
 * reserved for "never" (TICK_NONE): tick_add() skips it. Nobody subtracts two dates by hand.
 */
#pragma once

#include "dataplane/base/base.h"

typedef uint32_t sl_tick;

#define TICK_NONE ((sl_tick)0)
// Longest delay: four hours less than what orders, so that a date that far away also orders against
// dates that lie a little in the past (a wheel that is behind, a timer that is late).
#define TICK_MAX_MS 0x7f000000u

static inline bool
tick_is_set(sl_tick t)
{
	return t != TICK_NONE;
}

/* now + ms; ms is capped so that the result still orders. */
static inline sl_tick
tick_add(sl_tick now, uint32_t ms)
{
	sl_tick t = now + (ms > TICK_MAX_MS ? TICK_MAX_MS : ms);
	return t == TICK_NONE ? 1 : t;
}

/* As tick_add, but a zero timeout means "never" (HAProxy: an unset timeout). */
static inline sl_tick
tick_add_ifset(sl_tick now, uint32_t ms)
{
	return ms == 0 ? TICK_NONE : tick_add(now, ms);
}

/* Both must be set. */
static inline bool
tick_is_before(sl_tick a, sl_tick b)
{
	return (int32_t)(a - b) < 0;
}

/* An unset tick never expires. */
static inline bool
tick_is_expired(sl_tick t, sl_tick now)
{
	return t != TICK_NONE && (int32_t)(t - now) <= 0;
}

/* The earlier of two dates; unset counts as never. */
static inline sl_tick
tick_first(sl_tick a, sl_tick b)
{
	if (a == TICK_NONE)
		return b;
	if (b == TICK_NONE)
		return a;
	return tick_is_before(a, b) ? a : b;
}

/* Milliseconds from now to t, 0 if past; UINT32_MAX if unset. */
static inline uint32_t
tick_remain(sl_tick now, sl_tick t)
{
	if (t == TICK_NONE)
		return UINT32_MAX;
	return (int32_t)(t - now) <= 0 ? 0 : t - now;
}
