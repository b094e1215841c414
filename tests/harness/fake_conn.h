/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A transport in memory: struct conn_ops without a network, for tests of what stands above conn. The
 * test is the peer of every connection. Nothing happens by itself: bytes and ends that the peer
 * gives become events, which fake_run() delivers, as a stack does after a burst.
 */
#pragma once

#include "dataplane/conn/conn.h"
#include "dataplane/proxy/proxy.h"

#define FAKE_MAX       512
#define FAKE_LISTENERS 8

enum fake_answer { FAKE_ACCEPT, FAKE_REFUSE, FAKE_SILENT, FAKE_NO_PORT };

struct fake {
	struct conn conn; // first
	struct fake_net *net;
	bool used;
	bool passive;    // a client's connection, accepted by the user
	bool connecting; // no answer yet
	/* the user's doing */
	bool user_gone, shut, reset;
	/* peer -> user */
	struct chain rx;
	bool rx_eof;
	uint32_t ended; // rx_eof, or dead
	/* user -> peer */
	char *out;
	uint32_t out_len, out_cap;
	uint32_t unacked;
	bool stalled; // the peer reads nothing
	uint32_t segs, max_seg, sends;
	/* events to deliver */
	uint32_t pend;
	bool was_short; // of send space: WRITABLE is due
	bool dead;
	struct ip_port local, remote;
	/* the test's */
	uint32_t seen; // bytes of out that it has looked at
	uint32_t served;
	void *ctx;
};

struct fake_net {
	struct lcore *lc;
	struct fake conn[FAKE_MAX];
	struct {
		bool open;
		struct ip_port addr;
		const struct conn_handler *h;
		void *cookie;
	} listener[FAKE_LISTENERS];
	uint32_t unit;   // MSS
	uint32_t window; // send buffer
	bool coalesce;   // small segments are copied behind each other, as tcp does
	enum fake_answer (*on_connect)(struct fake_net *n, const struct ip_port *to);
	uint32_t connects;
	void *ctx;
};

extern const struct px_transport fake_transport;
/* The transport finds its network by the lcore: one at a time. */
void fake_net_init(struct fake_net *n, struct lcore *lc);
/* Frees what connections still hold; counts those whose user has not let go. */
uint32_t fake_net_fini(struct fake_net *n);

/* A client connects to a listener; NULL if it was refused. */
struct fake *fake_client(struct fake_net *n, const struct ip_port *to, const struct ip_port *from);
/* The peer gives bytes, in segments of at most the unit. */
void fake_give(struct fake *f, const void *data, uint32_t n);
void fake_fin(struct fake *f);
void fake_rst(struct fake *f);
/* The peer reads what the user sent (and acknowledges it). */
void fake_read(struct fake *f);
/* Delivers all events; true if there were any. */
bool fake_run(struct fake_net *n);
/* The test forgets a connection whose user let go. */
void fake_forget(struct fake *f);
