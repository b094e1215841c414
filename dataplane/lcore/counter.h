/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters: written by one owner, read by anyone. A relaxed load and store costs about a cycle; an
 * atomic add would cost fourteen. Readers sum over workers and tolerate a torn set.
 */
#pragma once

#include "dataplane/base/base.h"

typedef _Atomic(uint64_t) counter;

static inline void
counter_add(counter *c, uint64_t n)
{
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void
counter_inc(counter *c)
{
	counter_add(c, 1);
}

static inline void
counter_dec(counter *c)
{
	counter_add(c, (uint64_t)-1);
}

static inline uint64_t
counter_get(const counter *c)
{
	return atomic_load_explicit((counter *)(uintptr_t)c, memory_order_relaxed);
}

#define STAT(sym, name, unit, help) STAT_##sym,
enum lc_stat {
#include "dataplane/lcore/stats.def"
	STAT_NR
};
#undef STAT

#define DROP(sym, name, help) DROP_##sym,
enum drop {
#include "dataplane/lcore/drop.def"
	DROP_NR
};
#undef DROP

struct stat_desc {
	const char *name, *unit, *help;
};
extern const struct stat_desc stat_desc[STAT_NR];
extern const struct stat_desc drop_desc[DROP_NR]; // unit: "packets"

/*
 * Sets of traffic counters, one per worker for each proxy, listener and server slot. One
 * definition feeds the log block, telemetry, and later CSV and Prometheus.
 */
#define PX_COUNTERS(X)                                                                             \
	X(cum_conn, "connections", "connections accepted or opened")                               \
	X(cur_conn, "current connections", "connections open now")                                 \
	X(cum_req, "requests", "requests received or sent")                                        \
	X(bytes_in, "bytes in", "bytes received from clients")                                     \
	X(bytes_out, "bytes out", "bytes sent to clients")                                         \
	X(denied_req, "denied requests", "requests denied by a rule")                              \
	X(failed_req, "failed requests", "requests that were malformed or aborted early")          \
	X(failed_conn, "failed connections", "connections to servers that failed")                 \
	X(failed_resp, "failed responses", "responses that were malformed or aborted")             \
	X(denied_res, "denied responses", "responses denied by a rule")                            \
	X(intercepted, "intercepted", "requests answered by rules of our own")                     \
	X(lb_picks, "picks", "times it was chosen by balancing")                                   \
	X(connects, "connects", "connections to servers that were tried")                          \
	X(reuses, "reuses", "requests sent over a connection that was there")                      \
	X(q_ms, "queue time", "milliseconds that requests waited for a server")                    \
	X(c_ms, "connect time", "milliseconds until servers accepted")                             \
	X(r_ms, "response time", "milliseconds until servers answered")                            \
	X(t_ms, "total time", "milliseconds of whole exchanges")                                   \
	X(timed, "timed", "exchanges that these times are of")                                     \
	X(retries, "retries", "connection attempts repeated")                                      \
	X(redispatches, "redispatches", "requests sent to another server after a failure")         \
	X(cli_aborts, "client aborts", "transfers aborted by the client")                          \
	X(srv_aborts, "server aborts", "transfers aborted by the server")                          \
	X(rsp_1xx, "1xx", "responses of class 1xx")                                                \
	X(rsp_2xx, "2xx", "responses of class 2xx")                                                \
	X(rsp_3xx, "3xx", "responses of class 3xx")                                                \
	X(rsp_4xx, "4xx", "responses of class 4xx")                                                \
	X(rsp_5xx, "5xx", "responses of class 5xx")                                                \
	X(rsp_other, "other responses", "responses of no class")

/* Maxima of a worker; those of all workers together cannot be said exactly. */
enum px_max {
	PX_MAX_CONN,   // connections at a time
	PX_MAX_QUEUED, // requests that waited at a time
	PX_MAX_Q_MS,
	PX_MAX_C_MS,
	PX_MAX_R_MS,
	PX_MAX_T_MS,
	PX_MAX_NR
};

struct px_counters {
#define X(sym, name, help) counter sym;
	PX_COUNTERS(X)
#undef X
	counter max_gen; // of lcore.max_gen when these were begun
	counter max[PX_MAX_NR];
} sl_cache_aligned;
