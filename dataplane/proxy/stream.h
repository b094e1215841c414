/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions, streams and transactions of a worker; private to dataplane/proxy.
 *
 * A session lives as long as its client connection and is small. A stream lives from the first byte
 * of a request to the end of its answer (mode tcp: as long as the connection) and is what can be
 * parked: it has the timers, the variables, the program cursor and the handle. With HTTP/1 a stream
 * carries one transaction, so its messages and its log block stand in it.
 *
 * What must not be zeroed for each request (field arrays, the cursor) is in a side table with the
 * stream's index.
 */
#pragma once

#include "dataplane/balance/balance.h"
#include "dataplane/conn/conn.h"
#include "dataplane/expr/expr.h"
#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"
#include "dataplane/mux/mux.h"
#include "dataplane/proxy/action.h"
#include "dataplane/proxy/call_priv.h"
#include "dataplane/proxy/proxy.h"

struct px_lcore;

struct session {
	struct wheel_timer timer; // between requests: http-request, http-keep-alive
	struct lcore *lc;
	const struct listen_addr *bind;
	const struct proxy *fe;
	struct mux *mx;        // mode http
	struct stream *stream; // in flight
	struct var *vars;      // scope sess
	struct arena arena;    // of those
	uint64_t accept_us, accept_wall_us;
	uint64_t idle_us; // end of the last answer; accept for the first request
	uint32_t nreq;
	struct ip_port src, dst;
};

/* Where a stream is; the order is that of a request's life. */
enum st_phase {
	ST_REQ_HEAD, // waiting for a whole request head
	ST_REQ_RULES_FE,
	ST_REQ_RULES_BE,
	ST_QUEUE,    // all servers at maxconn
	ST_PAUSE,    // before a retry on the same server
	ST_CONNECT,  // connection to the server under way
	ST_WAIT_RES, // request on its way, no whole response head yet
	ST_RES_RULES_BE,
	ST_RES_RULES_FE,
	ST_DATA,   // response head passed on, bodies flowing
	ST_TUNNEL, // bytes both ways
	ST_REPLY,  // own answer queued or being queued
	ST_DEAD,   // to be freed
};

/* HAProxy's events and dates; microseconds of lc->now_us, 0: not reached. */
struct txn_log {
	uint64_t first_us, first_wall_us; // first byte of the request
	uint64_t head_us;                 // request head complete
	uint64_t queue_us;                // left the queue
	uint64_t connect_us;              // connected to the server
	uint64_t res_us;                  // response head complete
	uint64_t bytes_in, bytes_out;
	struct sl_str line; // request line as received, in the arena
	uint16_t status;
	uint8_t retries;
	bool redispatched;
	bool logged;
	char term[2]; // zero: not set yet
};

/* What evaluates now, and goes on after a suspension. */
struct st_side {
	struct prog_cursor cursor;
	struct http_field req_hdr[HTTP_MAX_HDR];
	struct http_field res_hdr[HTTP_MAX_HDR];
};

/* One endpoint in mode tcp. */
struct st_leg {
	struct conn *c;
	bool eof;  // the peer's end was passed on
	bool shut; // our end was sent
};

#define ST_F_KEPT        0x0001u // not the first request of its session
#define ST_F_REUSED      0x0002u // the server connection served before
#define ST_F_TOKEN       0x0004u // holds a maxconn token of srv
#define ST_F_PARKED      0x0008u // a program waits (call or action)
#define ST_F_RUNNING     0x0010u // inside a program: answers are deferred to its end
#define ST_F_REQ_DONE    0x0020u // request forwarded whole
#define ST_F_RES_DONE    0x0040u // response forwarded whole
#define ST_F_HEAD_SENT   0x0080u // request head handed to the server connection
#define ST_F_RES_SENT    0x0100u // response head handed to the client
#define ST_F_RES_BYTES   0x0200u // a byte of the response was seen
#define ST_F_BODY_MOVED  0x0400u // body bytes left the client's queue: no replay
#define ST_F_CLOSE       0x0800u // close the client connection after this answer
#define ST_F_CALLED      0x1000u // a call is outstanding or waits for a slot
#define ST_F_COUNTED_BE  0x2000u // in cur_conn of be
#define ST_F_COUNTED_SRV 0x4000u
#define ST_F_CLI_GONE    0x8000u
#define ST_F_IN_EVENT    0x10000u

struct stream {
	/* who */
	struct lcore *lc;
	struct px_lcore *px;
	struct session *ses;
	const struct model *model;
	const struct proxy *fe, *be;
	const struct server *srv;
	uint32_t flags;
	enum st_phase phase;
	/* the two endpoints */
	struct muxs *cs;         // client's
	struct muxs *ss;         // server's; NULL before
	struct mux *smx;         // server's connection under way, while connecting
	struct st_leg cli, back; // mode tcp
	/* time: the nearest of these is armed */
	struct wheel_timer timer;
	sl_tick req_exp;          // http-request
	sl_tick cli_exp, srv_exp; // inactivity
	sl_tick wait_exp;         // connect, queue, pause: by phase
	sl_tick call_exp;         // script's deadline
	/* memory, messages, variables */
	struct arena arena;
	struct st_side *side;
	struct http_msg req, res;
	struct vars vars;
	struct txn_view view;
	struct txn_log log;
	/* programs */
	struct prog_env env;
	struct call_wait call;
	/* balance */
	struct bal_wait wait;
	uint8_t tries;
	/* an answer of an action, given at the end of its program */
	struct {
		uint16_t status;
		struct sl_str bytes; // whole answer, or empty: the default of status
		bool close;
	} reply;
	uint32_t unique;
};

/* ---- stream.c ---- */
struct stream *stream_new(struct lcore *lc, struct session *ses);
/* Lets go of everything: connections, tokens, calls, counters; writes the log. */
void stream_end(struct stream *s);
struct sl_handle stream_handle(const struct stream *s);
struct stream *stream_lookup(struct lcore *lc, struct sl_handle h);
/* Private, editable copies of the heads; 0 or -ENOMEM. Idempotent. */
int stream_own_req(struct stream *s);
int stream_own_res(struct stream *s);
/* Variables by scope, each in memory that lives as long as it. 0 or -ENOMEM. */
int stream_set_var(
	struct stream *s, enum var_scope scope, struct sl_str name, const struct sample *value);
void stream_unset_var(struct stream *s, enum var_scope scope, struct sl_str name);

/* ---- timeout.c ---- */
/* Arms the stream's timer for the nearest of its dates. */
void stream_rearm(struct stream *s);
