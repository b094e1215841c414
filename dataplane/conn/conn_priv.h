/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of dataplane/conn share. */
#pragma once

#include "dataplane/conn/conn.h"
#include "dataplane/conn/host.h"

struct capture;

#define CONN_LISTENERS 255

struct conn_listener {
	struct ip_port addr;
	const struct conn_handler *h; // NULL: free
	void *cookie;
};

/* The host transport of a worker. */
struct host_lcore {
	struct pool hconns;
	struct sl_list work;      // hconns that host_run() serves
	struct host_block *stock; // empty blocks of io's, to send with
	struct host_block *home;  // empty blocks that go back
	uint32_t nstock, nhome;
	bool asked;                  // HOST_WANT is on its way
	struct host_accept *refused; // HOST_REFUSE found no room
};

struct conn_lcore {
	struct pool conns;
	size_t bytes;
	struct conn_listener listener[CONN_LISTENERS];
	struct host_lcore host;
};

/* ---- conn.c ---- */
struct conn *conn_new(
	struct lcore *lc, const struct conn_ops *ops, const struct conn_handler *h, void *user);
/*
 * Hands a passive connection of the listener to its user. NULL: refused, or closed in there; the
 * conn is gone then, and `lower` was closed by its user where *closed.
 */
struct conn *conn_accept(struct lcore *lc, const struct conn_listener *l,
	const struct conn_ops *ops, void *lower, bool *closed);
struct conn_listener *conn_find_listener(struct conn_lcore *cl, const struct ip_port *addr);

/* ---- conn_tcp.c ---- */
int conn_tcp_listen(struct lcore *lc, struct conn_listener *l);
int conn_tcp_connect(struct lcore *lc, const struct ip_port *to, const struct ip_port *from,
	const struct conn_handler *h, void *user, struct conn **out);

/* ---- conn_host.c ---- */
void host_init(struct host_lcore *hl, void *mem, uint32_t max);
int conn_host_connect(struct lcore *lc, const struct ip_port *to, const struct conn_handler *h,
	void *user, struct conn **out);

/* ---- host_capture.c ---- */
void host_capture_end(const struct lcore *lc, const struct hconn *hc, struct capture_end *e);
void host_capture_open(struct lcore *lc, struct capture *c, struct hconn *hc);
/* The first n bytes of a chain of buffers, which need not be of a pool. */
void host_capture_data(struct lcore *lc, struct capture *c, struct hconn *hc, bool out,
	struct rte_mbuf *head, uint32_t n);
/* We (out) or the peer end that direction, or the whole connection. */
void host_capture_close(struct lcore *lc, struct capture *c, struct hconn *hc, bool out, bool reset);
