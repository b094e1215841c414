/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to tools/sluicectl: a connection to the runtime API, and what is done over it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- conn.c ---- */

struct ctl_conn {
	int fd; // -1: not open
	const char *where;
};
/* An answer: text without the empty line at its end; NUL-terminated, from malloc(). */
struct ctl_text {
	char *p;
	size_t len;
	int severity; // the heaviest message in it, as syslog numbers them; CTL_DATA: none is
};
#define CTL_DATA 8
#define CTL_ERR  3 // this, and what is heavier: a refusal

/* A path, "@name" (abstract), or "host:port"; an address, no name. 0, or -errno. */
int ctl_open(struct ctl_conn *c, const char *where);
void ctl_close(struct ctl_conn *c);
/*
 * Sends one line of commands and waits for its whole answer; opens the connection again if the
 * server had closed it meanwhile. 0; -errno: then there is no answer.
 */
int ctl_ask(struct ctl_conn *c, const char *line, struct ctl_text *out);
/* Does it wait for what comes: is one of its commands "show events SINK -w"? */
bool ctl_has_no_end(const char *line);
/*
 * Sends such a line and copies what comes, as it comes, until the daemon goes or ends it (the ring is no
 * more), or until there is something to read at `stop` (-1: never). 0; 1: it was refused; -errno.
 */
int ctl_follow(struct ctl_conn *c, const char *line, FILE *to, int stop);
void ctl_text_free(struct ctl_text *t);

/* ---- rows.c: what "help" lists ---- */

struct ctl_rows {
	size_t n;
	char **name; // the words of each command: "show stat"
};
/* Asks the daemon; 0 or -errno. */
int ctl_rows_get(struct ctl_conn *c, struct ctl_rows *rows);
void ctl_rows_free(struct ctl_rows *rows);
/*
 * The words that may follow `line` (complete words, and the beginning of one): calls put() for each
 * once, in the daemon's order.
 */
void ctl_rows_complete(const struct ctl_rows *rows, const char *line,
	void (*put)(void *ctx, const char *word, size_t len), void *ctx);

/* ---- shell.c, top.c, report.c, capture.c: exit codes ---- */

int ctl_shell(struct ctl_conn *c);
/* rounds: 0: until interrupted. */
int ctl_top(struct ctl_conn *c, double every_s, unsigned rounds);
/* Writes a tar file; NULL: a name with the date. */
int ctl_report(struct ctl_conn *c, const char *file);
/* ---- capture.c ---- */

#define CTL_SNAPLEN 65535u
struct ctl_capture {
	const char *file; // "-": standard output
	uint64_t count;   // 0: until interrupted
	unsigned snaplen;
	char **filter; // words of pcap-filter(7), NULL behind them
};
int ctl_capture(struct ctl_conn *c, const struct ctl_capture *q);
/* Is the answer one that says that nothing was done? */
bool ctl_is_refusal(const struct ctl_text *t);
