// SPDX-License-Identifier: BSD-3-Clause
/*
 * The thread `io`: one event loop for all sockets of the host, with rings to every worker.
 *
 * Runs on: its own thread; start, stop and run on others. Never Lua, never for long. What others do
 * on it comes through io_thread_run(), one call at a time, which waits for the end of the call: the
 * way by which modules attach sources, listeners and targets, and take them away again.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "control/io/io.h"

struct io_thread {
	struct io_loop *loop;
	struct ev_loop *ev;
	struct ev_async call;
	pthread_t tid;
	cpu_set_t cpus;
	bool pinned;
	int nice;
	pthread_mutex_t turn; // one caller at a time
	pthread_mutex_t lock; // of what follows
	pthread_cond_t done;
	void (*fn)(struct io_loop *l, void *ctx); // NULL: none
	void *ctx;
};

static void
on_call(struct ev_loop *ev sl_unused, struct ev_async *a, int events sl_unused)
{
	struct io_thread *t = a->data;

	pthread_mutex_lock(&t->lock);
	if (t->fn != NULL) {
		t->fn(t->loop, t->ctx);
		t->fn = NULL;
		pthread_cond_signal(&t->done);
	}
	pthread_mutex_unlock(&t->lock);
}

void
io_thread_run(struct io_thread *t, void (*fn)(struct io_loop *l, void *ctx), void *ctx)
{
	pthread_mutex_lock(&t->turn);
	pthread_mutex_lock(&t->lock);
	t->fn = fn;
	t->ctx = ctx;
	ev_async_send(t->ev, &t->call);
	while (t->fn != NULL)
		pthread_cond_wait(&t->done, &t->lock);
	pthread_mutex_unlock(&t->lock);
	pthread_mutex_unlock(&t->turn);
}

static void *
thread_main(void *arg)
{
	struct io_thread *t = arg;

	prctl(PR_SET_NAME, "sluice-io");
	if (t->pinned)
		pthread_setaffinity_np(pthread_self(), sizeof(t->cpus), &t->cpus);
	if (t->nice != 0)
		setpriority(PRIO_PROCESS, 0, t->nice); // of this thread only, on Linux
	ev_run(t->ev, 0);
	return NULL;
}

static void
on_stop(struct io_loop *l, void *ctx sl_unused)
{
	ev_break(io_loop_ev(l), EVBREAK_ALL);
}

static void
thread_free(struct io_thread *t)
{
	if (t->loop != NULL)
		io_loop_free(t->loop);
	if (t->ev != NULL) {
		ev_async_stop(t->ev, &t->call);
		ev_loop_destroy(t->ev);
	}
	pthread_cond_destroy(&t->done);
	pthread_mutex_destroy(&t->lock);
	pthread_mutex_destroy(&t->turn);
	free(t);
}

int
io_thread_start(const struct io_thread_spec *s, struct io_thread **out)
{
	struct io_thread *t = calloc(1, sizeof(*t));
	int rc = -ENOMEM;

	if (t == NULL)
		return -ENOMEM;
	pthread_mutex_init(&t->turn, NULL);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->done, NULL);
	t->nice = s->nice;
	t->pinned = s->cpus != NULL;
	if (t->pinned)
		t->cpus = *s->cpus;
	t->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV | EVFLAG_NOSIGMASK);
	if (t->ev != NULL) {
		ev_async_init(&t->call, on_call);
		t->call.data = t;
		ev_async_start(t->ev, &t->call);
		t->loop = io_loop_new(t->ev, s->lc, s->n, IO_PAIR_IO, s->max_conns);
	}
	if (t->loop != NULL)
		rc = -pthread_create(&t->tid, NULL, thread_main, t);
	if (rc < 0) {
		thread_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void
io_thread_stop(struct io_thread *t)
{
	if (t == NULL)
		return;
	io_thread_run(t, on_stop, NULL);
	pthread_join(t->tid, NULL);
	thread_free(t);
}

uint64_t
io_thread_cpu_us(const struct io_thread *t)
{
	struct timespec ts;
	clockid_t id;

	if (pthread_getcpuclockid(t->tid, &id) != 0 || clock_gettime(id, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}
