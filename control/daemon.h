/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that the daemon holds on main, in the order in which it is taken. Private to control's own
 * files: main.c (entry), start.c (up and down), daemon.c (the event loop between).
 */
#pragma once

#include <ev.h>

#include "control/check/check.h"
#include "control/cli/cli.h"
#include "control/io/io_host.h"
#include "control/log/log.h"
#include "control/options.h"
#include "control/parent.h"
#include "control/threads.h"
#include "dataplane/worker/worker.h"

struct daemon {
	struct options *opt;
	struct model *model;
	struct parent_spec clean;
	bool parented; // a parent process cleans up
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
	int *listen_fd; // by the index of model->binds; -1: a port's, or handed over
	uint32_t max_socks;
	struct checks *checks;
	struct stats_spec stats_spec;
	struct stats *stats;
	struct cli *cli;
	bool scripts; // threads run
	bool launched;
	uint32_t sig_soft, sig_hard;
	uint64_t reloads_refused;
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
/* dpdk.c */
int eal_up(struct daemon *d);
void eal_down(struct daemon *d);
int ports_up(struct daemon *d);
void ports_down(struct daemon *d);

/* start.c: everything up to running workers, or nothing. 0 or -Exxx with a message printed. */
int daemon_start(struct daemon *d);
/* Takes down what stands, in reverse. */
void daemon_stop(struct daemon *d);
/* daemon.c: signals, links, log; returns the exit code. */
int daemon_run(struct daemon *d);
/* notify.c: "READY=1\n" and the like to the service manager, if there is one (-Ws). */
void daemon_tell_systemd(struct daemon *d, const char *text);
/* One line in HAProxy's form to stderr and, once it is open, to the log. */
void daemon_say(struct daemon *d, enum sl_level level, const char *fmt, ...) sl_printf(3, 4);
