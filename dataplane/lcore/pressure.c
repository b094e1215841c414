// SPDX-License-Identifier: BSD-3-Clause
/*
 * Levels of pressure: what of the budget for queues is used decides what is given up.
 *
 * Runs on: the worker. Who acts: tcp (cookies, windows, send buffers), proxy (shed.c). Not here: the
 * budget itself (lcore.c), which no queue exceeds whatever the level.
 */
#include "dataplane/lcore/lcore.h"

#include "dataplane/base/hot.h"

#define PARTS 16
static const uint8_t enter[] = { 0, 8, 12, 14 };

void
lcore_pressure_change(struct lcore *lc)
{
	uint32_t part = sl_max(lc->retain_max / PARTS, 1u), level = lc->pressure;

	while (level < PRESSURE_SHED && lc->retained > enter[level + 1] * part) {
		level++;
		stat_inc(lc, (enum lc_stat)(STAT_PRESSURE_COOKIES + level - PRESSURE_COOKIES));
	}
	while (level > PRESSURE_NONE && lc->retained <= (enter[level] - 1u) * part)
		level--;
	lc->pressure = (uint8_t)level;
}
