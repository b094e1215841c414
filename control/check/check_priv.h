/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/check: the state machine, one check, its kinds. */
#pragma once

#include "control/check/check.h"

/* ---- check_sched.c: pure, time comes from the caller ---- */
/*
 * HAProxy's counter: 0 .. rise + fall - 1, up from `rise` on. A server starts at `rise`: up, but one
 * failure takes it down.
 */
struct check_sm {
	uint16_t rise, fall;
	uint16_t health;
	uint32_t inter, fastinter, downinter; // ms; the latter two may be 0: as inter
};
enum check_change { CHECK_SAME, CHECK_UP, CHECK_DOWN };
void check_sm_init(struct check_sm *m, const struct server *srv);
bool check_sm_is_up(const struct check_sm *m);
enum check_change check_sm_result(struct check_sm *m, bool ok);
/* Until the next check, ms. */
uint32_t check_sm_interval(const struct check_sm *m);
/* Delay of the first check of server i of n, when the shortest interval is min_ms. */
uint32_t check_start_ms(uint32_t i, uint32_t n, uint32_t min_ms);

/* ---- results ---- */
enum check_status {
	CHK_L4OK,
	CHK_L4TOUT,
	CHK_L4CON,
	CHK_L7OK,
	CHK_L7TOUT,
	CHK_L7RSP,
	CHK_L7STS,
};
struct check_result {
	enum check_status status;
	uint16_t code;  // of HTTP, 0: none
	char info[128]; // may be empty
};
bool check_is_ok(enum check_status s);
const char *check_status_name(enum check_status s); // "L4OK"
const char *check_status_text(enum check_status s); // "Layer4 check passed"
/* What the line about a change says: HAProxy's words. */
struct check_line {
	const struct server *srv;
	bool up;
	const struct check_result *res;
	uint32_t duration_ms, active, backup, sessions;
};
void check_format(char *out, uint32_t size, const struct check_line *l);

/* ---- servers.c: main's book ---- */
struct srv_book {
	const struct server *srv;
	struct check *check; // NULL: not checked
	uint8_t admin;       // SRV_ADM_*
	bool down, stopping; // by health
	bool seen;           // by the generation that is taken over
	double changed;      // ev_now() of the last change of state
	double down_since;
	uint64_t downtime_s, chkfail, chkdown;
};
struct px_book {
	bool up;
	double changed, down_since;
	uint64_t downtime_s, chkdown;
};
int books_new(struct checks *all);
void book_open(struct checks *all, const struct server *srv);
void book_open_backend(struct checks *all, const struct proxy *be);
/* The state that follows from the book, to the workers. */
void book_publish(struct checks *all, struct srv_book *b);
/* The state of a backend's servers may have changed. */
void book_backend(struct checks *all, const struct proxy *be);
void books_free(struct checks *all);
/* The checks changed their mind about a server. */
void book_health(struct checks *all, const struct server *srv, bool up);
bool server_is_usable(const struct checks *all, const struct server *s);

/* ---- one running check ---- */
struct check {
	struct checks *all;
	const struct server *srv;
	struct check_sm sm;
	struct ev_timer timer; // next start, or the limit of what runs
	struct io_conn *conn;  // NULL: waits for its next start
	bool connected;
	double start; // ev_now()
	uint16_t worker;
	char head[256]; // of an HTTP answer
	uint32_t head_len;
	struct check_result res;
	bool has_result;
	bool paused; // no check is started: maintenance, or by command
	uint32_t last_ms;
};
struct checks {
	struct checks_spec s;
	uint32_t n;
	uint16_t next_worker;
	double started;
	struct srv_book *srv; // by server slot
	uint32_t nsrv;
	struct px_book *px; // by proxy slot
	uint32_t npx;
	struct check **check; // of the servers of now, in their order
};
/* One that is not started yet. NULL: no memory. srv NULL: to be said by check_of(), or freed. */
void check_of(struct check *c, struct checks *all, const struct server *srv);
struct check *check_new(struct checks *all, const struct server *srv);
/* NULL is fine. */
void check_free(struct check *c);
/* The same server as another generation has it: goes on, with what it knows. */
void check_follow(struct check *c, const struct server *srv);
/* First run after so long. */
void check_arm(struct check *c, uint32_t ms);
bool server_is_checked(const struct server *s);
void check_pause(struct check *c, bool pause);

/* Kinds: what happens on a connection. true: res is set, the check is over. */
struct check_kind {
	bool (*connected)(struct check *c);
	bool (*data)(struct check *c, const void *p, uint32_t n);
	bool (*ended)(struct check *c, int err); // the peer closed (0) or an error
	bool (*timeout)(struct check *c);
};
extern const struct check_kind check_tcp, check_http;
const struct check_kind *check_kind_of(const struct server *srv);
/* Status line of an answer: 0 and code, reason; -EAGAIN, -EBADMSG. */
int check_status_line(struct sl_str s, uint16_t *code, struct sl_str *reason);
