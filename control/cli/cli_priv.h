/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/cli: clients, commands, answers. All on main. */
#pragma once

#include "control/cli/cli.h"
#include "dataplane/base/list.h"
#include "dataplane/base/registry.h"
#include "dataplane/proxy/survey.h"

/* An answer: grows up to CLI_ANSWER_MAX. */
struct cli_out {
	char *p;
	uint32_t len, size, sent;
	bool cut; // more was to come
};

/* The time of main that commands may take; turn.c. */
struct cli_turns {
	struct sl_list waiting; // clients, by cli_client.turn
	struct ev_timer timer;  // of the first of them
	uint32_t share;         // per cent of a CPU; 100: as much as they want
	double credit, burst;   // seconds of CPU time; below 0: used in advance
	double filled;          // monotonic: the credit is of then
	double began;           // CPU time from which on nothing is charged yet; 0: nothing runs
};

struct cli_client {
	struct sl_list node;
	struct sl_list turn; // in cli_turns.waiting, or by itself
	struct cli *cli;
	struct ev_io io;
	struct ev_timer timer;
	int fd;
	enum cli_level level;
	enum cli_severity severity;
	uint32_t timeout_ms;
	bool experimental; // "experimental-mode on"
	bool prompt;  // interactive: "> "
	bool master;  // of a "-S" socket: "@1 ..." and HAProxy's prompt
	bool worker;  // "@1": what follows is the worker's, until "@"
	bool payload; // lines up to an empty one belong to the command in `held`
	bool closing; // when the answer has left
	bool ended;   // of a capture: the client said so
	uint32_t reload; // a command that waits for the end of this one, as for a job; 0: none
	uint32_t in_len;
	uint32_t held; // bytes at the start of `in` that are a line waiting for its payload
	struct capturing *capture; // its answer is a capture, and what it says ends that
	struct cli_job *job; // a command that waits for workers; nothing is read meanwhile
	struct cli_events *events; // "show events"; nothing else is done meanwhile
	char *rest;          // commands behind it, in `in`; NULL: none
	uint32_t line_end;   // where in `in` its line ends
	struct cli_out out;
	char in[2 * CLI_LINE_MAX];
};

struct cli_listener {
	struct sl_list node;
	struct cli *cli;
	const struct cli_bind *bind;
	struct ev_io io;
	int fd;
	bool own_file; // the socket's file is ours to remove
};

struct cli {
	struct cli_spec s;
	struct cli_stats stats;
	struct sl_list clients;
	struct sl_list jobs; // cli_survey.node
	struct cli_turns turns;
	struct capturing *capture; // the one that runs, or ends; NULL: none
	uint32_t maxconn, timeout_ms;
	struct sl_list listeners; // in the order of the lines
	struct sl_list fresh;     // opened for the next model
};

/* What a command gets. */
struct cli_ctx {
	struct cli *cli;
	struct cli_client *client;
	struct cli_out *out;
	const struct sl_str *arg; // behind the command's words; NUL-terminated
	uint32_t n;
	struct sl_str payload; // what followed "<<"
	uintptr_t priv;
};

struct cli_cmd {
	const char *name;     // its words: "show servers state"
	enum cli_level level; // who may
	uint8_t min, max;     // arguments; fewer or more: `usage`
	void (*run)(struct cli_ctx *x);
	const char *args; // "[<backend>]"
	const char *help;
	uintptr_t priv;
};
#define CLI_MANY 255
#define SL_CLI_COMMANDS(...) SL_KWTAB(cli_cmd, struct cli_cmd, __VA_ARGS__)

/* ---- out.c ---- */
void cli_printf(struct cli_ctx *x, const char *fmt, ...) sl_printf(2, 3);
void cli_add(struct cli_out *o, const char *p, size_t n);
void cli_str(struct cli_ctx *x, struct sl_str s);
/* One line. */
void cli_msg(struct cli_ctx *x, const char *text);
/* What a message of that weight begins with, if the session asked for it ("set severity-output"). */
void cli_severity(struct cli_ctx *x, enum sl_level level);
/* One line that says why nothing was done. */
void cli_err(struct cli_ctx *x, const char *text);
void cli_errf(struct cli_ctx *x, const char *fmt, ...) sl_printf(2, 3);

/* ---- command.c ---- */
/* Has the session at least these rights? If not, it is told, and counted. */
bool cli_allowed(struct cli_ctx *x, enum cli_level least);
/*
 * Cuts a command into words in place; a backslash takes the next byte as it is. Returns their
 * number or -E2BIG.
 */
int cli_words(char *line, struct sl_str *word, uint32_t max);
/*
 * Runs all commands of a line (separated by ';'; the bytes are changed). payload may be NULL. Returns
 * at a command that waits (cli_client_waits()); c->rest is what stands behind it.
 */
void cli_run_line(struct cli_client *c, char *line, struct sl_str payload);
const struct registry *cli_registry(void);
const char *cli_level_name(enum cli_level l);

/* ---- survey.c: questions to workers ---- */

struct cli_job;
struct cli_survey {
	/* A step's rows of worker w; the answer grows. */
	void (*rows)(struct cli_ctx *x, void *state, uint16_t w, const struct survey *q);
	/* All workers have told; total: of survey.n. */
	void (*end)(struct cli_ctx *x, void *state, uint64_t total);
	void *state; // from malloc(), freed with the question; may be NULL
	void (*gone)(void *state); // before that; may be NULL
	bool only;   // one step, and only of this worker
	uint16_t worker;
	struct sl_list node;
};
/* Asks all workers; the command goes on when they have told. To be the last thing of a command. */
void cli_ask(struct cli_ctx *x, const struct survey *q, const struct cli_survey *how);
/* The client's answer so far has left; the client is gone. */
void cli_job_drained(struct cli_job *j);
void cli_job_leave(struct cli_job *j);
void cli_jobs_free(struct cli *c);
/* io_message_fn of XMSG_SURVEYED; ctx: struct cli. */
void cli_surveyed(void *ctx, uint16_t worker, const struct xmsg *m);

/* ---- listen.c ---- */
/* Starts or stops accepting, by whether there is room for a client. */
void cli_listen_go(struct cli *c);
/* After cli_prepare() of m. */
void cli_listen_follow(struct cli *c, const struct model *m);
void cli_listen_end(struct cli *c);

/* ---- turn.c ---- */
/* share: per cent, "tune.cli.cpu-share". */
void cli_turns_init(struct cli *c, uint32_t share);
void cli_turns_fini(struct cli *c);
void cli_turns_set(struct cli *c, uint32_t share);
/* Around what is charged. */
void cli_turn_begin(struct cli *c);
void cli_turn_end(struct cli *c);
/* May the client's next command run? False: it waits, and cli_client_turn() follows. */
bool cli_turn_take(struct cli_client *c);
static inline bool
cli_turn_waits(const struct cli_client *c)
{
	return !sl_list_is_empty(&c->turn);
}

/* ---- client.c ---- */
/* It may go on. The client may be gone afterwards. */
void cli_client_turn(struct cli_client *c);
/* Sends what there is; true: all of it has left. */
bool cli_client_drained(struct cli_client *c);
/* For workers, a reload, events, the end of a capture: no command of it is read meanwhile. */
static inline bool
cli_client_waits(const struct cli_client *c)
{
	return c->job != NULL || c->reload != 0 || c->events != NULL || c->capture != NULL;
}
/* The command that waited is answered: what stands behind it. The client may be gone afterwards. */
void cli_client_go_on(struct cli_client *c);
void cli_accept(struct cli *c, int fd, const struct cli_bind *b);
void cli_client_free(struct cli_client *c);

/* ---- cmd_events.c ---- */
/* The client's answer so far has left; the client may be gone afterwards. */
void cli_events_drained(struct cli_client *c);
/* The client sent something: it has seen enough. */
void cli_events_stop(struct cli_client *c);
/* Lets go of what it reads; nothing if there is nothing. */
void cli_events_end(struct cli_client *c);

/* ---- capture.c ---- */
/* The client says that it has enough. */
void cli_capture_stop(struct capturing *k);
/* What was written has left. */
void cli_capture_drained(struct capturing *k);
/* The client is gone. */
void cli_capture_leave(struct capturing *k);
/* The workers have stopped. */
void cli_capture_free(struct cli *c);

/* ---- mark.c: what a captured frame belongs to ---- */
struct capture_link;
struct capture_rec;
struct marks;
struct marks *marks_new(void);
void marks_free(struct marks *t); // NULL is fine
/* A worker told of a stream's connections. */
void marks_link(struct marks *t, uint16_t worker, const struct capture_link *l);
/* "worker=0 leg=server client=10.0.0.1:4242 stream=0x…", as far as it is known. */
void marks_text(struct marks *t, const struct model *model, uint16_t worker,
	const struct capture_rec *rec, char *to, size_t size);

/* ---- pcapng.c: blocks of a capture file, in this machine's byte order ---- */
void pcapng_section(struct cli_out *o, const char *os, const char *app);
struct pcapng_if {
	const char *name, *description;
	uint32_t snaplen;
};
/* Interfaces are numbered from 0, in the order in which they come. Their frames are Ethernet. */
void pcapng_interface(struct cli_out *o, const struct pcapng_if *i);
struct pcapng_packet {
	uint32_t interface;
	uint64_t wall_us;
	uint32_t len, wire; // kept, and of the frame
	const uint8_t *data;
	bool out;
	const char *comment;
};
void pcapng_packet(struct cli_out *o, const struct pcapng_packet *p);
struct pcapng_stats {
	uint32_t interface;
	uint64_t begin_us, end_us;
	uint64_t seen, matched, lost, delivered;
};
void pcapng_statistics(struct cli_out *o, const struct pcapng_stats *s);

/* ---- cmd_session.c ---- */
/* A stream's name in all answers: 0x… */
uint64_t cli_stream_id(uint16_t worker, struct sl_handle h);

/* ---- cmd_master.c ---- */
/*
 * Takes "@1", "@!<pid>", "@" and "@master" from the front of a master's command: one process answers
 * for all. False: there is no such process, and the answer says so.
 */
bool cli_master_prefix(struct cli_ctx *x, struct sl_str **word, uint32_t *n);

/* ---- help.c ---- */
void cli_help(struct cli_ctx *x, const struct sl_str *word, uint32_t n, bool unknown);

/* ---- find.c: "backend/server" and names, with HAProxy's answers ---- */
const struct proxy *cli_find_backend(struct cli_ctx *x, struct sl_str name);
const struct proxy *cli_find_frontend(struct cli_ctx *x, struct sl_str name);
/* NULL after "No such backend." or the like. */
const struct server *cli_find_server(struct cli_ctx *x, struct sl_str name);
