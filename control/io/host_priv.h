/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Within control/io: the parts of the host transport (io_host.h). All of it belongs to the io thread.
 */
#pragma once

#include <ev.h>

#include "control/io/io_host.h"
#include "control/io/io_priv.h"

#define HBLOCK_LEND     32u // blocks per HOST_WANT
#define HLISTEN_PAUSE_S 0.1 // of a listener, when there is no descriptor or memory

enum hs_flag {
	HS_CONNECTING = 0x01,
	HS_EOM_IN = 0x02,   // the peer has ended
	HS_EOM_DUE = 0x04,  // and the worker is to hear it
	HS_CONN_DUE = 0x08, // HOST_CONNECTED
	HS_ERR_DUE = 0x10,  // HOST_ABORT
	HS_DEAD = 0x20,     // the descriptor is closed
	HS_SHUT = 0x40,     // no more from the worker: shut down when all is written
	HS_CLOSE = 0x80,    // the worker has let go
	HS_GONE_DUE = 0x100,
	HS_ACC_DUE = 0x200, // HOST_ACCEPT
	HS_SHUT_DONE = 0x400,
};

struct hsock {
	struct host_accept acc; // first: what a worker gives back
	struct io_host *h;
	struct hconn *hc;
	uint16_t worker;
	uint16_t flags;
	int fd, err;
	struct ev_io r, w;
	struct sl_list all, blocked, linger;
	double linger_until;
	struct host_block *tx, **tx_last; // to be written
	struct host_block *up, **up_last; // read, and not pushed to the worker yet
	uint32_t lent, lent_blocks;       // read and not consumed by the worker's user
	uint32_t credit;                  // written and not told
};

struct hlisten {
	struct io_host *h;
	struct ip_port addr;
	int fd;
	struct ev_io r;
	struct sl_list node;
};

struct io_host {
	struct io_loop *l;
	struct ev_loop *ev;
	struct lcore *lc[LCORE_MAX];
	uint16_t n, next;
	uint32_t max_socks, nsocks;
	uint32_t soft_blocks, max_blocks, nblocks, nfree;
	bool scarce, paused;
	struct host_block *free;
	struct sl_list blocks;  // all of them
	struct sl_list all;     // hsocks
	struct sl_list blocked; // hsocks with something for a full ring
	struct sl_list linger;  // hsocks that end, the earliest first
	struct sl_list listeners;
	bool want[LCORE_MAX];               // a worker waits for blocks
	struct host_block *lend[LCORE_MAX]; // on their way to a full ring
	struct ev_timer retry, pause, look;
	struct io_host_stats st;
};

/* ---- host_block.c ---- */
/* NULL: none is left, or no memory; counted. */
struct host_block *hblock_get(struct io_host *h);
void hblock_put(struct io_host *h, struct host_block *b);
void hblock_put_list(struct io_host *h, struct host_block *b);
/* Blocks for those workers that asked. true: one of them still waits. */
bool hblock_lend(struct io_host *h);

/* ---- host_sock.c ---- */
/* NULL: beyond the limit, or no memory; counted. Without a descriptor yet. */
struct hsock *hsock_new(struct io_host *h, uint16_t worker);
void hsock_free(struct hsock *s);
/* Takes fd. tcp: it is a socket of TCP, not of a path. */
void hsock_set_fd(struct hsock *s, int fd, bool tcp);
void hsock_close_fd(struct hsock *s, bool reset);
void hsock_name(int fd, bool peer, struct ip_port *out);
/* Which events of the descriptor are of interest now. */
void hsock_watch(struct hsock *s);
/* Of these, s may be gone afterwards. */
void hsock_pump(struct hsock *s);             // reads and writes what is possible, and reports
void hsock_report(struct hsock *s);           // tells the worker; what its ring refuses, later
void hsock_connected(struct hsock *s);        // connect() has ended
void hsock_failed(struct hsock *s, int err);  // the socket is of no use any more
void hsock_gone(struct hsock *s, bool reset); // the worker has let go
/* What waited for a full ring or for blocks. */
void hsock_on_retry(struct ev_loop *ev, struct ev_timer *t, int events);

/* ---- host_listen.c ---- */
void hlisten_on_pause_over(struct ev_loop *ev, struct ev_timer *t, int events);
