/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/lcore: what it means to be a packet core.
 *
 * Everything a worker owns hangs from one struct lcore, allocated on its NUMA node and passed as
 * first argument `lc`. Per-layer parts are opaque pointers, so each layer keeps its privacy.
 * Outside the worker's thread, only the fields below the first banner may be touched.
 */
#pragma once

#include <rte_mbuf.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/rand.h"
#include "dataplane/base/tick.h"
#include "dataplane/base/wheel.h"
#include "dataplane/lcore/counter.h"
#include "dataplane/lcore/xring.h"
#include "drivers/port.h"

#define LCORE_MAX 64
#define SCRIPT_MAX 16
#define SCRIPT_SPARE 4 // successors of script threads that are stuck in C

struct model;
struct net_lcore;
struct tcp_lcore;
struct conn_lcore;
struct mux_lcore;
struct bal_lcore;
struct px_lcore;
struct lsock;
struct net_shared;
struct bal_shared;
struct capture;

#define XMSG(sym, from, to, help) XMSG_##sym,
enum xmsg_type {
	XMSG_NONE,
#include "dataplane/lcore/xmsg.def"
	XMSG_NR
};
#undef XMSG

/* A thread that can be woken: the sleep flag and the eventfd (wake.c). */
struct waker {
	alignas(SL_CACHE_LINE) _Atomic(bool) asleep; // the sleeper writes; pushers clear and wake
	int fd;                                      // eventfd, -1: never sleeps
};

/* A pair of rings between a worker and one other thread. */
struct xpair {
	struct xring to;   // other -> worker
	struct xring from; // worker -> other
	struct waker *peer; // who to wake after pushing into `from`
	bool dirty;        // worker: pushed since the last wake
};

/* One worker's view of its two rings with another worker. */
struct xmesh {
	struct xring *in;   // the other writes, we read; NULL for itself
	struct xring *out;  // we write
	struct waker *peer; // the other's
	uint32_t frames;    // our mbufs that are out there (XMSG_FRAME without its FRAME_HOME)
	bool dirty;         // pushed since the last wake
};

/*
 * How much of what queues may hold is held. A level is entered at its share of retain_max, and left
 * a sixteenth below, so that it does not flutter.
 */
enum pressure {
	PRESSURE_NONE,
	PRESSURE_COOKIES, // 8/16: SYNs leave nothing behind; send buffers grow half as far
	PRESSURE_WINDOWS, // 12/16: receive windows are an eighth
	PRESSURE_SHED,    // 14/16: idle connections are closed, requests refused
};

/* What of a generation of the configuration is in use on a worker; by model->place. */
#define LCORE_GENERATIONS 64u
struct lcore_gen {
	counter conns;   // client connections that hold its objects
	counter streams; // requests in flight
	counter slots;   // calls at script threads, also those that nobody waits for any more
};

struct lcore {
	/* ==== owner: only this lcore touches these ==== */
	uint64_t now_us; // monotonic, cached once per loop iteration; virtual in simulators
	uint64_t wall_us; // since the epoch, same moment
	sl_tick now;     // milliseconds of now_us
	uint16_t id;     // 0 .. nlcores-1; also the queue number on every port
	uint16_t nlcores;
	uint16_t nscripts; // pairs in `script` that are polled; further ones exist up to spec.nspare
	bool stopping; // no new connections
	bool quit;     // leave the loop
	bool busy_polling; // never nap
	bool following;    // px_follow() has work: no nap
	sl_tick ticked; // last net_tick()
	sl_tick gauged; // last time the gauges were written
	const struct model *model; // of this loop iteration
	uint64_t served; // 1 + generation of the model whose listeners are open
	struct rte_mempool *pool;
	uint32_t pool_size;   // mbufs in pool
	uint32_t retained;    // truesize of mbufs held in queues, in bytes
	uint32_t retain_max;  // budget
	uint8_t pressure;     // enum pressure, by lcore_pressure()
	struct sl_rand rand;
	struct wheel wheel;   // milliseconds; ctx of callbacks is the lcore
	const struct ports *ports;
	struct net_lcore *net;
	struct tcp_lcore *tcp;
	struct conn_lcore *conn;
	struct mux_lcore *mux;
	struct bal_lcore *bal;
	struct px_lcore *px;
	struct lsock *lsock_waiting; // conn/lsock.c
	struct net_shared *net_shared;
	struct bal_shared *bal_shared;
	uint32_t calls_out; // Lua calls outstanding: naps come later
	/* idle ramp: the last empty iteration, and until when the CPU counts as wanted by others */
	uint64_t idle_us, contended_us;
	uint32_t mbuf_fail_in; // test hook of lcore_mbuf()
	uint64_t epoch;        // last value of `quiescent` while online
	int socket;            // NUMA node or -1
	size_t mapped;         // bytes of the mapping that begins with this struct

	/* ==== owner writes, others read (relaxed) ==== */
	alignas(SL_CACHE_LINE) counter stat[STAT_NR];
	counter drop[DROP_NR];
	counter gauge_pressure;
	counter gauge_conns, gauge_streams, gauge_retained, gauge_mbufs;
	struct px_counters *px_cnt;   // by proxy slot
	struct px_counters *bind_cnt; // by listener slot
	struct px_counters *srv_cnt;  // by server slot
	uint32_t npx_cnt, nbind_cnt, nsrv_cnt;
	struct lcore_gen gen[LCORE_GENERATIONS];
	_Atomic(uint64_t) quiescent; // loop epoch; UINT64_MAX while offline (napping)

	/* ==== others write, owner reads ==== */
	alignas(SL_CACHE_LINE) _Atomic(const struct model *) published;
	_Atomic(struct capture *) capture; // main; NULL: nobody looks (capture.h)
	struct xmesh worker[LCORE_MAX]; // by worker id
	struct xpair main;
	struct xpair io;
	struct xpair script[SCRIPT_MAX + SCRIPT_SPARE];
	struct xring log; // struct logrec pointers are not sent: see logring
	struct logring *logring;
	_Atomic(uint64_t) max_gen; // main: counts up when maxima are cleared
	_Atomic(bool) stop;
	_Atomic(bool) asked_stop_accept;
	_Atomic(bool) host_scarce; // io: few blocks are left, a connection holds one at a time
	struct waker waker;
};

static inline void
stat_inc(struct lcore *lc, enum lc_stat s)
{
	counter_inc(&lc->stat[s]);
}

static inline void
stat_add(struct lcore *lc, enum lc_stat s, uint64_t n)
{
	counter_add(&lc->stat[s], n);
}

/* Owner: a value that may be the largest since maxima were cleared. */
static inline void
px_max(struct lcore *lc, struct px_counters *c, enum px_max which, uint64_t value)
{
	uint64_t gen = atomic_load_explicit(&lc->max_gen, memory_order_relaxed);

	if (unlikely(counter_get(&c->max_gen) != gen)) {
		for (uint32_t i = 0; i < PX_MAX_NR; i++)
			atomic_store_explicit(&c->max[i], 0, memory_order_relaxed);
		atomic_store_explicit(&c->max_gen, gen, memory_order_relaxed);
	}
	if (unlikely(value > counter_get(&c->max[which])))
		atomic_store_explicit(&c->max[which], value, memory_order_relaxed);
}

static inline void
drop_count(struct lcore *lc, enum drop d)
{
	counter_inc(&lc->drop[d]);
}

/* Frees a packet of this worker's pool and counts why. */
static inline void
pkt_drop(struct lcore *lc, struct rte_mbuf *m, enum drop d)
{
	counter_inc(&lc->drop[d]);
	rte_pktmbuf_free(m);
}

/* A fresh buffer of the worker's pool; NULL when empty (the caller counts). */
struct rte_mbuf *lcore_mbuf(struct lcore *lc);
/* Test hook: refuse the n-th next lcore_mbuf (0: off). */
void lcore_mbuf_fail_in(struct lcore *lc, uint32_t n);

void lcore_pressure_change(struct lcore *lc);
/* Once per loop. */
static inline void
lcore_pressure(struct lcore *lc)
{
	if (unlikely(lc->pressure != PRESSURE_NONE || lc->retained > lc->retain_max / 2))
		lcore_pressure_change(lc);
}

/* ---- life; main thread ---- */
struct lcore_spec {
	uint16_t id, nlcores, nscripts;
	uint16_t nspare; // more pairs of rings, for XMSG_SCRIPT_MOVED
	int socket;
	uint64_t seed; // of the random numbers
	struct rte_mempool *pool;
	uint32_t pool_size;
	const struct ports *ports;
	uint32_t npx, nbind, nsrv; // counter slots
};
struct lcore *lcore_new(const struct lcore_spec *s);
void lcore_free(struct lcore *lc);
/* Connects the rings of all workers with each other, once. 0 or -ENOMEM. */
int lcore_mesh(struct lcore **lc, uint16_t n);
/* Takes the rings down again, after the workers have stopped and before lcore_free(). */
void lcore_unmesh(struct lcore **lc, uint16_t n);

/*
 * Pushes to another worker; false when full (counted by the ring). Frames (XMSG_FRAME) have a limit
 * of their own and NEIGH_WANT leaves room, so that FRAME_HOME always fits.
 */
#define LCORE_MESH_RING 2048u
#define LCORE_MESH_FRAMES 512u // of one worker with one other
bool lcore_mesh_push(struct lcore *lc, uint16_t to, const struct xmsg *m);
/*
 * Zeroed memory of a worker: own mapping, MADV_HUGEPAGE, MADV_DONTFORK, prefaulted, on its node.
 * NULL on failure. Lives until the process ends or lcore_unmap().
 */
void *lcore_map(size_t bytes, int socket);
void lcore_unmap(void *p, size_t bytes);

/*
 * Sets now/now_us/wall_us; the loop from the TSC, simulators as they like. The first call, before
 * any timer is armed (so: before the layers are attached), is where the wheel begins.
 */
static inline void
lcore_set_clock(struct lcore *lc, uint64_t now_us, uint64_t wall_us)
{
	bool first = lc->now_us == 0 && lc->wheel.armed == 0;

	lc->now_us = now_us;
	lc->wall_us = wall_us;
	lc->now = (sl_tick)(now_us / 1000);
	if (lc->now == TICK_NONE)
		lc->now = 1;
	if (unlikely(first))
		wheel_init(&lc->wheel, lc->now);
}

/* ---- wake.c: one of the two places with a syscall ---- */
/* Pusher, after its pushes of a loop: one fence, read the flag, at most one eventfd write. */
void waker_wake(struct waker *w);
/* Sleeper: announce; then re-check every ring; then waker_wait() or waker_cancel(). */
void waker_prepare(struct waker *w);
void waker_cancel(struct waker *w);
/* Waits for a wake or timeout_us; clears the flag. */
void waker_wait(struct waker *w, uint64_t timeout_us);
int waker_init(struct waker *w);
void waker_fini(struct waker *w);
/* Once per loop: wakes the peers of all rings that were pushed into. */
void lcore_wake_peers(struct lcore *lc);

/* ---- epoch.c: generations ---- */
/* Worker, once per loop: passes a quiescent point and picks up the published model. */
void epoch_quiescent(struct lcore *lc);
void epoch_offline(struct lcore *lc);
void epoch_online(struct lcore *lc);
/* Main: publish to all, and wait until nobody can still see the old one. */
void epoch_publish(struct lcore **lc, uint16_t n, const struct model *m);
bool epoch_passed(struct lcore **lc, uint16_t n, const uint64_t *since);
void epoch_snapshot(struct lcore **lc, uint16_t n, uint64_t *since);
