/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of control/io: event loops that talk to workers, and what is connected through them.
 *
 * io_loop.c: rings between an event loop and the workers. io_stack.c: connections that live on a
 * worker (our TCP), driven from the loop by blocks lent both ways. io_thread.c: the thread `io`,
 * whose loop has all sockets of the host.
 */
#pragma once

#include <ev.h>
#include <sched.h>
#include <sys/socket.h>

#include "dataplane/base/addr.h"
#include "dataplane/base/list.h"
#include "dataplane/conn/lsock.h"
#include "dataplane/lcore/lcore.h"

struct io_loop; // one per control thread that talks to workers
struct io_conn;
struct io_thread;

/* ---- the loop (io_loop.c); all on its thread ---- */

/* Which pair of rings of every worker: one reader and one writer each. */
enum io_pair { IO_PAIR_MAIN, IO_PAIR_IO };

struct io_loop *io_loop_new(
	struct ev_loop *ev, struct lcore **lc, uint16_t n, enum io_pair pair, uint32_t max_conns);
/* After the workers have stopped. */
void io_loop_free(struct io_loop *l);
struct ev_loop *io_loop_ev(const struct io_loop *l);

/* Messages of one kind that come from workers; those of connections are the loop's own. */
typedef void (*io_message_fn)(void *ctx, uint16_t worker, const struct xmsg *m);
void io_loop_handle(struct io_loop *l, enum xmsg_type type, io_message_fn fn, void *ctx);
/* A message of another kind to worker w; false when even the waiting list is full. */
bool io_message(struct io_loop *l, uint16_t w, const struct xmsg *m);

/*
 * Rings of other threads that are read on this loop's thread. Who pushes into them wakes
 * io_loop_waker() afterwards; the loop drains before it sleeps and looks once more after its flag
 * is up. drain() takes a bounded number.
 */
struct io_source {
	struct sl_list node;
	void (*drain)(void *ctx);
	bool (*waits)(const void *ctx); // something is there
	void *ctx;
};
void io_source_add(struct io_loop *l, struct io_source *s);
void io_source_del(struct io_source *s);
struct waker *io_loop_waker(struct io_loop *l);

/* ---- the thread `io` (io_thread.c) ---- */

struct io_thread_spec {
	struct lcore **lc;
	uint16_t n;
	uint32_t max_conns;    // over our TCP
	const cpu_set_t *cpus; // NULL: those of the caller
	int nice;              // 0: as the caller
};
/* Before the workers run. 0 and *out, or -Exxx. */
int io_thread_start(const struct io_thread_spec *s, struct io_thread **out);
/* After the workers have stopped, and after all who attached have detached. NULL is fine. */
void io_thread_stop(struct io_thread *t);
/* Runs fn(loop, ctx) on the thread and waits for its end: how others attach and detach. */
void io_thread_run(struct io_thread *t, void (*fn)(struct io_loop *l, void *ctx), void *ctx);
/* CPU time it has used, us; any thread. */
uint64_t io_thread_cpu_us(const struct io_thread *t);

/* ---- connections over our TCP (io_stack.c); all on the loop's thread ---- */

#define IO_BLOCK    LSOCK_BLOCK            // bytes lent per block
#define IO_CREDIT   2u                     // empty blocks lent per connection
#define IO_SEND_MAX (LSOCK_OUT * IO_BLOCK) // bytes given and not handed to TCP yet

struct io_handler {
	void (*connected)(struct io_conn *c, void *user);
	/* Bytes in order; valid during the call. */
	void (*data)(struct io_conn *c, void *user, const void *p, uint32_t n);
	void (*sent)(struct io_conn *c, void *user); // everything given was handed to TCP
	/* The peer finished; sending goes on. NULL: that is the end (closed with 0). */
	void (*eof)(struct io_conn *c, void *user);
	/* err: 0 orderly end, else errno. The last call; c is dead afterwards. */
	void (*closed)(struct io_conn *c, void *user, int err);
};

/* Through worker w. 0 and *out, -ENOMEM, -EAGAIN (ring full). */
int io_connect(struct io_loop *l, uint16_t w, const struct ip_port *to, const struct io_handler *h,
	void *user, struct io_conn **out);
/* Copies; 0, -ENOSPC (more than IO_SEND_MAX would wait), -EPIPE, -ENOMEM. */
int io_send(struct io_conn *c, const void *p, uint32_t n);
/* End of our direction; only when everything given was handed to TCP (`sent`). */
void io_shutdown(struct io_conn *c);
/* No more data() than IO_CREDIT blocks that are lent already, until resumed. */
void io_pause(struct io_conn *c);
void io_resume(struct io_conn *c);
/* Once connected. */
void io_addrs(const struct io_conn *c, struct ip_port *local, struct ip_port *remote);
/* No more calls, c is dead for the caller; abort: by RST. */
void io_close(struct io_conn *c, bool abort);

/* ---- addresses of the kernel (io_addr.c); any thread ---- */

/*
 * Removes the file of a socket that was closed; not one that somebody listens at: a successor may have
 * made its own there. Errors are none of the caller's.
 */
void io_path_unlink(const char *path);

void io_addr_from(const struct sockaddr_storage *ss, struct ip_port *out);
/* The length, 0 where the kernel has no such address. */
socklen_t io_addr_to(const struct ip_port *a, struct sockaddr_storage *ss);

struct io_listen_opts {
	int backlog;
	bool v6only;
	bool has_mode; // of a path
	bool keep_umask; // without one; else open to all that reach the folder
	mode_t mode;
	uid_t uid; // -1: as we are
	gid_t gid;
};
/* A listening stream socket, not blocking; a descriptor or -Exxx. */
int io_listen_open(const struct ip_port *a, const struct io_listen_opts *o);

/* What is lent to workers now, and messages that wait for room in a ring; for tests, telemetry. */
struct io_stats {
	uint32_t conns, blocks, waiting;
	uint64_t ring_full, stray; // pushes that found no room; messages of no known kind
};
void io_get_stats(const struct io_loop *l, struct io_stats *out);
