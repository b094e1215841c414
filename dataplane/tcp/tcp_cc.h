/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VTABLE of a congestion control. It owns ssthresh, and cwnd outside of fast recovery (there PRR
 * does, tcp_prr.c), and its part of struct tcp_rec. Loss detection and what is sent when belong to
 * tcp_rack.c, tcp_sack.c and tcp_out.c. Every row must do without a tcp_rec: the pool is bounded.
 */
#pragma once

#include "dataplane/base/base.h"

struct lcore;
struct tcp_conn;
struct tcp_rec;

struct tcp_cc {
	const char *name;
	bool paced; // cwnd is its own in fast recovery as well (no PRR), and tcp_pace.c sends
	/* The connection is established (mss is known). */
	void (*init)(struct lcore *lc, struct tcp_conn *tc);
	/* The connection got its tcp_rec (zeroed); may be NULL. */
	void (*rec)(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r);
	/* `bytes` were acknowledged, outside fast recovery, while cwnd was the limit. */
	void (*acked)(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes);
	/*
	 * Every ACK: `bytes` arrived at the peer since the last one (acknowledged or newly covered
	 * by SACK); rtt_us: a sample, or 0. May be NULL.
	 */
	void (*delivered)(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes, uint32_t rtt_us);
	/* Fast recovery begins: sets ssthresh. */
	void (*loss)(struct lcore *lc, struct tcp_conn *tc);
	/* A segment was sent again; may be NULL. */
	void (*resent)(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes);
	/* Fast recovery is over. */
	void (*recovered)(struct lcore *lc, struct tcp_conn *tc);
	/* The last loss() was needless; cwnd and ssthresh are restored already. May be NULL. */
	void (*undo)(struct lcore *lc, struct tcp_conn *tc);
	/* Retransmission timeout; first: of this flight. */
	void (*rto)(struct lcore *lc, struct tcp_conn *tc, bool first);
	/* Sends again after an idle time longer than the RTO (RFC 5681 4.1). */
	void (*idle)(struct lcore *lc, struct tcp_conn *tc);
};

/*
 * What a loss is measured by: the flight, but no more than the window. Behind a hole the bytes that are
 * not acknowledged pile up to a multiple of it, most of them reported by SACK; a second loss would
 * raise the window.
 */
uint32_t tcp_cc_flight(const struct tcp_conn *tc);
/* Half of that, at least two segments (RFC 5681 (4)). */
uint32_t tcp_half_flight(const struct tcp_conn *tc);
/* HyStart++ (RFC 9406), for slow start before any loss. */
void tcp_hystart_init(const struct tcp_conn *tc, struct tcp_rec *r);
void tcp_hystart_sample(struct tcp_conn *tc, struct tcp_rec *r, uint32_t rtt_us);
/* As delivered() of what needs no more than that. */
void tcp_hystart_delivered(
	struct lcore *lc, struct tcp_conn *tc, uint32_t bytes, uint32_t rtt_us);
/* What slow start may add for so many acknowledged bytes. */
uint32_t tcp_slow_start(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes);

extern const struct tcp_cc tcp_cc_newreno, tcp_cc_westwood, tcp_cc_cubic, tcp_cc_bbr;
/* By struct tcp_conn.cc. */
extern const struct tcp_cc *const tcp_cc_algos[];
