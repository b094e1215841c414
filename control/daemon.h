/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that the daemon holds on main, in the order in which it is taken. Private to control's own
 * files: main.c (entry), start.c (up and down), daemon.c (the event loop between), reload.c (from one
 * configuration to the next).
 */
#pragma once

#include <ev.h>

#include "control/check/check.h"
#include "control/cli/cli.h"
#include "control/io/io_host.h"
#include "control/log/log.h"
#include "control/options.h"
#include "control/parent.h"
#include "control/slots.h"
#include "control/threads.h"
#include "dataplane/worker/worker.h"

struct daemon {
	struct options *opt;
	struct model *model;
	struct parent_spec clean;
	bool parented; // a parent process cleans up
	bool chrooted; // names of files begin at another root than the parent's
	bool leave;    // rights are gone: what needs them at the end is left to the parent
	int notify_fd; // the service manager's socket (notify.h); -1
	int ready_fd;  // -D: the foreground process waits for a byte; -1
	struct ev_loop *ev;
	struct log *log;
	struct thread_plan plan;
	struct port_spec spec[PORT_MAX];
	bool huge;
	struct rte_mempool *pool[LCORE_MAX];
	struct ports *ports;
	struct net_shared *net;
	struct bal_shared *bal;
	struct worker_spec wspec;
	uint32_t worker_mb; // memory of one worker's tables
	struct worker_memory worker_mem;
	uint32_t mbufs; // of one worker's pool
	struct lcore *lc[LCORE_MAX];
	uint16_t nlc;
	struct io_loop *io; // of main
	struct io_thread *iot;
	struct io_socks *socks; // of scripts
	struct io_host *host;
	uint32_t nlisten;
	int *listen_fd; // of the start, by the index of model->binds; -1: a port's, or handed over
	uint32_t max_socks;
	struct taps *taps; // of "kernel-tap"; NULL: none
	struct checks *checks;
	struct health *health; // "health-file"; NULL: none
	struct stats_spec stats_spec;
	_Atomic(uint64_t) pat_refused; // of all generations
	struct stats *stats;
	struct cli *cli;
	bool scripts; // threads run
	bool launched;
	uint32_t old_told; // of the processes of -sf and -st
	struct cli_reloads reloads;
	uint32_t cap[SLOT_KINDS]; // slots for the whole life of the process
	struct slots *slots;
	struct reload *reload;
	bool loader_stuck; // its thread outlives us: what it may look at stays
	struct port_err err; // why a step failed
};

/* ---- the steps of start.c: 0 or -Exxx with a sentence in d->err ---- */
#define CHECK_CONNS 1024u // of main: health checks
int daemon_fail(struct daemon *d, int rc, const char *text);
/* size.c: placement of threads, and what maxconn takes against what is there. */
int plan_up(struct daemon *d);
/* listen.c */
int listen_up(struct daemon *d);
void listen_down(struct daemon *d);
/*
 * Before the files of m's unix sockets are made: tells the parent of them. A daemon that gave its rights
 * up, or was killed, cannot remove them itself.
 */
void listen_note(struct daemon *d, const struct model *m);
/* The bind of m at addr; NULL: there is none. */
const struct listen_addr *listen_find(const struct model *m, const struct ip_port *addr);
/* One listening socket of m, not served yet. 0 and *out, or -Exxx with a sentence in d->err. */
int listen_one(struct daemon *d, const struct model *m, const struct listen_addr *b, int *out);
/* How many may wait to be accepted. */
int listen_backlog(const struct model *m, const struct listen_addr *b);
/* Rights of a path that stays open; what cannot be changed is told. */
void listen_adjust(struct daemon *d, const struct listen_addr *was, const struct listen_addr *b);
/* Removes the path of a bind that has one. */
void listen_unlink(const struct listen_addr *b);
/* reload.c */
int reload_up(struct daemon *d);
void reload_down(struct daemon *d);
/* A load that is under way ends, and no other begins. */
void reload_cancel(struct daemon *d);
/*
 * Loads the files again and serves what they say, soon; while one is under way the next one begins
 * behind it. Returns the number of the run that will have seen the files as they are now.
 */
uint32_t reload_request(struct daemon *d);
bool reload_is_busy(const struct daemon *d);
/* log_model_fn; ctx: the daemon. */
const struct model *reload_model(void *ctx, uint32_t generation);
/* cli_spec.generations */
uint32_t reload_generations(void *ctx, struct cli_generation *out, uint32_t max);
/* patterns.c: makes changes that rules asked for, how many; frees lists that were replaced. */
uint32_t patterns_serve(struct daemon *d);
void patterns_free(struct daemon *d);
/* -sf, -st: the processes before this one; once. */
void daemon_end_old(struct daemon *d);
/* dpdk.c */
int eal_up(struct daemon *d);
void eal_down(struct daemon *d);
int ports_up(struct daemon *d);
void ports_down(struct daemon *d);
/* ports.c: a line in the log for each port, with what was agreed with its device. */
void ports_say(struct daemon *d);
/* The line: cut off when it does not fit. */
void ports_format(const struct port *p, char *out, uint32_t size);

/* start.c: everything up to running workers, or nothing. 0 or -Exxx with a message printed. */
int daemon_start(struct daemon *d);
/*
 * The port's device is being taken away: workers stop, it is let go, workers go on. 0, or -Exxx: they
 * do not.
 */
int daemon_let_go(struct daemon *d, struct port *p);
/* Takes down what stands, in reverse. */
void daemon_stop(struct daemon *d);
/* daemon.c: signals, links, log; returns the exit code. */
int daemon_run(struct daemon *d);
/* notify.c: "READY=1\n" and the like to the service manager, if there is one (-Ws). */
void daemon_tell_systemd(struct daemon *d, const char *text);
/* One line in HAProxy's form to stderr and, once it is open, to the log. */
void daemon_say(struct daemon *d, enum sl_level level, const char *fmt, ...) sl_printf(3, 4);
