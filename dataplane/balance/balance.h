/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/balance: which server, and which connection to it.
 *
 * Run-time server state is shared by all workers (slots named by server.slot, written by main and
 * by the health checks through main); picking and idle pools are per worker.
 */
#pragma once

#include "dataplane/base/list.h"
#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"
#include "dataplane/mux/mux.h"

enum srv_state { SRV_UP, SRV_DOWN, SRV_MAINT, SRV_DRAIN };

/* One per server slot; main writes, workers read. */
struct srv_run {
	_Atomic(uint8_t) state;    // enum srv_state
	_Atomic(uint16_t) weight;  // effective
	_Atomic(uint32_t) changes; // transitions so far
	_Atomic(uint32_t) maxconn; // 0: none; as configured, or set by command
	/* Where it is, when that was set by command; NULL: as configured. What it points at stays. */
	_Atomic(const struct ip_port *) addr;
	/* any worker: connections in use over all workers, for maxconn (exact) */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) cur;
};

/* A frontend by command; both refuse new connections. */
enum px_stop { PX_STOP_NO, PX_STOP_DISABLED, PX_STOP_SHUT };

/* One per proxy slot. */
struct px_run {
	/* any worker: connections of a frontend over all workers, for maxconn (exact) */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) conns;
	/* main: its maxconn by command, UINT32_MAX: as configured */
	_Atomic(uint32_t) maxconn;
	/* main: enum px_stop */
	_Atomic(uint8_t) stop;
	/* any worker: bit i: worker i has requests waiting for a server of this backend */
	_Atomic(uint64_t) waiters;
};

/* Any thread: where the server is now. */
static inline const struct ip_port *
srv_addr(const struct srv_run *r, const struct server *srv)
{
	const struct ip_port *set = atomic_load_explicit(
		(_Atomic(const struct ip_port *) *)(uintptr_t)&r->addr, memory_order_acquire);

	return unlikely(set != NULL) ? set : &srv->addr;
}

/* One per bind slot. */
struct bind_run {
	/* any worker: connections over all workers, for maxconn (exact) */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) conns;
};

struct bal_shared {
	uint32_t nslots;
	struct srv_run *srv;
	uint32_t nproxies;
	struct px_run *px;
	/* main: addresses that were replaced and may still be read */
	const struct ip_port **retired;
	uint32_t nretired;
	uint32_t nbinds;
	struct bind_run *bind;
	/* any worker: client connections of the process, for the global maxconn */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) conns;
	/* main: the global maxconn by command, UINT32_MAX: as configured */
	_Atomic(uint32_t) maxconn;
};
/* By server, proxy and bind slots; NULL when out of memory. */
struct bal_shared *bal_shared_new(uint32_t nslots, uint32_t nproxies, uint32_t nbinds);
void bal_shared_free(struct bal_shared *s);
/* Main: keeps a replaced srv_run.addr (may be NULL) until bal_shared_reap() or the end. */
void bal_shared_retire(struct bal_shared *s, const struct ip_port *addr);
/* Main: the first n retired ones (s->nretired at that time) were retired before a grace that is over. */
void bal_shared_reap(struct bal_shared *s, uint32_t n);
/* Main: initial states of a generation's servers (checked ones start UP, as HAProxy). */
void bal_shared_init_model(struct bal_shared *s, const struct model *m);

/* idle_per_server: bound of each idle pool. */
int bal_attach(struct lcore *lc, struct bal_shared *s, uint32_t idle_per_server);
void bal_detach(struct lcore *lc);

/* What a request is hashed by; not set: round robin, as where its key has no value. */
struct bal_key {
	bool set;
	uint32_t hash;
};
/* The hash of a key's bytes by the backend's hash-type. */
struct bal_key lb_key(const struct proxy *be, struct sl_str bytes);
/*
 * The order in which weights take their turns in a map-based table: element i of the first n, for
 * `weight[nsrv]` (0: not usable) and work memory of the same size. Config time and degraded picks.
 */
void lb_map_order(const uint32_t *weight, int64_t *score, uint32_t nsrv, uint16_t *out, uint32_t n);

/*
 * Next server of be by its algorithm: up, weight > 0, below maxconn, not `avoid` if another one is
 * there (redispatch). NULL: none usable; then *full says whether some are only at their maxconn.
 * Backup servers only if no other is up. The token is not taken yet.
 */
const struct server *lb_pick(struct lcore *lc, const struct proxy *be, const struct bal_key *key,
	const struct server *avoid, bool *full);
/* maxconn tokens of a server: false when full. Release exactly once. */
bool srv_take(struct lcore *lc, const struct server *srv);
void srv_release(struct lcore *lc, const struct server *srv);
bool srv_is_up(const struct lcore *lc, const struct server *srv);
/* Connections in use over all workers. */
uint32_t srv_cur(const struct lcore *lc, const struct server *srv);

/*
 * Requests that wait because all servers of a backend are at maxconn: one FIFO per worker and
 * backend. A released token goes to this worker's first waiter, else to a worker that has one (by
 * XMSG_SRV_TOKEN; a 10 ms timer covers a full mesh).
 */
struct bal_wait {
	struct sl_list node;
	const struct proxy *be;
	uint32_t ahead; // how many waited when it came, of this worker
	struct bal_key key; // a hashed request waits for its own server
	/* Called out of queue_run(), unlinked, with the token of srv taken. */
	void (*ready)(struct lcore *lc, struct bal_wait *w, const struct server *srv);
};
void queue_add(struct lcore *lc, struct bal_wait *w);
/* Harmless when it does not wait. */
void queue_del(struct lcore *lc, struct bal_wait *w);
/* Gives tokens that were released to waiters; at the end of what may have released some. */
void queue_run(struct lcore *lc);
/* Something else made room: a server came up, a weight changed. Then queue_run(). */
void queue_kick(struct lcore *lc);
/* Also for main. */
uint32_t queue_len(const struct lcore *lc, const struct proxy *be);
/* Messages of other workers: SRV_TOKEN. */
void bal_message(struct lcore *lc, const struct xmsg *m);

/* Idle upstream connections of this worker, LIFO; expired or dead ones never come out. */
struct mux *idle_get(struct lcore *lc, const struct server *srv);
/* Puts an idle mux away; closes the oldest when full. */
void idle_put(struct lcore *lc, const struct server *srv, struct mux *mx);
/* Closes all idle connections to a server slot (it went down), or of all (slot UINT32_MAX). */
void idle_flush(struct lcore *lc, uint32_t slot);
/* Also for main: a look at another thread's number. */
uint32_t idle_count(const struct lcore *lc, uint32_t slot);
