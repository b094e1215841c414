/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/mux: streams on a connection. h1 now, h2 later behind the same functions. Runs
 * on the owning worker.
 *
 * A mux sits on one conn, as server side (client connections: it creates streams from requests) or
 * client side (upstream connections: streams are attached). It parses and writes heads, finds the
 * end of bodies, and knows whether the connection can be used again. What a stream does with a
 * message is its user's matter (proxy), through struct mux_user.
 */
#pragma once

#include "dataplane/conn/conn.h"
#include "dataplane/http/http.h"

struct mux;  // one connection
struct muxs; // one stream on it

enum mux_err {
	MUX_OK,
	MUX_ERR_PARSE,   // malformed message: see h1_error
	MUX_ERR_TOO_BIG, // head over the limits (431 / 400 / 502)
	MUX_ERR_EOF,     // closed inside a message
	MUX_ERR_RESET,   // connection error: see conn_error()
	MUX_ERR_NOMEM,
};

struct mux_user {
	/*
	 * Server side: the first byte of a new request is there; creates a stream. Returns its user
	 * pointer, or NULL (no memory: the connection is refused). Called once per request.
	 */
	void *(*open)(struct lcore *lc, void *owner, struct mux *mx, struct muxs *ms);
	/*
	 * Memory for a head that does not lie in one buffer; it becomes the message's own. Lives as
	 * long as the stream. NULL: the stream gets MUX_ERR_NOMEM.
	 */
	char *(*head_mem)(struct lcore *lc, struct muxs *ms, void *user, uint32_t size);
	/* Something changed for this stream: MUX_EV_* bits. */
	void (*event)(struct lcore *lc, struct muxs *ms, void *user, uint32_t events);
	/*
	 * The connection has ended, or sits idle without a stream and was closed by the peer (client
	 * side: or has sent something nobody asked for). mx is dead when this returns.
	 */
	void (*gone)(struct lcore *lc, void *owner, struct mux *mx);
};

#define MUX_EV_HEAD      0x01u  // a final head is complete: muxs_msg()
#define MUX_EV_BODY      0x02u  // payload to receive
#define MUX_EV_EOM       0x04u  // the end of the message was received from the wire
#define MUX_EV_SPACE     0x08u  // room to send came back
#define MUX_EV_ERROR     0x10u  // muxs_error()
#define MUX_EV_SHUT      0x20u  // the peer closed its direction (tunnel: end of data)
#define MUX_EV_INTERIM   0x40u  // a 1xx head (other than 101) was received: muxs_msg()
#define MUX_EV_CONNECTED 0x80u  // client side: the connection is up
#define MUX_EV_SENT      0x100u // everything sent was acknowledged

int mux_attach(struct lcore *lc, uint32_t max_mux);
size_t mux_memory(uint32_t max_mux); // bytes that it will take
void mux_detach(struct lcore *lc);

/*
 * Wraps a connection. owner: passed to user->open and ->gone. NULL when out of memory (the conn
 * stays the caller's).
 */
struct mux *mux_new(
	struct lcore *lc, struct conn *c, bool server, const struct mux_user *u, void *owner);
/* The conn's handler for muxes: conn_connect(…, &mux_conn_handler, mx). */
extern const struct conn_handler mux_conn_handler;
/* Its event function, for the handlers of listeners. */
void mux_conn_event(struct lcore *lc, struct conn *c, void *mx, uint32_t events);
void mux_conn_prefetch(const void *mx);
/* Client side before the conn exists: gives a mux to pass as the user of conn_connect. */
void mux_set_conn(struct mux *mx, struct conn *c);
struct conn *mux_conn(const struct mux *mx);
void *mux_owner(const struct mux *mx);
void mux_set_owner(struct mux *mx, const struct mux_user *u, void *owner);
/* Ends the connection: orderly, or by reset. mx is dead. Streams must be detached. */
void mux_close(struct lcore *lc, struct mux *mx, bool reset);
/* Can another request be sent over it (client side, no stream, alive, nothing unread)? */
bool mux_is_reusable(const struct mux *mx);
/* Server side: bytes of a next request are waiting (pipelining), or none: idle keep-alive. */
bool mux_is_idle(const struct mux *mx);

/* Client side: starts a stream. NULL when the mux is not reusable. */
struct muxs *mux_attach_stream(struct lcore *lc, struct mux *mx, void *user);
/*
 * The stream is finished with. Server side: goes on to the next request if both messages ended
 * and keep-alive holds, else closes (lingering so that the answer gets through, RFC 9112 9.6).
 * Client side: the mux becomes idle if both messages ended, else it is closed.
 * Returns true if the mux lives on (idle or next request), false if it is gone (or lingers by
 * itself: then it has forgotten its owner). Never calls the user: a pipelined request is opened in
 * the next loop, or when the event that is running returns.
 */
bool muxs_detach(struct lcore *lc, struct muxs *ms);
struct mux *muxs_mux(const struct muxs *ms);
void muxs_set_user(struct muxs *ms, void *user);

/* ---- receiving ---- */
/*
 * Where the parser puts the head and its fields: set in open(), or after mux_attach_stream(). The
 * message stays the stream's after muxs_detach().
 */
void muxs_set_msg(struct muxs *ms, struct http_msg *m, struct http_field *hdr, uint16_t maxhdr);
/*
 * The head, parsed where it lies: read-only, valid until the event returns or muxs_recv() is
 * called, unless HTTP_F_OWNED.
 */
struct http_msg *muxs_msg(struct muxs *ms);
/* Copies the head to mem (cap >= len + HTTP_REWRITE) if it is not owned yet. 0 or -ENOSPC. */
int muxs_own(struct lcore *lc, struct muxs *ms, char *mem, uint32_t cap);
/*
 * Will the head be readable where it lies also after muxs_recv() of up to max bytes, as long as the
 * buffers live that this gives? It is if body bytes stand behind it in its buffer, and go whole.
 */
bool muxs_head_stays(const struct muxs *ms, uint32_t max);
/*
 * Moves up to max bytes of body to out (appended). Raw bodies (framing passed verbatim) include
 * chunk framing. *eom: the body ended with these bytes. Returns the bytes moved or -ENOMEM,
 * -EBADMSG (bad chunk).
 */
int muxs_recv(struct lcore *lc, struct muxs *ms, uint32_t max, struct chain *out, bool *eom);
/* Verbatim framing for this message: to be set by whoever joins two h1 sides. */
void muxs_set_raw(struct muxs *ms, bool rx, bool tx);
/* After a 101, or a 2xx to CONNECT, on either side: from now on bytes both ways, until closed. */
void muxs_set_tunnel(struct muxs *ms);
uint32_t muxs_rx_ready(const struct muxs *ms);
/* Drops the rest of the body in reading, e.g. after an early answer. */
void muxs_rx_discard(struct lcore *lc, struct muxs *ms);
bool muxs_rx_done(const struct muxs *ms);
/* Looks without moving anything: payload bytes that are there; *whole: no more of the message will come. */
uint32_t muxs_rx_peek(const struct muxs *ms, bool *whole);
enum mux_err muxs_error(const struct muxs *ms);
enum h1_error muxs_parse_error(const struct muxs *ms);
/*
 * The bytes of a head that was refused, from its start: copies up to size of them and returns how
 * many; *total: there were, *pos: the one to blame.
 */
uint32_t muxs_bad_head(
	const struct muxs *ms, char *to, uint32_t size, uint32_t *total, uint32_t *pos);
/* Errno of the connection's end (ECONNREFUSED, ETIMEDOUT, ...), 0 while it lives or if orderly. */
int muxs_conn_error(const struct muxs *ms);
/* Start of the request's first byte, for timeouts and the log; us. */
uint64_t muxs_first_byte_us(const struct muxs *ms);

/* ---- sending ---- */
uint32_t muxs_send_space(const struct muxs *ms);
/*
 * Queues a head, and the first bytes of the body behind it in the same segments where they fit
 * (body may be NULL; taken over): in the body's first buffer, if there is room in front, and as it
 * was received, if that is where it stands. Adds the connection field that the mux decides (keep-alive or
 * close); all other fields are the caller's. eom: the message ends with these bytes.
 * close: do not keep the connection after this message. 0 or -ENOMEM, -EPIPE.
 */
int muxs_send_head(struct lcore *lc, struct muxs *ms, const struct http_msg *m, struct chain *body,
	bool eom, bool close);
/* Prebuilt bytes of a whole response or a 100-continue, as they are. */
int muxs_send_bytes(struct lcore *lc, struct muxs *ms, struct sl_str bytes, bool eom, bool close);
/* Body bytes (taken over): framed by the mux unless tx is raw. */
int muxs_send(struct lcore *lc, struct muxs *ms, struct chain *body, bool eom);
bool muxs_tx_done(const struct muxs *ms);
/* Has any byte of this message left the stream's hands (then a retry is unsafe)? */
bool muxs_tx_started(const struct muxs *ms);
/* Client side: bytes of the request not acknowledged yet: is a retry safe? */
bool muxs_is_replayable(const struct muxs *ms);
