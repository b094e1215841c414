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
	bool last; // its bind is gone: the next answer is the last
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
	struct sl_str *value; // fe->nlog_values of them, in the arena; NULL: none yet
	struct ip_port *bc_src; // our address towards the server, in the arena, or NULL
	uint16_t status;
	uint8_t retries;
	bool redispatched;
	char term[2]; // zero: not set yet
	int8_t level; // 0: info; else 1 + enum sl_level, or TXN_LOG_SILENT
};
#define TXN_LOG_SILENT (-1)

/*
 * A service of a script in place of a server: its call is s->call until the answer's head has come,
 * then s->call is free for rules on the response, and the call is here.
 */
struct st_svc {
	const struct prog_call *call;
	struct sl_str name;      // "lua.NAME", for the log
	struct call_slot *slot;  // NULL: not here (yet), or ended
	uint32_t seq;
	struct call_slot *asked; // RECV or SEND that waits for the client
	uint32_t sent;           // of SEND
	uint64_t left;           // of content-length; CALL_NO_LEN: it has none
	struct sl_str page;      // an answer of our own in place of the service's, not sent yet
	bool ended, broken;      // the function has ended; by an error, behind the head
};

/* What evaluates now, and goes on after a suspension. */
struct st_side {
	struct prog_cursor cursor;
	/* mode tcp, content.c; beside what every request uses, as every stream sets and asks them */
	struct chain pre[2]; // of the client, of the server: passes before what the connection has
	struct content_look { // the first bytes, in the stream's arena
		char *p;
		uint32_t len, cap;
	} look[2]; // as pre
	struct call_slot *chan; // waits for more; NULL: none does
	uint32_t chan_seq;
	sl_tick inspect_exp; // until when rules may wait; TICK_NONE: not at all
	uint32_t body_min;   // "wait-for-body": bytes that are enough; 0: all
	struct http_field req_hdr[HTTP_MAX_HDR];
	struct http_field res_hdr[HTTP_MAX_HDR];
	struct st_svc svc; // with ST_F_SERVICE
};

/* One endpoint in mode tcp. */
struct st_leg {
	struct conn *c;
	bool eof;  // the peer's end was passed on
	bool shut; // our end was sent
};

#define ST_F_KEPT       0x0001u // not the first request of its session
#define ST_F_REUSED     0x0002u // the server connection served before
#define ST_F_TOKEN      0x0004u // holds a maxconn token of srv
#define ST_F_PARKED     0x0008u // a program waits (call or action)
#define ST_F_REQ_READY  0x0010u // request edited for the server: once
#define ST_F_REQ_DONE   0x0020u // request forwarded whole
#define ST_F_RES_DONE   0x0040u // response forwarded whole
#define ST_F_WAS_AT_BE  0x0080u // be is its backend, now or until a moment ago
#define ST_F_RES_SENT   0x0100u // a final response head was handed to the client
#define ST_F_RES_SEEN   0x0200u // a head of the server's was received
#define ST_F_BODY_MOVED 0x0400u // body bytes left the client's queue: no replay
#define ST_F_HEAD       0x0800u // the client asked by HEAD, whatever rules made of it
#define ST_F_CALLED     0x1000u // a call is outstanding or waits for a slot
#define ST_F_AT_BE      0x2000u // counted as connection of be
#define ST_F_AT_SRV     0x4000u // counted as connection of srv
#define ST_F_LOGGED     0x8000u
#define ST_F_SRV_CLOSE  0x10000u // a rule wants the server connection closed
#define ST_F_SERVICE    0x20000u // answered by a service of a script: side->svc
#define ST_F_CONTENT    0x40000u // "tcp-request content" rules are being evaluated
#define ST_F_CONTENT_OK 0x80000u // mode tcp: they have been, those of the phase
#define ST_F_CONTENT_RES 0x100000u // those being evaluated are "tcp-response content"
#define ST_F_MISSING    0x200000u // they wait for bytes, and start again then
#define ST_F_BODY_WAIT  0x800000u // parked by "wait-for-body" until inspect_exp
#define ST_F_RES_HELD   0x400000u // mode tcp: nothing passes to the client until they have been

/* How far the use_backend rule fe->switches[next_switch] got. */
enum switch_step { SWITCH_COND, SWITCH_COND_DONE, SWITCH_NAME_DONE, BALANCE_KEY };

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
	uint32_t depth; // event handlers on the stack: freed when the last returns
	/* the two endpoints */
	struct muxs *cs;         // client's
	struct muxs *ss;         // server's; NULL before
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
	uint32_t next_switch; // index into fe->switches
	uint32_t step;        // enum switch_step
	/* balance */
	struct bal_wait wait;
	uint8_t tries; // connection attempts that failed
	uint32_t unique;
};

/* ---- stream.c ---- */
struct stream *stream_new(struct lcore *lc, struct session *ses);
/* Lets go of all: connections, tokens, calls, counters; writes the log. Freed by the last leave. */
void stream_end(struct stream *s);
/* Around everything that comes in from below: keeps the stream's memory until leave. */
static inline void
stream_enter(struct stream *s)
{
	s->depth++;
}
/* Arms the timer, serves the queue, frees a dead stream. */
void stream_leave(struct stream *s);
struct sl_handle stream_handle(const struct stream *s);
struct stream *stream_lookup(struct lcore *lc, struct sl_handle h);
char *stream_head_mem(struct lcore *lc, struct muxs *ms, void *user, uint32_t size); // of a mux_user
/* Private, editable copies of the heads; 0 or -ENOMEM. Idempotent. */
int stream_own_req(struct stream *s);
int stream_own_res(struct stream *s);
/* Variables by scope, each in memory that lives as long as it. 0 or -ENOMEM. */
int stream_set_var(
	struct stream *s, enum var_scope scope, struct sl_str name, const struct sample *value);
void stream_unset_var(struct stream *s, enum var_scope scope, struct sl_str name);

/* Is it the response that is being worked on (rules, edits)? */
static inline bool
stream_at_response(const struct stream *s)
{
	return s->phase >= ST_RES_RULES_BE;
}

/* ---- timeout.c ---- */
/* Arms the stream's timer for the nearest of its dates. */
void stream_rearm(struct stream *s);
void stream_on_timer(void *ctx, struct wheel_timer *t);
/* Something moved on that side. */
void stream_touch_client(struct stream *s);
void stream_touch_server(struct stream *s);

/* ---- rule.c ---- */
enum rule_result { RULE_NEXT, RULE_PARKED, RULE_ENDED };
/* Runs a program from its start; NULL: nothing to do. RULE_ENDED: the stream is on its way out. */
enum rule_result rule_run(struct stream *s, const struct prog *p);

void rule_resume(struct stream *s); // an action that had parked it is through: goes on behind it

/* "http-after-response" of backend and frontend on s->res, at once. 0, or -EPIPE: the stream has ended. */
int rule_run_after(struct stream *s);

/* ---- txn.c ---- */
extern const struct mux_user txn_server_user;
void txn_client_event(struct lcore *lc, struct muxs *ms, void *stream, uint32_t events);
/* Goes on with the phase that the stream is in, as far as it gets. */
void txn_advance(struct stream *s);
/*
 * The transaction failed: sets the termination state if none is set, answers with status (0: no
 * answer) if nothing was sent yet, and ends the stream.
 */
void txn_fail(struct stream *s, uint16_t status, const char term[2]);
void txn_set_term(struct stream *s, const char term[2]);
/* The letter of HAProxy's second termination character for the present phase. */
char txn_phase_letter(const struct stream *s);
/* The client is gone (reset, or closed inside a body). */
void txn_client_abort(struct stream *s);

/* ---- txn_request.c ---- */
void txn_request_head(struct stream *s);
void txn_request_error(struct stream *s);
void txn_count_no_request(const struct stream *s); // a failed one, even if no byte came
void txn_request_rules(struct stream *s);
enum rule_result txn_balance_key(struct stream *s);
/* Edits the head for the server: connection tokens, forwarded-for. 0, -ENOMEM, -ENOSPC. */
int txn_request_ready(struct stream *s);
/*
 * Removes "close", "keep-alive" and nothing at all from Connection fields of an owned head; *close: a
 * rule has put the first one there. 0 or -ENOSPC.
 */
int txn_strip_tokens(struct http_msg *m, bool *close);
static inline int
txn_strip_connection(struct http_msg *m, bool *close)
{
	*close = false;
	if (likely((m->flags & (HTTP_F_CONN_CLOSE | HTTP_F_CONN_KEEP | HTTP_F_CONN_SET |
				       HTTP_F_CONN_GAP)) == 0))
		return 0;
	return txn_strip_tokens(m, close);
}

/* ---- backend.c ---- */
/*
 * Chooses the backend and counts the stream there. RULE_PARKED: a rule waits; to be called again
 * when it has its value. RULE_ENDED: there is none.
 */
enum rule_result backend_choose(struct stream *s);

/* ---- txn_response.c ---- */
void txn_response_head(struct stream *s);
void txn_response_interim(struct stream *s);
void txn_response_rules(struct stream *s);
void txn_server_error(struct stream *s);

/* ---- svc.c ---- */
/* The request's rules chose a service (ST_F_SERVICE): it is called. */
void svc_start(struct stream *s);
/* Goes on with what it asked for, as far as the client allows; ends the stream when it is through. */
void svc_run(struct stream *s);
/* The head has left, behind all rules: what may follow it? */
void svc_head_sent(struct stream *s);
/* Does it wait for the client: for bytes, or until it takes some? */
bool svc_waits(const struct stream *s);
/* The stream ends: so does the service. */
void svc_end(struct stream *s);
/* ---- of these, by call.c ---- */
bool svc_holds(const struct stream *s, const struct call_slot *slot);
void svc_asked(struct stream *s, struct call_slot *slot);
/* Its function has ended, or is lost with its thread. The slot is not touched afterwards. */
void svc_done(struct stream *s, struct call_slot *slot, enum call_end end);

/* ---- svc_tcp.c: of mode tcp ---- */
/* Into ask_value, "" at the end. 0; 1: there is nothing now; -ENOSPC. */
int svc_tcp_receive(struct stream *s, struct call_slot *slot, uint32_t max);
/* From text + *done on. 0: all; 1: no room now; -EAGAIN: no memory now; -EPIPE. */
int svc_tcp_send(struct stream *s, struct sl_str text, uint32_t *done);

/* ---- body.c ---- */
/* The client's message ends badly while it is being received. */
void body_client_broke(struct stream *s);
/* Bytes from the client, bytes to it: the log block and all counters. */
void stream_count_in(struct stream *s, uint32_t n);
/* A rule denied it: counted on the side of its message. */
void stream_count_denied(struct stream *s);
void stream_count_out(struct stream *s, uint32_t n);
/* Moves what can be moved both ways; ends the stream when both messages are through. */
void body_run(struct stream *s);
/* First bytes of the request's body, to go with its head. *eom: that was all. 0 or -Exxx. */
int body_first(struct stream *s, struct muxs *from, struct muxs *to, struct chain *out, bool *eom);

/* ---- upstream.c ---- */
/* Picks a server, waits in the queue, connects; calls txn_advance() when connected. */
void upstream_start(struct stream *s);
void upstream_connected(struct stream *s);
/* err: errno, ETIMEDOUT by our timer too. */
void upstream_failed(struct stream *s, int err);
/* The date of ST_QUEUE, ST_PAUSE or ST_CONNECT has come. */
void upstream_timeout(struct stream *s);
/* A reused connection died under a request that may be sent again: true if it will be. */
bool upstream_replay(struct stream *s);
/* Lets go of server connection and token; idle: the connection may be kept. */
void upstream_release(struct stream *s);

/* ---- tcp_mode.c ---- */
void tcp_mode_event(struct lcore *lc, struct conn *c, void *user, uint32_t events);
void *tcp_mode_open(struct lcore *lc, struct session *ses, struct conn *c);
void tcp_mode_start(struct stream *s);
/* Moves what can be moved both ways. */
void tcp_mode_run(struct stream *s);
void tcp_mode_close(struct stream *s);
extern const struct conn_handler tcp_mode_server;

/* ---- errfile.c, reply ---- */
struct reply {
	uint16_t status;
	uint16_t written;     // 0: the status; else what the head says, while the status is what is logged
	struct sl_str reason; // empty: the usual one
	struct sl_str ctype; // empty: none
	struct sl_str body;
	const struct sl_str *hdr; // name, value, name, value...
	uint32_t nhdr;            // pairs
	bool no_cache;
	bool close;
	bool http10;
	bool silent; // nothing is sent
	uint8_t uncounted; // bytes of fields that HAProxy counts here, though the mux writes them
	enum { REPLY_LEN_ADDED, REPLY_LEN_IN_HDR, REPLY_LEN_NONE } length; // NONE: ends with the connection
};
/* The page that is built in for a status: HAProxy's reason and a body, which a few statuses lack. */
void reply_built_in(struct reply *r, uint16_t status);
/* The answer of a page, for a status that is logged whatever the page says. */
void reply_from_page(struct reply *r, uint16_t status, const struct http_page *page);
/* The page that the backend or the frontend has for a status, else the usual one. */
void reply_page(const struct stream *s, uint16_t status, struct reply *r);
/* The head of an answer, in the stream's arena. 0, -ENOMEM, -ENOSPC. */
int reply_build(struct stream *s, const struct reply *r, struct http_msg *m);
/* Sends an answer of our own and ends the exchange; the caller then calls stream_end(). */
int reply_send(struct stream *s, const struct reply *r);
/* As reply_send(), on a connection that has no stream; closing is the caller's. */
int reply_send_bare(struct stream *s, struct conn *c, const struct reply *r);
/* The default answer of a status. */
int reply_default(struct stream *s, uint16_t status);

/* ---- logrec.c ---- */
void logrec_push(struct stream *s);
void logrec_asap(struct stream *s); // "option logasap": as it is now, unless there was one
void logrec_count_answer(const struct stream *s); // a head, interim too, before rules change it
/* Index of a proxy in the stream's model, UINT16_MAX none. */
uint16_t logrec_proxy(const struct stream *s, const struct proxy *px);
/* The record of what is known now, but for its level. */
void logrec_fill(const struct stream *s, struct logrec *r);

/* ---- survey.c ---- */
/* Keeps a head that the parser refused, for "show errors"; the oldest one goes. */
void survey_keep_bad(struct stream *s, struct muxs *ms, bool response);
void survey_message(struct lcore *lc, const struct xmsg *m);

/* ---- logval.c ---- */
/* Takes the captures of a head; before rules change it. */
void logval_request(struct stream *s);
void logval_response(struct stream *s);
/* Evaluates the expressions of its record, before anything of the stream is let go. */
void logval_end(struct stream *s);
/* A value set by a rule; cut to the capture's length. index: from LOGREC_CAPTURES. */
void logval_set(struct stream *s, uint32_t index, uint32_t max, struct sl_str text);
struct sl_str logval_get(const struct stream *s, uint32_t index);
/* By "unique-id-format", made when it is asked for; empty: there is none. */
struct sl_str logval_unique_id(struct stream *s);
