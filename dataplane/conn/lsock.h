/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/conn (for control threads): a connection on a worker that another thread
 * drives. The worker's half (lsock.c) runs on the worker; the other half is control/io/io_stack.c.
 * Blocks are plain memory of the control side: lent full to be sent, lent empty to be filled, and
 * always returned; a worker never allocates for them.
 */
#pragma once

#include "dataplane/conn/conn.h"

#define LSOCK_BLOCK 2048 // bytes of a block

struct lsock_block {
	uint32_t len;
	uint8_t data[LSOCK_BLOCK];
};

enum lsock_event {
	LSOCK_CONNECTED,
	LSOCK_DATA,   // w3: filled block, back to its owner
	LSOCK_SENT,   // w3: emptied block, back to its owner
	LSOCK_EOF,    // the peer finished sending
	LSOCK_CLOSED, // w3: errno; the connection is over, all blocks came back before
	LSOCK_GONE,   // the answer to SOCK_CLOSE, always the last: the lsock may be freed
};

#define LSOCK_CREDIT 4 // empty blocks lent to one connection, at most
#define LSOCK_OUT 16   // full blocks lent to it, at most

/*
 * Allocated by the control side, used by both in turn as said. The control side keeps to the bounds
 * above. Every SOCK_OPEN is followed by one SOCK_CLOSE, also after LSOCK_CLOSED; nothing is sent to
 * an lsock behind it. Blocks that cross on the way come back before LSOCK_GONE.
 */
struct lsock {
	/* ==== control writes before SOCK_OPEN ==== */
	struct ip_port to;
	uint16_t worker;
	bool io; // events go to the io thread, not to main
	/* ==== worker writes before LSOCK_CONNECTED ==== */
	struct ip_port local;
	/* ==== worker only ==== */
	struct conn *conn;
	struct lsock_block *credit[LSOCK_CREDIT]; // empty blocks to fill
	struct lsock_block *out[LSOCK_OUT];       // full blocks not sent yet, oldest first
	struct {
		struct lsock_block *block;
		enum lsock_event type;
	} back[LSOCK_CREDIT + LSOCK_OUT]; // to be returned, oldest first
	uint8_t ncredit, nout, nback;
	uint8_t events; // bits of enum lsock_event still to be told
	bool connected, eof, closing, dead, waiting;
	int err;
	struct lsock *next; // in lc->lsock_waiting: the ring was full
	/* ==== control only ==== */
	void *owner;
};

/* Worker: SOCK_OPEN, SOCK_SEND, SOCK_CREDIT, SOCK_SHUT, SOCK_CLOSE; events go back where they came from. */
void lsock_message(struct lcore *lc, const struct xmsg *m);
/* Worker, once per loop while lc->lsock_waiting: tells what the full ring did not take. */
void lsock_retry(struct lcore *lc);
