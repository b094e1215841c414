// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loading a configuration while the daemon runs: parser, Lua bodies and model building on a thread of
 * its own, with a time limit.
 *
 * Runs on: main, but for load(), which is the thread. A load that takes too long is cancelled: parser
 * and Lua bodies look at a flag. One that does not end even then (a body is stuck in a C function) is
 * told once, and keeps its place: there is one loader at a time.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "control/reload_priv.h"

#define GRACE_S  2. // from cancelling to "stuck"
#define TEXT_MAX (256u << 10) // of messages; more is cut

struct loader {
	struct loader_spec s;
	pthread_t tid;
	struct ev_async end;
	struct ev_timer limit;
	_Atomic(bool) cancel; // main writes
	_Atomic(bool) ended;  // the loader writes, last
	/* the loader's until it ended */
	struct model *model;
	char *text;
	uint32_t len, size;
};

static void
say(void *ctx, enum sl_level level, const char *who, const char *text)
{
	struct loader *l = ctx;
	char line[4096];
	struct sl_buf b;

	sl_buf_init(&b, line, sizeof(line));
	options_format(&b, level, who, text);
	if (l->len + b.len > l->size && l->size < TEXT_MAX) {
		uint32_t size = l->size == 0 ? 16384u : 2 * l->size;
		char *more = realloc(l->text, size);

		if (more == NULL)
			return;
		l->text = more;
		l->size = size;
	}
	if (l->len + b.len > l->size)
		return;
	memcpy(l->text + l->len, line, b.len);
	l->len += b.len;
}

static void *
load(void *arg)
{
	struct loader *l = arg;
	struct options_sink sink = { .say = say, .ctx = l };

	pthread_setname_np(pthread_self(), "sl-loader");
	// a thread's weight, not the process's: Linux counts by thread. Losing it is no failure
	if (l->s.nice != 0 && setpriority(PRIO_PROCESS, (id_t)gettid(), l->s.nice) < 0)
		errno = 0;
	(void)options_reload(l->s.opt, &sink, l->s.generation, &l->cancel, &l->model);
	atomic_store_explicit(&l->ended, true, memory_order_release);
	ev_async_send(l->s.ev, &l->end);
	return NULL;
}

static void
loader_free(struct loader *l)
{
	ev_async_stop(l->s.ev, &l->end);
	ev_timer_stop(l->s.ev, &l->limit);
	free(l->text);
	free(l);
}

static void
on_end(struct ev_loop *ev sl_unused, struct ev_async *w, int events sl_unused)
{
	struct loader *l = w->data;

	if (!atomic_load_explicit(&l->ended, memory_order_acquire))
		return;
	pthread_join(l->tid, NULL);
	ev_timer_stop(l->s.ev, &l->limit);
	l->s.done(l->s.ctx, l->model, sl_str_make(l->text != NULL ? l->text : "", l->len));
	loader_free(l);
}

static void
on_limit(struct ev_loop *ev, struct ev_timer *t, int events sl_unused)
{
	struct loader *l = t->data;

	if (atomic_exchange(&l->cancel, true)) {
		l->s.stuck(l->s.ctx);
		return;
	}
	ev_timer_set(t, GRACE_S, 0.);
	ev_timer_start(ev, t);
}

static int
run(struct loader *l)
{
	pthread_attr_t attr;
	int rc = -pthread_attr_init(&attr);

	if (rc < 0)
		return rc;
	// main has a CPU of its own where there are enough
	if (l->s.cpus != NULL)
		rc = -pthread_attr_setaffinity_np(&attr, sizeof(*l->s.cpus), l->s.cpus);
	if (rc == 0)
		rc = -pthread_create(&l->tid, &attr, load, l);
	pthread_attr_destroy(&attr);
	return rc;
}

int
loader_start(const struct loader_spec *s, struct loader **out)
{
	struct loader *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	l->s = *s;
	ev_async_init(&l->end, on_end);
	l->end.data = l;
	ev_async_start(s->ev, &l->end);
	ev_timer_init(&l->limit, on_limit, s->timeout_ms / 1000., 0.);
	l->limit.data = l;
	if (s->timeout_ms != 0)
		ev_timer_start(s->ev, &l->limit);
	rc = run(l);
	if (rc < 0) {
		loader_free(l);
		return rc;
	}
	*out = l;
	return 0;
}

bool
loader_stop(struct loader *l)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	atomic_store(&l->cancel, true);
	for (int i = 0; i < 500 && !atomic_load_explicit(&l->ended, memory_order_acquire); i++)
		nanosleep(&ms, NULL);
	ev_async_stop(l->s.ev, &l->end);
	ev_timer_stop(l->s.ev, &l->limit);
	if (!atomic_load_explicit(&l->ended, memory_order_acquire))
		return false;
	pthread_join(l->tid, NULL);
	conf_free(l->model);
	loader_free(l);
	return true;
}
