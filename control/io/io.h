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

#define IO_BLOCK LSOCK_BLOCK

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
void io_loop_on_message(struct io_loop *l,
	void (*fn)(void *ctx, uint16_t worker, const struct xmsg *m), void *ctx);

/* Through worker w. 0 and *out, -ENOMEM, -EAGAIN (ring full). */
int io_connect(struct io_loop *l, uint16_t w, const struct ip_port *to, const struct io_handler *h,
	void *user, struct io_conn **out);
/* Copies n <= 16 KiB; 0, -ENOSPC. */
int io_send(struct io_conn *c, const void *p, uint32_t n);
/* No more calls; abort: by RST. */
void io_close(struct io_conn *c, bool abort);
