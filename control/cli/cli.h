/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of control/cli: the runtime API ("stats socket"), in HAProxy's words and formats.
 *
 * Runs on main, from its event loop: a command is a function that appends its answer to memory and
 * returns; sockets never block. A client's next command runs when the answer before it has left, so
 * that one that never reads costs one answer (at most CLI_ANSWER_MAX) and nobody waits for it. All
 * commands together get a share of main's time (turn.c).
 */
#pragma once

#include <ev.h>

#include "control/check/check.h"
#include "control/log/log.h"
#include "control/stats/stats.h"
#include "dataplane/base/keyword.h"
#include "dataplane/base/str.h"
#include "dataplane/model/model.h"

#define CLI_LINE_MAX   16384u          // bytes of a line, and of what follows "<<"
#define CLI_WORDS_MAX  64u             // words of a command
#define CLI_ANSWER_MAX (16u << 20)     // bytes of an answer; more is cut and says so
#define CLI_MAXCONN    10u             // HAProxy's default of "stats maxconn"
#define CLI_TIMEOUT_MS 10000u          // and of "stats timeout"

struct cli;

/* A generation of the configuration, for "show generations". */
struct cli_generation {
	uint32_t id;
	const char *state;
	uint64_t age_s;              // since it began to be served
	uint64_t conns, streams, slots, records;
};

/* What "show proc" says. */
struct cli_reloads {
	uint32_t done, failed;
	int master;    // process id of the parent, or our own
	bool last_failed;
};

/* What commands work on. Everything must outlive cli_free(). */
struct cli_spec {
	struct ev_loop *ev;
	struct io_loop *io; // of main; NULL: workers cannot be asked
	struct lcore *const *lc;
	uint16_t nlc;
	const struct ports *ports;
	struct bal_shared *bal;
	struct checks *checks;
	struct stats *stats;
	const struct model *model;
	struct log *log;
	/* Begins a reload; its number, for cli_reload_done(). NULL: there is none, as in tests. */
	uint32_t (*reload)(void *ctx);
	/* Fills out, the newest first; returns how many there are. */
	uint32_t (*generations)(void *ctx, struct cli_generation *out, uint32_t max);
	/* "health-file": there again or away by command; NULL: there is none. */
	void (*health_set)(void *ctx, bool welcome);
	const char *(*health_why)(void *ctx); // why it is away; NULL: it is there
	void *ctx; // of all of them
	const struct cli_reloads *reloads; // NULL in tests
};

/*
 * Opens the sockets of s->model, if there are any, and serves them. 0 and *out; -Exxx with a sentence in
 * err that names the socket.
 */
int cli_new(const struct cli_spec *s, struct cli **out, char *err, size_t size);
/*
 * After the workers have stopped, before io_loop_free(). Closes all clients and sockets; files of
 * sockets are removed. NULL is fine.
 */
void cli_free(struct cli *c);

/* Checks and sorts the table of commands, once; -EEXIST as registry_open(). */
int cli_init(const char **dup);

/*
 * Another generation is to be served: opens the sockets that only m has. 0, or -Exxx with a sentence in
 * err. Either cli_commit() or cli_abandon() follows, in any case.
 */
int cli_prepare(struct cli *c, const struct model *m, char *err, size_t size);
void cli_abandon(struct cli *c); // NULL, and twice, is fine
/* m is served: its sockets are. Clients stay, with the level that they have. */
void cli_commit(struct cli *c, const struct model *m);
/* Reload `run` has ended: its messages, and whether it is served now, to those who asked. */
void cli_reload_done(struct cli *c, uint32_t run, bool ok, struct sl_str messages);

struct cli_stats {
	uint32_t clients;
	uint64_t accepted, commands, denied, cut;
	uint64_t waited; // times that a client had to wait for its turn
};
void cli_get_stats(const struct cli *c, struct cli_stats *out);
