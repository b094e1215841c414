// SPDX-License-Identifier: BSD-3-Clause
/*
 * What TCP takes: of memory at the start, so that it can be refused before it happens, and of the
 * worker's budget for each queue of a connection.
 *
 * Runs on: the main thread, and the worker (tcp_share_scarce). Not here: the taking (tcp_conn.c).
 */
#include "dataplane/tcp/tcp_priv.h"

size_t
tcp_memory(const struct tcp_conf *c)
{
	size_t conns = c->max_conns;

	// TCBs, recoveries (one for eight), both lists to run, half-open, TIME_WAIT, index
	return sizeof(struct tcp_lcore) + pool_bytes(c->max_conns, sizeof(struct tcp_conn)) +
		pool_bytes(c->max_conns / 8 + 64, sizeof(struct tcp_rec)) +
		2 * (2 * conns + 64) * sizeof(uint32_t) +
		pool_bytes(c->max_half_open, sizeof(struct tcp_half)) +
		pool_bytes(c->max_timewait, sizeof(struct tcp_tw)) +
		tcp_table_bytes(c->max_conns + c->max_half_open + c->max_timewait);
}

/* The most that may be held (KB) for a share of `kb` to be there whole: 8 max kb <= (max - held)^2. */
static uint32_t
held_for(uint32_t max, uint32_t kb)
{
	uint64_t need = 8 * (uint64_t)max * kb;
	uint32_t left = 0;

	for (uint32_t bit = 1u << 22; bit != 0; bit >>= 1) // a budget has 32 bits of bytes
		if ((uint64_t)(left + bit) * (left + bit) <= need)
			left += bit;
	left += (uint64_t)left * left < need;
	return left <= max ? max - left : 0;
}

uint32_t
tcp_share_scarce(const struct lcore *lc, uint32_t most)
{
	uint32_t max = sl_max(lc->retain_max >> 10, 1u), held = lc->retained >> 10;
	uint64_t left = max > held ? max - held : 0, share;
	struct tcp_lcore *tl = lc->tcp;

	if (tl->plenty_of != lc->retain_max) {
		tl->plenty_of = lc->retain_max;
		tl->plenty = held_for(max, (tl->conf.rcv_buf + 1023) >> 10) << 10;
	}
	share = left * left / (8 * (uint64_t)max) << 10;
	return (uint32_t)sl_min(share, (uint64_t)most);
}
