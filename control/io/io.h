/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of control/io: connections of control threads. io_stack.c: connections that live on a worker
 * (our TCP), driven from an event loop by blocks lent both ways. Kernel sockets join later.
 */
#pragma once

#include <ev.h>

#include "dataplane/base/addr.h"
#include "dataplane/conn/lsock.h"
#include "dataplane/lcore/lcore.h"

struct io_loop; // one per control thread that opens connections
struct io_conn;

#define IO_BLOCK    LSOCK_BLOCK            // bytes lent per block
#define IO_SEND_MAX (LSOCK_OUT * IO_BLOCK) // bytes given and not handed to TCP yet

struct io_handler {
	void (*connected)(struct io_conn *c, void *user);
	/* Bytes in order; valid during the call. */
	void (*data)(struct io_conn *c, void *user, const void *p, uint32_t n);
	void (*sent)(struct io_conn *c, void *user); // everything given was handed to TCP
	/* err: 0 orderly end, else errno. The last call; c is dead afterwards. */
	void (*closed)(struct io_conn *c, void *user, int err);
};

/* Uses the xpair `main` of every worker; its waker wakes the loop. */
struct io_loop *io_loop_new(struct ev_loop *ev, struct lcore **lc, uint16_t n, uint32_t max_conns);
void io_loop_free(struct io_loop *l);
/* Messages of workers that are not for connections. */
void io_loop_on_message(
	struct io_loop *l, void (*fn)(void *ctx, uint16_t worker, const struct xmsg *m), void *ctx);

/* A message of another kind to worker w; false when even the waiting list is full. */
bool io_message(struct io_loop *l, uint16_t w, const struct xmsg *m);

/* Through worker w. 0 and *out, -ENOMEM, -EAGAIN (ring full). */
int io_connect(struct io_loop *l, uint16_t w, const struct ip_port *to, const struct io_handler *h,
	void *user, struct io_conn **out);
/* Copies; 0, -ENOSPC (more than IO_SEND_MAX would wait), -EPIPE, -ENOMEM. */
int io_send(struct io_conn *c, const void *p, uint32_t n);
/* No more calls, c is dead for the caller; abort: by RST. */
void io_close(struct io_conn *c, bool abort);

/* What is lent to workers now, and messages that wait for room in a ring; for tests, telemetry. */
struct io_stats {
	uint32_t conns, blocks, waiting;
	uint64_t ring_full;
};
void io_get_stats(const struct io_loop *l, struct io_stats *out);
