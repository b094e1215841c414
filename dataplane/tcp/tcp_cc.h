/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VTABLE of a congestion control. It owns cwnd, ssthresh and cc_priv of the TCB; loss detection
 * and what is sent when belong to tcp_sack.c and tcp_out.c.
 */
#pragma once

#include "dataplane/base/base.h"

struct lcore;
struct tcp_conn;

struct tcp_cc {
	const char *name;
	/* The connection is established (mss is known). */
	void (*init)(struct lcore *lc, struct tcp_conn *tc);
	/* The connection ends; may be NULL. */
	void (*fini)(struct lcore *lc, struct tcp_conn *tc);
	/* `bytes` were acknowledged, outside fast recovery, while cwnd was the limit. */
	void (*acked)(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes);
	/*
	 * Every ACK: `bytes` arrived at the peer since the last one (acknowledged or newly covered
	 * by SACK); rtt_us: a sample, or 0. May be NULL.
	 */
	void (*delivered)(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes, uint32_t rtt_us);
	/* Fast recovery begins: sets ssthresh and cwnd. */
	void (*loss)(struct lcore *lc, struct tcp_conn *tc);
	/* A segment was sent again; may be NULL. */
	void (*resent)(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes);
	/* Fast recovery is over. */
	void (*recovered)(struct lcore *lc, struct tcp_conn *tc);
	/* Retransmission timeout; first: of this flight. */
	void (*rto)(struct lcore *lc, struct tcp_conn *tc, bool first);
	/* Sends again after an idle time longer than the RTO (RFC 5681 4.1). */
	void (*idle)(struct lcore *lc, struct tcp_conn *tc);
};

extern const struct tcp_cc tcp_cc_newreno, tcp_cc_westwood;
/* By struct tcp_conn.cc. */
extern const struct tcp_cc *const tcp_cc_algos[];
