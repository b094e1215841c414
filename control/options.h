/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line, which is haproxy's, and what main() does with it before threads exist: loads
 * the configuration, tells about it as HAProxy 2.6 does, knows the exit status.
 */
#pragma once

#include "control/conf/conf.h"

struct options {
	const char **files; // -f and what follows --, in order
	uint32_t nfiles;
	bool check;             // -c
	bool verbose;           // -V
	bool quiet;             // -q
	bool debug;             // -d
	bool foreground;        // -db, -d
	bool daemon;            // -D
	bool warn_fatal;        // -dW
	bool master;            // -W, -Ws: HAProxy's master exits by a code, not by the signal
	bool notify;            // -Ws: tell systemd
	bool dump;              // -dK
	bool nodes;             // -dN
	const char *pidfile;    // -p
	const char *dir;        // -C
	const char *localpeer;  // -L
	uint32_t maxconn;       // -n; 0: as configured
	uint32_t proxy_maxconn; // -N
	uint32_t memory_mb;     // -m
	const char *master_socket; // -S
	const char **old_pid;   // -sf, -st: processes to end when we are ready
	uint32_t nold;
	bool old_finish;        // -sf: by SIGUSR1, else by SIGTERM
	int status;             // when there is nothing left to do
};

/*
 * 0: go on; 1: done, exit with o->status (all has been printed: -v, -h, a wrong option, -cc);
 * -ENOMEM. Nothing of argv is changed; it must stay.
 */
int options_parse(int argc, char **argv, struct options *o);
void options_free(struct options *o);
/* -C, -m and HAPROXY_LOCALPEER take effect. 0 or -Exxx, with a message printed. */
int options_apply(const struct options *o);
/*
 * Loads the files, prints messages, applies what the command line overrides. 0: *out is the model
 * to run; 1: exit with o->status (-c, errors, -dW, no listener).
 */
int options_load(struct options *o, struct model **out);
/* Where messages go. who: "config"; "" for none. */
struct options_sink {
	void (*say)(void *ctx, enum sl_level level, const char *who, const char *text);
	void *ctx;
};
/*
 * The same again while the daemon runs, on the loader's thread: the same checks and texts. 0 and *out
 * (writable, not published), or -EINVAL after messages. cancel: set by another thread to end it soon.
 */
int options_reload(const struct options *o, const struct options_sink *sink, uint32_t generation,
	const _Atomic(bool) *cancel, struct model **out);
/* One line in HAProxy's form, with its newline. */
void options_format(struct sl_buf *b, enum sl_level level, const char *who, const char *text);
/* One message in HAProxy's form, to stderr. who: "config"; "" or NULL for none. */
void options_print(enum sl_level level, const char *who, const char *text);
