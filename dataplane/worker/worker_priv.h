/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of dataplane/worker share: bounds of one iteration, and the idle ramp. */
#pragma once

#include "dataplane/worker/worker.h"

#define RX_BURST 32
#define MSG_BURST 64      // messages of one ring
#define TIMER_BUDGET 256u // expired timers; the rest fires in the next iteration
#define NET_TICK_MS 10

/* Idle ramp: empty iterations before the next step. */
#define IDLE_SPIN 2000u  // poll on
#define IDLE_PAUSE 4000u // with pauses
/* While scripts work for requests of this worker: others go first from here, naps come from there on. */
#define IDLE_YIELD     64u
#define IDLE_CALLS     50000u // some milliseconds
/*
 * An empty iteration that took so long did not have the CPU: others want it. Then spinning takes from
 * those for whom the worker waits (scripts, servers and clients on the same machine), and for a while it
 * naps almost at once.
 */
#define PREEMPTED_US 300u
#define GIVEN_US     10u // and a yield, as long as there are calls out
#define CONTENDED_US 500000u
#define IDLE_CONTENDED 64u
#define NAP_MIN_US 20u
#define NAP_MAX_US 100u  // a packet that comes meanwhile waits this long, and its wake-up

/* One step of the ramp after an empty iteration; resets *empty when it was not idle. idle.c */
void worker_idle(struct lcore *lc, uint32_t *empty, bool busy_polling);
/* Opens the listeners of a model that is new to this worker. */
void worker_serve(struct lcore *lc);
/* Levels that others read: connections, streams, buffers. */
void worker_gauges(struct lcore *lc);
