// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rise, fall and intervals: when the next check runs and what a result means.
 *
 * Pure: no clock, no connection. Follows HAProxy 2.6 (its manual, server options rise, fall, inter,
 * fastinter, downinter): failures of an up server count down to `rise`, then it is down at once;
 * successes of a down server count up, one failure starts over.
 */
#include "control/check/check_priv.h"

/* Below this, checks of all servers start at once: HAProxy's threshold. */
#define SPREAD_FROM_MS 1000u

void
check_sm_init(struct check_sm *m, const struct server *srv)
{
	*m = (struct check_sm){ .rise = srv->rise != 0 ? srv->rise : 2,
		.fall = srv->fall != 0 ? srv->fall : 3,
		.inter = srv->inter_ms != 0 ? srv->inter_ms : 2000,
		.fastinter = srv->fastinter_ms,
		.downinter = srv->downinter_ms };
	m->health = m->rise;
}

bool
check_sm_is_up(const struct check_sm *m)
{
	return m->health >= m->rise;
}

enum check_change
check_sm_result(struct check_sm *m, bool ok)
{
	bool up = check_sm_is_up(m);

	if (ok) {
		m->health++;
		if (m->health >= m->rise)
			m->health = (uint16_t)(m->rise + m->fall - 1);
		return !up && check_sm_is_up(m) ? CHECK_UP : CHECK_SAME;
	}
	if (m->health > m->rise) {
		m->health--;
		return CHECK_SAME;
	}
	m->health = 0;
	return up ? CHECK_DOWN : CHECK_SAME;
}

uint32_t
check_sm_interval(const struct check_sm *m)
{
	if (m->health == m->rise + m->fall - 1)
		return m->inter;
	if (m->health == 0)
		return m->downinter != 0 ? m->downinter : m->inter;
	return m->fastinter != 0 ? m->fastinter : m->inter;
}

uint32_t
check_start_ms(uint32_t i, uint32_t n, uint32_t min_ms)
{
	if (min_ms < SPREAD_FROM_MS || n == 0)
		return 0;
	return (uint32_t)((uint64_t)min_ms * i / n);
}
