// SPDX-License-Identifier: BSD-3-Clause
/*
 * conn over our TCP: thin, since the contracts are nearly the same.
 *
 * Runs on: the worker that owns the connection.
 * The one difference: a TCB is gone after TCP_EV_CLOSED, a struct conn lives until its user calls
 * conn_close() or conn_abort(). In between `lower` is NULL and every call is answered from here.
 * Not here: kernel sockets (conn_host.c), and what all transports share (conn.c).
 */
#include "dataplane/conn/conn_priv.h"
#include "dataplane/tcp/tcp.h"

#include "dataplane/base/hot.h"

static_assert(CONN_EV_CONNECTED == TCP_EV_CONNECTED && CONN_EV_READABLE == TCP_EV_READABLE &&
		CONN_EV_WRITABLE == TCP_EV_WRITABLE && CONN_EV_EOF == TCP_EV_EOF &&
		CONN_EV_CLOSED == TCP_EV_CLOSED && CONN_EV_ACKED == TCP_EV_ACKED,
	"events pass through unchanged");

/* What a connection has whose TCB is gone. */
static const struct chain no_bytes;
static const uint32_t over = TCP_FLAG_EOF;

static void
ct_bind(struct conn *c)
{
	c->rx = c->lower != NULL ? tcp_rx(c->lower) : &no_bytes;
	c->flags_in = c->lower != NULL ? tcp_flags(c->lower) : &over;
	c->eof_in = TCP_FLAG_EOF;
}

static int
ct_rx_take(struct lcore *lc, struct conn *c, uint32_t n, struct chain *out)
{
	return c->lower != NULL ? tcp_rx_take(lc, c->lower, n, out) : 0;
}

static void
ct_rx_drop(struct lcore *lc, struct conn *c, uint32_t n)
{
	if (c->lower != NULL)
		tcp_rx_drop(lc, c->lower, n);
}

static uint32_t
ct_send_space(const struct conn *c)
{
	return c->lower != NULL ? tcp_send_space(c->lower) : 0;
}

static uint32_t
ct_send_queued(const struct conn *c)
{
	return c->lower != NULL ? tcp_send_queued(c->lower) : 0;
}

static int
ct_send(struct lcore *lc, struct conn *c, struct chain *data)
{
	if (c->lower != NULL)
		return tcp_send(lc, c->lower, data);
	chain_free(lc, data);
	return -EPIPE;
}

static int
ct_shutdown(struct lcore *lc, struct conn *c)
{
	return c->lower != NULL ? tcp_shutdown(lc, c->lower) : -EPIPE;
}

static void
ct_close(struct lcore *lc, struct conn *c)
{
	if (c->lower != NULL)
		tcp_close(lc, c->lower);
	pool_free(&lc->conn->conns, c);
}

static void
ct_abort(struct lcore *lc, struct conn *c)
{
	if (c->lower != NULL)
		tcp_abort(lc, c->lower);
	pool_free(&lc->conn->conns, c);
}

static int
ct_error(const struct conn *c)
{
	return c->lower != NULL ? tcp_error(c->lower) : c->err;
}

static void
ct_addrs(const struct conn *c, struct ip_port *local, struct ip_port *remote)
{
	if (c->lower != NULL) {
		tcp_get_addrs(c->lower, local, remote);
	} else {
		memset(local, 0, sizeof(*local));
		memset(remote, 0, sizeof(*remote));
	}
}

static uint32_t
ct_unit(const struct lcore *lc, const struct conn *c)
{
	uint32_t unit = tcp_payload_unit(lc);

	// a peer that takes less would have every segment cut in two
	if (c->lower == NULL || tcp_get_state(c->lower) < TCP_ESTABLISHED)
		return unit;
	return sl_min(unit, tcp_mss(c->lower));
}

static void
ct_ack_now(struct lcore *lc, struct conn *c)
{
	if (c->lower != NULL)
		tcp_ack_now(lc, c->lower);
}

static void
ct_keepalive(struct lcore *lc, struct conn *c, uint32_t idle_ms, uint32_t intvl_ms, uint32_t n)
{
	struct tcp_keepalive k = { idle_ms, intvl_ms, n };

	if (c->lower != NULL)
		tcp_set_keepalive(lc, c->lower, &k);
}

static const char *
ct_state(const struct conn *c)
{
	return c->lower != NULL ? tcp_state_name(tcp_get_state(c->lower)) : "CLOSED";
}

static const struct conn_ops tcp_ops = {
	.name = "tcp",
	.bind = ct_bind,
	.rx_take = ct_rx_take,
	.rx_drop = ct_rx_drop,
	.send_space = ct_send_space,
	.send_queued = ct_send_queued,
	.send = ct_send,
	.shutdown = ct_shutdown,
	.close = ct_close,
	.abort = ct_abort,
	.error = ct_error,
	.addrs = ct_addrs,
	.unit = ct_unit,
	.state = ct_state,
	.keepalive = ct_keepalive,
	.ack_now = ct_ack_now,
};

static void
on_event(struct lcore *lc, struct tcp_conn *tc, void *user, uint32_t events)
{
	struct conn *c = user;

	if (!(events & TCP_EV_CLOSED)) {
		c->h->event(lc, c, c->user, events);
		return;
	}
	// what came before the end is readable in this call, and only in this call
	struct sl_handle h = pool_handle(&lc->conn->conns, c);
	c->err = (int16_t)tcp_error(tc);
	c->h->event(lc, c, c->user, events);
	c = pool_lookup(&lc->conn->conns, h);
	if (c != NULL) {
		c->lower = NULL;
		ct_bind(c);
	}
}

static void *
on_accept(struct lcore *lc, void *cookie, struct tcp_conn *tc)
{
	const struct conn_listener *l = cookie;
	bool closed;

	if (l->h == NULL) // the listener went while the handshake was on its way
		return NULL;
	return conn_accept(lc, l, &tcp_ops, tc, &closed);
}

static void
on_prefetch(const void *user, uint32_t step)
{
	const struct conn *c = user;

	if (step == 1)
		__builtin_prefetch(c->user);
	else if (c->h != NULL && c->h->prefetch != NULL && c->user != NULL)
		c->h->prefetch(c->user);
}

static const struct tcp_handler tcp_events = {
	.accept = on_accept,
	.event = on_event,
	.prefetch = on_prefetch,
};

int
conn_tcp_listen(struct lcore *lc, struct conn_listener *l)
{
	return tcp_listen(lc, &l->addr, &tcp_events, l);
}

int
conn_tcp_connect(struct lcore *lc, const struct ip_port *to, const struct ip_port *from,
	const struct conn_handler *h, void *user, struct conn **out)
{
	struct conn *c = conn_new(lc, &tcp_ops, h, user);
	struct tcp_conn *tc;
	int rc;

	if (c == NULL)
		return -ENOMEM;
	rc = tcp_connect(lc, to, from, &tcp_events, c, &tc);
	if (rc < 0) {
		pool_free(&lc->conn->conns, c);
		return rc;
	}
	c->lower = tc;
	ct_bind(c);
	*out = c;
	return 0;
}
