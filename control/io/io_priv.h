/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of control/io share. */
#pragma once

#include "control/io/io.h"

/* One connection over our TCP: open, shut, close, its blocks. */
#define MESSAGES_PER_CONN (3 + LSOCK_OUT + LSOCK_CREDIT)

/* Messages that wait for room in a worker's ring. */
struct pending {
	struct xmsg *m;
	uint32_t head, count, mask;
};

struct io_loop {
	struct ev_loop *ev;
	struct lcore *lc[LCORE_MAX];
	uint16_t n;
	enum io_pair pair;
	uint32_t max, conns, lent; // connections over our TCP, blocks of theirs at workers
	uint64_t ring_full, stray;
	struct waker waker;
	struct ev_io io;
	struct ev_prepare prepare;
	struct ev_check check;
	struct ev_idle busy; // active: this round does not block
	struct ev_timer retry;
	struct pending pend[LCORE_MAX];
	struct sl_list all;     // struct io_conn
	struct sl_list sources; // struct io_source
	struct {
		io_message_fn fn;
		void *ctx;
	} on[XMSG_NR];
};

/* ---- io_loop.c ---- */
/* The rings between this loop and worker w. */
struct xpair *io_pair(const struct io_loop *l, uint16_t w);
/* One message and the wake-up; false when the ring is full. */
bool io_push(struct io_loop *l, uint16_t w, const struct xmsg *m);
/* Waits where the ring is full, as long as the list has room for `leave` more. */
bool io_post(struct io_loop *l, uint16_t w, const struct xmsg *m, uint32_t leave);

/* ---- io_stack.c ---- */
void io_stack_event(const struct xmsg *m);
/* The workers have stopped: frees connections, and blocks in messages that nobody read. */
void io_stack_fini(struct io_loop *l);
