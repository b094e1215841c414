/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/worker: brings packet cores up and down, and runs their loop.
 */
#pragma once

#include "dataplane/balance/balance.h"
#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"
#include "dataplane/net/net.h"
#include "dataplane/proxy/proxy.h"
#include "dataplane/tcp/tcp.h"

struct worker_spec {
	struct lcore_spec lcore;
	struct net_shared *net;
	struct bal_shared *bal;
	struct tcp_conf tcp;
	uint64_t secret[2];
	uint32_t max_conns; // over both transports: of ours tcp.max_conns, of the host's max_host
	uint32_t max_host;
	uint32_t max_streams, idle_per_server, call_slots;
	bool busy_polling;
};
/*
 * Bytes that a worker's tables will take, in all and for each connection (of a client or to a server)
 * and each request in flight. Of the spec: tcp, max_conns, max_host, max_streams, call slots,
 * lcore.nscripts.
 */
struct worker_memory {
	uint64_t total, fixed; // fixed: whatever does not follow maxconn
	uint32_t per_conn, per_stream;
};
void worker_memory(const struct worker_spec *s, uint32_t nproxies, struct worker_memory *out);
/* Main thread: allocates and attaches all layers. NULL with a text. */
struct lcore *worker_new(const struct worker_spec *s, struct port_err *err);
void worker_free(struct lcore *lc);
/*
 * One iteration: rx bursts -> net -> tcp -> handlers -> rings -> timers -> output -> flush. Returns
 * whether it found work. The clock was set by the caller (TSC or virtual).
 */
bool worker_iterate(struct lcore *lc);
/* The thread: iterates until lc->stop, with the idle ramp. arg: struct lcore. */
int worker_main(void *lc);
/* Longest nap allowed now, us: next timer, outstanding calls. */
uint64_t worker_idle_us(const struct lcore *lc);
