/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/log: sinks. */
#pragma once

#include <sys/socket.h>

#include "control/log/log.h"

#define SINK_BUF 65536u

/* A descriptor that is written without ever blocking, and what it did not take yet. */
struct sink {
	struct ev_loop *ev;
	struct ev_io io; // armed while bytes wait
	int fd;
	bool own;   // fd was opened by us
	bool sock;  // send() instead of write()
	bool dead;  // the reader is gone
	bool dgram; // one datagram per line, to `to`
	struct sockaddr_storage to;
	socklen_t to_len;
	uint32_t head, len;
	_Atomic(uint64_t) lines, lost;
	char buf[SINK_BUF];
};

/* 0, or -Exxx (then lines are dropped and counted). */
int sink_open(struct sink *s, struct ev_loop *ev, int fd);
/* Datagrams to an address of the host, none of which waits: what is not taken now is dropped. */
int sink_open_dgram(struct sink *s, const struct ip_port *to);
void sink_close(struct sink *s);
/* A whole line, newline included: taken whole or dropped whole. */
void sink_line(struct sink *s, const char *line, uint32_t len);
/* Writes what it takes now; true when nothing is left. */
bool sink_flush(struct sink *s);

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
uint32_t log_structured(const struct logfmt_env *e, const struct logrec *r, char *out, uint32_t size);
