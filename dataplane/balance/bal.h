/* SPDX-License-Identifier: BSD-3-Clause */
/* What one worker knows of servers; private to dataplane/balance. */
#pragma once

#include "dataplane/balance/balance.h"

/* The owner writes, main may look. */
typedef _Atomic(uint32_t) gauge;

static inline uint32_t
gauge_get(const gauge *g)
{
	return atomic_load_explicit((gauge *)(uintptr_t)g, memory_order_relaxed);
}

static inline void
gauge_add(gauge *g, int32_t n)
{
	atomic_store_explicit(g, gauge_get(g) + (uint32_t)n, memory_order_relaxed);
}

/*
 * An idle connection is closed after this long: shorter than the keep-alive of the usual servers,
 * so that a request rarely meets one that is being closed.
 */
#define IDLE_MAX_MS 5000
/* How often waiters look for room by themselves, should a message between workers be lost. */
#define QUEUE_POLL_MS 10

struct idle {
	struct sl_list node;
	struct mux *mx;
	uint32_t slot;
	sl_tick expires;
};

struct idle_slot {
	struct sl_list list; // newest first
	gauge count;
};

struct bal_queue {
	struct sl_list list; // oldest first
	gauge count;
};

struct bal_lcore {
	struct bal_shared *shared;
	uint32_t nslots, nproxies;
	int32_t *rr;            // by server slot: its credit in the smooth round robin
	int64_t *score;         // by server slot: work memory of lb_hash.c
	uint32_t *weight;       // likewise
	struct idle_slot *idle; // by server slot
	struct bal_queue *queue; // by proxy slot
	uint32_t idle_max;       // per server
	uint32_t nwaiting;
	uint32_t nqueues; // above the highest one that was ever used
	bool released; // a token went back since the last queue_run()
	bool running;  // queue_run() is on the stack
	struct pool entries;
	struct wheel_timer purge, poll;
	void *mem;
	size_t mem_size;
};

/* ---- server.c ---- */
static inline struct srv_run *
srv_run_of(const struct lcore *lc, const struct server *srv)
{
	return &lc->bal->shared->srv[srv->slot];
}
/* Up and below maxconn? *full is set when only maxconn stands against it. */
static inline bool
srv_run_has_room(const struct srv_run *r, bool *full)
{
	uint32_t max;

	if (atomic_load_explicit(&r->state, memory_order_relaxed) != SRV_UP)
		return false;
	max = atomic_load_explicit(&r->maxconn, memory_order_relaxed);
	if (likely(max == 0) || atomic_load_explicit(&r->cur, memory_order_relaxed) < max)
		return true;
	*full = true;
	return false;
}
bool srv_has_room(const struct lcore *lc, const struct server *srv, bool *full);

/* ---- lb_roundrobin.c, lb_hash.c ---- */
/* As lb_pick(), of those that are no backups. */
const struct server *roundrobin_pick(
	struct lcore *lc, const struct proxy *be, const struct server *avoid, bool *full);
const struct server *hash_pick(struct lcore *lc, const struct proxy *be, uint32_t hash,
	const struct server *avoid, bool *full);

/* ---- idle.c, queue.c ---- */
void idle_on_purge(void *ctx, struct wheel_timer *t);
void queue_on_poll(void *ctx, struct wheel_timer *t);
/* A token of srv went back: notes it, and tells another worker that waits. */
void queue_released(struct lcore *lc, const struct server *srv);
