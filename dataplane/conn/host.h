/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/conn (for control/io): a kernel socket on the io thread behind the conn vtable.
 *
 * The worker's half is struct hconn (conn_host.c), in a pool of the worker; io's half is the socket
 * (control/io/io_host.c). Between them messages HOST_*, in order, and blocks of plain memory that
 * io owns and lends. Each direction has a credit of HOST_WINDOW bytes and HOST_BLOCKS blocks: sent
 * and not yet consumed by the other side's user, or not yet written into the socket.
 *
 * Life: the worker says HOST_CONNECT, or io says HOST_ACCEPT and the worker HOST_OPEN or
 * HOST_REFUSE. The worker says HOST_CLOSE once, whatever happened; io answers HOST_GONE once, its
 * last message, after which the hconn is free. Pointers in messages are good because of that.
 */
#pragma once

#include "dataplane/conn/conn.h"

#define HOST_BLOCK  8152u // bytes of a block; with its head 8 KiB
#define HOST_BLOCKS 8u
#define HOST_WINDOW (HOST_BLOCK * HOST_BLOCKS) // bytes on their way in one direction

struct host_block {
	struct host_block *next; // in the queue that holds it
	struct sl_list all;      // io only
	uint32_t off, len;       // data that is left
	uint8_t data[HOST_BLOCK];
};

/* What io tells about a connection that it accepted; lives until HOST_OPEN or HOST_REFUSE. */
struct host_accept {
	struct ip_port listen; // as given to conn_listen()
	struct ip_port local, remote;
	struct host_accept *next; // the worker's: those that it could not refuse yet
};

struct hconn {
	/* ==== worker writes before HOST_CONNECT ==== */
	struct ip_port to;
	/* ==== io writes before HOST_CONNECTED ==== */
	struct ip_port local, remote;
	/* ==== io only ==== */
	void *sock;
	/* ==== worker only ==== */
	struct conn *c;      // NULL: the user has let go
	struct sl_list node; // in the worker's list of those with something to do
	struct chain rx, tx;
	struct host_block *in, **in_last; // came, and not copied to rx yet
	struct host_accept *accept;       // HOST_OPEN is due
	uint32_t out;                     // bytes at io, not written yet
	uint32_t read, blocks;            // consumed and not told to io yet
	uint32_t events;                  // CONN_EV_* to be told
	uint32_t shown_in, shown_out;     // sequence numbers in a capture
	uint32_t flags;
};

/* Worker: HOST_ACCEPT, _CONNECTED, _DATA, _CREDIT, _EOM, _ABORT, _GONE, _BLOCKS from io. */
void host_message(struct lcore *lc, const struct xmsg *m);
/* Worker: tells users what came, and io what they did. Returns how many it served. */
uint32_t host_run(struct lcore *lc);
/* Worker: something is left to be done by host_run(). */
bool host_pending(const struct lcore *lc);
