/* SPDX-License-Identifier: BSD-3-Clause */
/* HTTP/1 connections and their streams; private to dataplane/mux. */
#pragma once

#include "dataplane/base/list.h"
#include "dataplane/mux/mux.h"

/*
 * How long a connection that we end is read on, so that what the client still sends does not reset
 * it before it has read our answer (RFC 9112 9.6).
 */
#define MUX_LINGER_MS 2000

#define MX_SERVER    0x0001u
#define MX_CONNECTED 0x0002u
#define MX_CLOSE     0x0004u // no further message on this connection
#define MX_BUSY      0x0008u // mux_run() is on the stack
#define MX_AGAIN     0x0010u // run once more
#define MX_DEAD      0x0020u // freed when mux_run() unwinds
#define MX_LINGER    0x0040u // shut by us, reads until the peer's end

/* What an idle connection costs besides its conn: one cache line and a half. */
struct mux {
	struct conn *c; // NULL: over
	const struct mux_user *u;
	void *owner;
	struct muxs *ms;     // the stream in flight
	struct sl_list node; // in lc->mux->ready or ->linger
	uint32_t flags;
	uint32_t seq; // counts streams: tells an old one from its successor in the same memory
	sl_tick linger_at;
	int16_t err; // errno of the end
};

#define MS_HEAD_DONE  0x0001u
#define MS_RX_DONE    0x0002u
#define MS_TX_STARTED 0x0004u
#define MS_TX_DONE    0x0008u
#define MS_RX_RAW     0x0010u
#define MS_TX_RAW     0x0020u
#define MS_KEEP       0x0040u // the peer's message allows reuse
#define MS_CLOSE      0x0080u // we decided to close
#define MS_PEER10     0x0100u // request in HTTP/1.0
#define MS_DISCARD    0x0200u
#define MS_ERR_TOLD   0x0400u
#define MS_SHUT_TOLD  0x0800u
#define MS_TX_HEAD    0x1000u // a final head went out
#define MS_OVER       0x2000u // the connection died; received bytes are in `stash`

struct muxs {
	struct mux *mx;
	void *user;
	struct http_msg *msg;
	struct http_field *hdr;
	uint16_t maxhdr;
	uint8_t rx_framing, tx_framing; // enum http_framing
	uint8_t err;                    // enum mux_err
	uint8_t req_meth;               // enum http_method: decides the framing of the answer
	uint32_t flags;
	uint32_t pend; // events to tell
	struct h1_parser parser;
	char *hb; // private copy of a head in pieces
	uint32_t hb_len, hb_cap;
	uint32_t head_pending; // bytes of the head that still stand in the receive queue
	uint64_t rx_left;      // HTTP_BODY_LENGTH
	struct h1_chunk rx_chunk;
	struct chain stash;
	uint64_t first_us;
	uint64_t tx_bytes;
};

struct mux_lcore {
	struct pool muxes, streams;
	struct sl_list ready;  // muxes with something to do that nobody will tell them
	struct sl_list linger; // oldest first
	struct wheel_timer ready_timer, linger_timer;
	void *mem;
	size_t mem_size;
	char *scratch; // for heads beyond one segment
	uint32_t scratch_size;
};

/* ---- mux_h1.c ---- */
/* Does what is to be done on a connection; calls the user. */
void mux_run(struct lcore *lc, struct mux *mx);

/* ---- h1_rx.c ---- */
/* Received bytes, also of a connection that is over. */
const struct chain *h1_rx(const struct muxs *ms);
bool h1_rx_eof(const struct muxs *ms);
void h1_rx_drop(struct lcore *lc, struct muxs *ms, uint32_t n);
/* Gives back the bytes of a head that was looked at in place. */
void h1_head_release(struct lcore *lc, struct muxs *ms);
/* 0: a head is complete; -EAGAIN; else ms->err is set and returned as -EBADMSG. */
int h1_head_parse(struct lcore *lc, struct muxs *ms);
void h1_head_reset(struct muxs *ms);
/* Reads and drops body bytes of a stream that discards. */
void h1_discard(struct lcore *lc, struct muxs *ms);
