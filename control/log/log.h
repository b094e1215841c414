/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of control/log: log records of workers and messages of control threads become lines.
 *
 * Runs on main, but for log_post(), which any thread may call. Nothing here ever waits for a
 * reader: what does not fit is counted and dropped.
 */
#pragma once

#include <ev.h>

#include "dataplane/base/log.h"
#include "dataplane/lcore/lcore.h"
#include "dataplane/model/model.h"
#include "dataplane/proxy/logfmt.h"
#include "dataplane/proxy/proxy.h"

struct log;

#define LOG_TEXT 1024 // bytes of a posted message
#define LOG_LINE 2048 // bytes of a line; a target's "len" cuts further

enum log_origin {
	LOG_CORE,   // the daemon itself
	LOG_SERVER, // a server's or backend's state
	LOG_SCRIPT, // core.log() and friends
};

/* What a generation says of its lines. Copied, but for what ring_conf points to: see log_forget(). */
struct log_conf {
	uint32_t generation;
	const struct log_target *target; // LOG_TARGETS at most
	uint32_t ntargets;
	uint32_t mask;     // targets of messages; 0: all
	struct sl_str tag; // "log-tag"; empty: sluice
	const struct ring_conf *ring;
	uint32_t nrings;
};
struct log_conf log_conf_of(const struct model *m);

struct log_spec {
	struct ev_loop *ev;
	int out, err; // descriptors of stdout and stderr; stay the caller's
	struct log_conf conf;
	bool quiet; // nothing shown on stderr
};
/* NULL when out of memory. */
struct log *log_new(const struct log_spec *s);
void log_free(struct log *l);
/*
 * Another generation: prepare opens what is new and may fail (-Exxx, a sentence in err), commit does
 * not; from then on messages go where c says, and records each where their own generation says.
 * Between the two, log_abandon() forgets it. log_forget(): no record of that generation comes any more.
 */
int log_prepare(struct log *l, const struct log_conf *c, char *err, size_t size);
void log_commit(struct log *l, const struct log_conf *c);
void log_abandon(struct log *l);
void log_forget(struct log *l, uint32_t generation);
/* Writes what is waiting, without blocking longer than wait_ms in all. */
void log_flush(struct log *l, int wait_ms);
/* Lets go of stdout and stderr: from now on lines are lost and counted (-D). */
void log_detach(struct log *l);

/*
 * Records of these workers, each in the words of its generation: find() gives the model, NULL when
 * that is no more. Returns how many were there.
 */
typedef const struct model *(*log_model_fn)(void *ctx, uint32_t generation);
uint32_t log_collect(
	struct log *l, struct lcore *const *lc, uint16_t n, log_model_fn find, void *ctx);
/* Any thread: a message, without newline; cut to a line. Never blocks, may be dropped (counted). */
void log_post(struct log *l, enum log_origin origin, enum sl_level level, struct sl_str text);
/* Main: lines of what was posted. */
void log_drain(struct log *l);

struct log_stats {
	uint64_t lines;     // written or waiting to be
	uint64_t lost_sink; // dropped because a target did not take them
	uint64_t lost_post; // dropped because too many messages waited
};
/* Any thread, approximate. */
void log_get_stats(struct log *l, struct log_stats *out);

/* ---- what "show events" shows ---- */

struct log_sink_info {
	const char *name, *description;
	bool ring; // else a descriptor
	uint64_t dropped;
};
/* Main: sink i, in HAProxy's order; false: there are no more. Valid until the next reload. */
bool log_sink_info(struct log *l, uint32_t i, struct log_sink_info *out);

struct log_reader;
/*
 * Main: the lines of a ring, from the oldest one. more(): some came, or the ring is no more. 0
 * and *out; -ENOENT: no sink of that name; -EINVAL: it is no ring; -ENOMEM.
 */
int log_reader_open(struct log *l, struct sl_str name, void (*more)(void *ctx), void *ctx,
	struct log_reader **out);
/* To the end: only what comes from now on. */
void log_reader_skip(struct log_reader *r);
/* The next line, without newline, of LOG_LINE bytes at most; its length. 0: none now. */
uint32_t log_reader_next(struct log_reader *r, char out[LOG_LINE]);
/* Lines that were overwritten before they were read, since the last call. */
uint64_t log_reader_missed(struct log_reader *r);
bool log_reader_ended(const struct log_reader *r);
void log_reader_close(struct log_reader *r);

/* One record by the format of its frontend, without newline; its length (at most size - 1). */
uint32_t log_format(const struct logfmt_env *e, const struct logrec *r, char *out, uint32_t size);
