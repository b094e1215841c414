/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/conn (for control threads): a connection on a worker that another thread
 * drives. The worker's half (lsock.c) runs on the worker; the other half is control/io/io_stack.c.
 * Blocks are plain memory of the control side: lent full to be sent, lent empty to be filled, and
 * always returned; a worker never allocates for them.
 */
#pragma once

#include "dataplane/conn/conn.h"

struct lsock_block {
	uint32_t len;
	uint8_t data[]; // IO_BLOCK bytes
};

enum lsock_event {
	LSOCK_CONNECTED,
	LSOCK_DATA,   // w3: filled block, back to its owner
	LSOCK_SENT,   // w3: emptied block, back to its owner
	LSOCK_EOF,    // the peer finished sending
	LSOCK_CLOSED, // w3: errno; blocks not returned before come in this order: all SENT/DATA first
};

/* Allocated by the control side, used by both in turn as said. */
struct lsock {
	/* ==== control writes before SOCK_OPEN ==== */
	struct ip_port to;
	uint16_t worker;
	/* ==== worker only ==== */
	struct conn *conn;
	struct lsock_block *credit[4]; // empty blocks to fill
	struct lsock_block *out[16];   // full blocks not sent yet
	uint8_t ncredit, nout;
	bool eof_sent, dead, connected;
	/* ==== control only ==== */
	void *owner;
};

/* Worker: SOCK_OPEN, SOCK_SEND, SOCK_CREDIT, SOCK_CLOSE; events go to lc->main.from. */
void lsock_message(struct lcore *lc, const struct xmsg *m);
