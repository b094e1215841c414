/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/balance: which server, and which connection to it.
 *
 * Run-time server state is shared by all workers (slots named by server.slot, written by main and
 * by the health checks through main); picking and idle pools are per worker.
 */
#pragma once

#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"
#include "dataplane/mux/mux.h"

enum srv_state { SRV_UP, SRV_DOWN, SRV_MAINT, SRV_DRAIN };

/* One per server slot; main writes, workers read. */
struct srv_run {
	_Atomic(uint8_t) state;   // enum srv_state
	_Atomic(uint16_t) weight; // effective
	_Atomic(uint32_t) changes; // transitions so far
	/* any worker: connections in use over all workers, for maxconn (exact) */
	alignas(SL_CACHE_LINE) _Atomic(uint32_t) cur;
};

struct bal_shared {
	uint32_t nslots;
	struct srv_run *srv;
};
struct bal_shared *bal_shared_new(uint32_t nslots);
void bal_shared_free(struct bal_shared *s);
/* Main: initial states of a generation's servers (checked ones start UP, as HAProxy). */
void bal_shared_init_model(struct bal_shared *s, const struct model *m);

/* idle_per_server: bound of each idle pool. */
int bal_attach(struct lcore *lc, struct bal_shared *s, uint32_t idle_per_server);
void bal_detach(struct lcore *lc);

/*
 * Next server of be by its algorithm: up, weight > 0, below maxconn, not `avoid` if another one is
 * there (redispatch). NULL: none usable. Backup servers only if no other is up.
 */
const struct server *lb_pick(struct lcore *lc, const struct proxy *be, const struct server *avoid);
/* maxconn tokens of a server: false when full. Release exactly once. */
bool srv_take(struct lcore *lc, const struct server *srv);
void srv_release(struct lcore *lc, const struct server *srv);
bool srv_is_up(const struct lcore *lc, const struct server *srv);

/* Idle upstream connections of this worker, LIFO; expired or dead ones never come out. */
struct mux *idle_get(struct lcore *lc, const struct server *srv);
/* Puts an idle mux away; closes the oldest when full. */
void idle_put(struct lcore *lc, const struct server *srv, struct mux *mx);
/* Closes all idle connections to a server slot (it went down), or of all (slot UINT32_MAX). */
void idle_flush(struct lcore *lc, uint32_t slot);
uint32_t idle_count(const struct lcore *lc, uint32_t slot);
