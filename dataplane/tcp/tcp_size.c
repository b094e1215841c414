// SPDX-License-Identifier: BSD-3-Clause
/*
 * What tcp_attach() will take, so that a start can be refused before it happens.
 *
 * Runs on: the main thread. Not here: the taking itself (tcp_conn.c).
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
