// SPDX-License-Identifier: BSD-3-Clause
/*
 * What all transports share: the pool of conns, listeners, and which transport an address means.
 *
 * Runs on: the worker that owns the connections (attach and detach: the main thread).
 */
#include "dataplane/conn/conn_priv.h"
#include "dataplane/tcp/tcp.h"

#include "dataplane/base/hot.h"

struct conn *
conn_new(struct lcore *lc, const struct conn_ops *ops, const struct conn_handler *h, void *user)
{
	struct conn *c = pool_new(&lc->conn->conns);

	if (c == NULL)
		return NULL;
	c->ops = ops;
	c->h = h;
	c->user = user;
	return c;
}

struct conn *
conn_accept(struct lcore *lc, const struct conn_listener *l, const struct conn_ops *ops,
	void *lower, bool *closed)
{
	struct conn *c = conn_new(lc, ops, l->h, NULL);
	struct sl_handle h;
	void *user;

	*closed = false;
	if (c == NULL)
		return NULL;
	c->lower = lower;
	ops->bind(c);
	h = pool_handle(&lc->conn->conns, c);
	user = l->h->accept(lc, l->cookie, c);
	c = pool_lookup(&lc->conn->conns, h);
	if (c == NULL) { // closed or aborted in there, and so is what is below
		*closed = true;
		return NULL;
	}
	if (user == NULL) {
		pool_free(&lc->conn->conns, c);
		return NULL;
	}
	c->user = user;
	return c;
}

static size_t
conns_bytes(uint32_t max_conns)
{
	return SL_ALIGN_UP(pool_bytes(max_conns, sizeof(struct conn)), (size_t)SL_CACHE_LINE);
}

size_t
conn_memory(uint32_t max_conns, uint32_t max_host)
{
	return SL_ALIGN_UP(sizeof(struct conn_lcore), (size_t)SL_CACHE_LINE) +
		conns_bytes(max_conns) + pool_bytes(max_host, sizeof(struct hconn));
}

int
conn_attach(struct lcore *lc, uint32_t max_conns, uint32_t max_host)
{
	// structs and pools in one mapping
	size_t head = SL_ALIGN_UP(sizeof(struct conn_lcore), (size_t)SL_CACHE_LINE);
	size_t bytes = conn_memory(max_conns, max_host);
	struct conn_lcore *cl = lcore_map(bytes, -1);

	if (cl == NULL)
		return -ENOMEM;
	cl->bytes = bytes;
	pool_init(&cl->conns, (uint8_t *)cl + head, max_conns, sizeof(struct conn));
	host_init(&cl->host, (uint8_t *)cl + head + conns_bytes(max_conns), max_host);
	lc->conn = cl;
	return 0;
}

void
conn_detach(struct lcore *lc)
{
	if (lc->conn == NULL)
		return;
	lcore_unmap(lc->conn, lc->conn->bytes);
	lc->conn = NULL;
}

struct conn_listener *
conn_find_listener(struct conn_lcore *cl, const struct ip_port *addr)
{
	for (uint32_t i = 0; i < CONN_LISTENERS; i++) {
		struct conn_listener *l = &cl->listener[i];

		if (l->h != NULL && addr_port_eq(&l->addr, addr))
			return l;
	}
	return NULL;
}

int
conn_listen(
	struct lcore *lc, const struct ip_port *addr, const struct conn_handler *h, void *cookie)
{
	struct conn_lcore *cl = lc->conn;
	struct conn_listener *had = conn_find_listener(cl, addr);
	uint32_t i = 0;
	int rc = 0;

	if (had != NULL) {
		had->h = h;
		had->cookie = cookie;
		return 0;
	}
	while (i < CONN_LISTENERS && cl->listener[i].h != NULL)
		i++;
	if (i == CONN_LISTENERS)
		return -ENOSPC;
	cl->listener[i] = (struct conn_listener){ .addr = *addr, .h = h, .cookie = cookie };
	if (!addr->host) // the host's sockets are opened by io, which finds us here
		rc = conn_tcp_listen(lc, &cl->listener[i]);
	if (rc < 0)
		cl->listener[i].h = NULL;
	return rc;
}

int
conn_unlisten(struct lcore *lc, const struct ip_port *addr)
{
	struct conn_listener *l = conn_find_listener(lc->conn, addr);

	if (l == NULL)
		return -ENOENT;
	l->h = NULL;
	return addr->host ? 0 : tcp_unlisten(lc, addr);
}

int
conn_connect(struct lcore *lc, const struct ip_port *to, const struct ip_port *from,
	const struct conn_handler *h, void *user, struct conn **out)
{
	if (to->host)
		return conn_host_connect(lc, to, h, user, out);
	return conn_tcp_connect(lc, to, from, h, user, out);
}
