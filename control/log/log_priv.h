/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/log: sinks, rings, and which of them a generation's lines go to. */
#pragma once

#include <pthread.h>
#include <sys/socket.h>

#include "control/log/log.h"
#include "dataplane/base/list.h"

#define SINK_BUF 65536u

/* A descriptor that is written without ever blocking, and what it did not take yet. */
struct sink {
	struct ev_loop *ev;
	struct ev_io io; // armed while bytes wait
	int fd;
	bool own;   // fd was opened by us
	bool shared; // it could not be: others may write there too, and wait there
	bool sock;  // send() instead of write()
	bool dead;  // the reader is gone
	bool dgram; // one datagram per line, to `to`
	bool full;  // of bytes: a line found no room, and none has left since
	uint32_t refused;     // datagrams in a row
	uint64_t rests_until; // of the monotonic clock, in ns: is not asked before
	struct sockaddr_storage to;
	socklen_t to_len;
	uint32_t head, len;
	_Atomic(uint64_t) lines, lost; // taken, those that wait included; dropped
	uint64_t ends[SINK_BUF / 64];  // a bit for each byte of buf: a waiting line ends there
	char buf[SINK_BUF];
};

/* 0, or -Exxx (then lines are dropped and counted). */
int sink_open(struct sink *s, struct ev_loop *ev, int fd);
/* Datagrams to an address of the host, none of which waits: what is not taken now is dropped. */
int sink_open_dgram(struct sink *s, const struct ip_port *to);
/* Lines that still wait are dropped and counted. */
void sink_close(struct sink *s);
/* A whole line, newline included: taken whole or dropped whole. */
void sink_line(struct sink *s, const char *line, uint32_t len);
/* It would take no line now: one need not be written. Whoever does not calls sink_lose(). */
bool sink_is_stuck(const struct sink *s);
void sink_lose(struct sink *s);
/* Writes what it takes now; true when nothing is left. */
bool sink_flush(struct sink *s);

/* ---- ring.c ---- */

#define RING_NAME 64u

struct ring {
	char name[RING_NAME], description[128];
	char *buf;
	uint32_t size;
	uint64_t head, tail; // positions: behind the newest line, of the oldest
	bool fresh;          // a line came that readers were not told of
	struct sl_list readers, forwards;
	_Atomic(uint64_t) lines, dropped;
};

struct ring_reader {
	struct sl_list node;
	struct ring *ring;       // NULL: none, or no more
	uint64_t at;             // of the next line
	uint64_t missed;         // overwritten before they were read
	bool holds;              // what is not read is not overwritten
	void (*more)(void *ctx); // lines came, or the ring has gone
	void *ctx;
};

struct ring *ring_new(struct sl_str name, uint32_t size);
/* Readers that are left lose it, and are told. */
void ring_free(struct ring *r);
/* Kept, or dropped and counted. Readers hear of it with ring_tell(). */
void ring_push(struct ring *r, const char *line, uint32_t len);
void ring_tell(struct ring *r);
/* 0, or as it was: -ENOMEM; -EBUSY: servers wait for more than that. */
int ring_resize(struct ring *r, uint32_t size);
void ring_attach(struct ring *r, struct ring_reader *x, bool at_end);
void ring_detach(struct ring_reader *x);
/* The line at a position, cut to size; its length. 0: none is there. */
uint32_t ring_peek(const struct ring_reader *x, uint64_t at, char *out, uint32_t size);
/* The position behind the line there. */
uint64_t ring_after(const struct ring_reader *x, uint64_t at);

/* ---- forward.c: servers of rings ---- */
/* Those of c from now on; what stays keeps its connection. NULL: none. */
void forward_set(struct ring *r, struct ev_loop *ev, const struct ring_conf *c);
void forward_close_all(struct ring *r);
/* Sends what waits, as long as it is taken within wait_ms each time. */
void forward_flush(struct ring *r, int wait_ms);

/* ---- target.c: where the lines of each generation go ---- */

/* A way out, whoever names it; shared by generations. */
struct outlet {
	struct sl_list node;
	uint32_t refs; // of targets of all sets
	enum log_kind kind;
	int fd;            // LOG_TO_FD
	struct sink *sink; // NULL: a ring
	struct ring *ring;
};

/* How the lines of one generation are written. */
struct log_set {
	struct log_set *older;
	uint32_t generation;
	uint32_t ntargets;
	uint32_t mask; // of messages
	struct log_target target[LOG_TARGETS];
	uint32_t maxlen[LOG_TARGETS]; // of a ring's lines, heads included
	char tag[64];
	uint32_t nout;
	struct outlet *out[]; // of the targets, then of rings that no line names
};

struct outlets {
	struct ev_loop *ev;
	struct sink *std_out, *std_err;
	pthread_mutex_t lock; // of the list: main changes it, others read counters
	struct sl_list all;
	struct ring *buf0;              // always there
	uint64_t gone_lines, gone_lost; // of those that were closed
};

int outlets_init(struct outlets *o, struct ev_loop *ev, struct sink *out, struct sink *err);
void outlets_fini(struct outlets *o);
/*
 * Opens what is new. first: at the start, when descriptors of the caller are as they were given. 0 and
 * *out, or -Exxx with a sentence in err.
 */
int log_set_new(struct outlets *o, const struct log_conf *c, bool first, struct log_set **out,
	char *err, size_t size);
/* Messages go there from now on: sizes and servers of rings are those of c. */
void log_set_apply(struct outlets *o, const struct log_conf *c);
void log_set_free(struct outlets *o, struct log_set *s);
struct ring *outlets_ring(struct outlets *o, struct sl_str name);
void outlets_flush(struct outlets *o);
void outlets_count(struct outlets *o, struct log_stats *out);

/* ---- log.c ---- */

#define LOG_POSTS 256u // messages that may wait for main

struct post {
	enum log_origin origin;
	enum sl_level level;
	uint32_t len;
	char text[LOG_TEXT];
};

struct log {
	struct sink out, err;
	struct ev_loop *ev;
	struct ev_async wake;
	struct outlets outlets;
	struct log_set *set;  // of the generation that is served; older ones behind it
	struct log_set *next; // prepared
	bool quiet;
	bool one; // stdout and stderr lead to the same place
	int pid;
	char hostname[64];
	uint64_t *records; // of frontends, by slot, for %lc
	uint32_t nrecords;
	_Atomic(uint64_t) lost_post;
	pthread_mutex_t lock; // of the fields below
	uint32_t head, count;
	struct post post[LOG_POSTS];
};

/* ---- format.c ---- */
/* What stands before a message in the target's format. us: wall clock. sd: RFC 5424, may be empty. */
struct log_head_args {
	enum sl_level level;
	uint64_t us;
	int pid;
	struct sl_str tag, sd;
};
void log_head(struct sl_buf *b, const struct log_target *t, const struct log_head_args *h);
/* logfmt_env.date */
void log_date(struct sl_buf *b, uint64_t us, int kind);
/* The structured data of a record by "log-format-sd"; empty: there is none. */
uint32_t log_structured(
	const struct logfmt_env *e, const struct logrec *r, char *out, uint32_t size);
