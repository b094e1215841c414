/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/conn: a byte stream, whatever carries it: our TCP (conn_tcp.c), or a socket of
 * the host on the io thread (conn_host.c); which one, the address says (`host`). TLS comes as a
 * further vtable without changing what stands above. Runs on the owning worker.
 *
 * Life: conn_listen() leads to handler->accept, or conn_connect() gives a conn; then events; the
 * user ends it by conn_close() or conn_abort() (after which the pointer is dead), or is told
 * CONN_EV_CLOSED (after which it must call conn_close() to let go).
 */
#pragma once

#include "dataplane/base/addr.h"
#include "dataplane/lcore/lcore.h"
#include "dataplane/net/chain.h"

struct conn;
struct capture_end;

#define CONN_EV_CONNECTED 0x01u // stream (and later: handshake) ready
#define CONN_EV_READABLE  0x02u
#define CONN_EV_WRITABLE  0x04u
#define CONN_EV_EOF       0x08u
#define CONN_EV_CLOSED    0x10u // dead; conn_error() says why; call conn_close()
#define CONN_EV_ACKED     0x20u // everything sent was acknowledged

struct conn_handler {
	/* New passive connection; cookie of the listener. Returns `user` for events, NULL refuses. */
	void *(*accept)(struct lcore *lc, void *cookie, struct conn *c);
	void (*event)(struct lcore *lc, struct conn *c, void *user, uint32_t events);
	/* Optional: an event comes soon; touches what the user refers to. No other effect. */
	void (*prefetch)(const void *user);
};

/* What a transport implements. Contracts: see the forwarders below. */
struct conn_ops {
	const char *name; // "tcp", "host"
	/* `lower` is there: sets what conn_rx() and conn_rx_eof() look at. */
	void (*bind)(struct conn *c);
	int (*rx_take)(struct lcore *lc, struct conn *c, uint32_t n, struct chain *out);
	void (*rx_drop)(struct lcore *lc, struct conn *c, uint32_t n);
	uint32_t (*send_space)(const struct conn *c);
	uint32_t (*send_queued)(const struct conn *c);
	int (*send)(struct lcore *lc, struct conn *c, struct chain *data);
	int (*shutdown)(struct lcore *lc, struct conn *c);
	void (*close)(struct lcore *lc, struct conn *c);
	void (*abort)(struct lcore *lc, struct conn *c);
	int (*error)(const struct conn *c);
	void (*addrs)(const struct conn *c, struct ip_port *local, struct ip_port *remote);
	uint32_t (*unit)(const struct lcore *lc, const struct conn *c);
	/* For people: where the connection is in its life; NULL: not our TCP. */
	const char *(*state)(const struct conn *c);
	/* May be NULL: nobody can be asked. */
	void (*keepalive)(
		struct lcore *lc, struct conn *c, uint32_t idle_ms, uint32_t intvl_ms, uint32_t n);
	/* May be NULL: acknowledgements are nobody's matter here. */
	void (*ack_now)(struct lcore *lc, struct conn *c);
};

/* Private but for the inlines below. */
struct conn {
	const struct conn_ops *ops;
	const struct conn_handler *h;
	void *user;
	void *lower; // the transport's object; NULL once it is dead
	const struct chain *rx;
	const uint32_t *flags_in; // the transport's
	uint32_t eof_in;          // of *flags_in: any says that the peer has finished
	int16_t err;
	uint8_t flags;
} sl_cache_aligned; // one line, which is fetched ahead

/* max_host: of the connections, how many may be the host's. */
int conn_attach(struct lcore *lc, uint32_t max_conns, uint32_t max_host);
size_t conn_memory(uint32_t max_conns, uint32_t max_host); // bytes that it will take
void conn_detach(struct lcore *lc);
/* Again for the same address: handler and cookie are replaced, and nothing that is half-way is lost. */
int conn_listen(
	struct lcore *lc, const struct ip_port *addr, const struct conn_handler *h, void *cookie);
int conn_unlisten(struct lcore *lc, const struct ip_port *addr);
/* 0 and *out; -ENETUNREACH, -EADDRNOTAVAIL, -ENOMEM. Completion: CONNECTED or CLOSED. */
int conn_connect(struct lcore *lc, const struct ip_port *to, const struct ip_port *from,
	const struct conn_handler *h, void *user, struct conn **out);

/* Hands the events to another user (an idle upstream connection that is taken over). */
static inline void
conn_set_user(struct conn *c, const struct conn_handler *h, void *user)
{
	c->h = h;
	c->user = user;
}

/* In-order received bytes, looked at in place; valid until the next take or drop. */
static inline const struct chain *
conn_rx(const struct conn *c)
{
	return c->rx;
}

/* Moves the first n bytes to out (appended); 0 or -ENOMEM. */
static inline int
conn_rx_take(struct lcore *lc, struct conn *c, uint32_t n, struct chain *out)
{
	return c->ops->rx_take(lc, c, n, out);
}

static inline void
conn_rx_drop(struct lcore *lc, struct conn *c, uint32_t n)
{
	c->ops->rx_drop(lc, c, n);
}

/* The peer has finished sending (bytes may still be unread). */
static inline bool
conn_rx_eof(const struct conn *c)
{
	return (*c->flags_in & c->eof_in) != 0;
}

static inline uint32_t
conn_send_space(const struct conn *c)
{
	return c->ops->send_space(c);
}

/* Bytes not acknowledged yet, sent or not. */
static inline uint32_t
conn_send_queued(const struct conn *c)
{
	return c->ops->send_queued(c);
}

/* Takes ownership always; 0 or -EPIPE. */
static inline int
conn_send(struct lcore *lc, struct conn *c, struct chain *data)
{
	return c->ops->send(lc, c, data);
}

/* End of our direction after what is queued. */
static inline int
conn_shutdown(struct lcore *lc, struct conn *c)
{
	return c->ops->shutdown(lc, c);
}

/* Orderly end; c is dead for the caller. */
static inline void
conn_close(struct lcore *lc, struct conn *c)
{
	c->ops->close(lc, c);
}

/* Reset; c is dead for the caller. */
static inline void
conn_abort(struct lcore *lc, struct conn *c)
{
	c->ops->abort(lc, c);
}

/*
 * What was received should be acknowledged without delay: the peer has more to say, and may wait
 * for it (Nagle's algorithm).
 */
static inline void
conn_ack_now(struct lcore *lc, struct conn *c)
{
	if (c->ops->ack_now != NULL)
		c->ops->ack_now(lc, c);
}

/* A silent peer is asked whether it lives; zero: as the worker's settings say. */
static inline void
conn_keepalive(struct lcore *lc, struct conn *c, uint32_t idle_ms, uint32_t intvl_ms, uint32_t n)
{
	if (c->ops->keepalive != NULL)
		c->ops->keepalive(lc, c, idle_ms, intvl_ms, n);
}

static inline int
conn_error(const struct conn *c)
{
	return c->ops->error(c);
}

static inline void
conn_addrs(const struct conn *c, struct ip_port *local, struct ip_port *remote)
{
	c->ops->addrs(c, local, remote);
}

/* "ESTABLISHED" and so on by our TCP; "HOST" where the kernel has it. */
static inline const char *
conn_state(const struct conn *c)
{
	return c->ops->state != NULL ? c->ops->state(c) : "HOST";
}

static inline bool
conn_is_host(const struct conn *c)
{
	return c->ops->state == NULL;
}

/* How a capture names it (lcore/capture.h). */
void conn_capture_end(const struct lcore *lc, const struct conn *c, struct capture_end *e);

/* Payload bytes that cross as one segment: what writers fill. */
static inline uint32_t
conn_unit(const struct lcore *lc, const struct conn *c)
{
	return c->ops->unit(lc, c);
}
