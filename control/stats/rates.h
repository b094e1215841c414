/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What counters alone do not say: rates over the last second and maxima, from looking at the
 * counters four times a second. So a peak shorter than that may be missed.
 */
#pragma once

#include <ev.h>

#include "control/stats/stats.h"

#define RATES_STEPS 4 // looks per second

struct rate_window {
	uint64_t seen[RATES_STEPS + 1]; // counter at the last looks; newest at `at`
	uint32_t rate, max;
};
struct rates_of {
	struct rate_window sess, req;
	uint32_t cur_max;
	uint64_t last_session; // wall seconds of the last growth of cum_conn; 0: none
};
struct rates {
	struct ev_loop *ev;
	struct ev_timer timer;
	struct lcore *const *lc;
	uint16_t nlc;
	uint32_t at;
	struct rates_of *px, *srv, *bind;
	uint32_t npx, nsrv, nbind;
	struct rate_window conn, bytes_out; // of the process
};

struct rates *rates_new(struct ev_loop *ev, struct lcore *const *lc, uint16_t nlc, uint32_t npx,
	uint32_t nsrv, uint32_t nbind);
void rates_free(struct rates *r);
/* The slot has another owner. */
void rates_forget(struct rates *r, enum stats_set set, uint32_t slot);
/* Forgets maxima. */
void rates_clear_max(struct rates *r);
