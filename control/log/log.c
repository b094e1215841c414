// SPDX-License-Identifier: BSD-3-Clause
/*
 * The log from its beginning to its end, and from one generation to the next.
 *
 * Runs on: main. Owns: the ring of posted messages, the sinks, the sets of targets. Not here: lines
 * (collect.c), what carries them (target.c).
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/log/log_priv.h"

static void
on_wake(struct ev_loop *ev sl_unused, struct ev_async *w, int events sl_unused)
{
	log_drain(w->data);
}

static int
first_set(struct log *l, const struct log_conf *c)
{
	char err[128];
	int rc = outlets_init(&l->outlets, l->ev, &l->out, &l->err);

	if (rc == 0)
		rc = log_set_new(&l->outlets, c, true, &l->set, err, sizeof(err));
	if (rc == 0)
		log_set_apply(&l->outlets, c);
	return rc;
}

static bool
same_place(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

struct log *
log_new(const struct log_spec *s)
{
	struct log *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	l->ev = s->ev;
	l->quiet = s->quiet;
	l->one = same_place(s->out, s->err);
	l->pid = (int)getpid();
	if (gethostname(l->hostname, sizeof(l->hostname)) < 0)
		l->hostname[0] = '\0';
	l->hostname[sizeof(l->hostname) - 1] = '\0';
	ev_async_init(&l->wake, on_wake);
	l->wake.data = l;
	ev_async_start(l->ev, &l->wake);
	sink_open(&l->out, s->ev, s->out);
	sink_open(&l->err, s->ev, s->err);
	if (first_set(l, &s->conf) == 0)
		return l;
	log_free(l);
	return NULL;
}

void
log_free(struct log *l)
{
	if (l == NULL)
		return;
	ev_async_stop(l->ev, &l->wake);
	log_abandon(l);
	while (l->set != NULL) {
		struct log_set *s = l->set;

		l->set = s->older;
		log_set_free(&l->outlets, s);
	}
	outlets_fini(&l->outlets);
	sink_close(&l->out);
	sink_close(&l->err);
	pthread_mutex_destroy(&l->lock);
	free(l->records);
	free(l);
}

int
log_prepare(struct log *l, const struct log_conf *c, char *err, size_t size)
{
	return log_set_new(&l->outlets, c, false, &l->next, err, size);
}

void
log_commit(struct log *l, const struct log_conf *c)
{
	l->next->older = l->set;
	l->set = l->next;
	l->next = NULL;
	log_set_apply(&l->outlets, c);
}

void
log_abandon(struct log *l)
{
	log_set_free(&l->outlets, l->next);
	l->next = NULL;
}

void
log_forget(struct log *l, uint32_t generation)
{
	// the first one is where messages go
	for (struct log_set **at = &l->set->older; *at != NULL; at = &(*at)->older) {
		struct log_set *s = *at;

		if (s->generation != generation)
			continue;
		*at = s->older;
		log_set_free(&l->outlets, s);
		return;
	}
}

void
log_detach(struct log *l)
{
	sink_close(&l->out);
	sink_close(&l->err);
}

static void
flush_sink(struct sink *s, int wait_ms)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };

	while (!sink_flush(s) && poll(&p, 1, wait_ms) > 0)
		;
}

void
log_flush(struct log *l, int wait_ms)
{
	log_drain(l);
	flush_sink(&l->out, wait_ms);
	flush_sink(&l->err, wait_ms);
	sl_list_foreach(n, &l->outlets.all) {
		struct outlet *x = sl_list_entry(n, struct outlet, node);

		if (x->ring != NULL)
			forward_flush(x->ring, wait_ms);
		else
			flush_sink(x->sink, wait_ms);
	}
}

static void
count(struct sink *s, struct log_stats *out)
{
	out->lines += atomic_load_explicit(&s->lines, memory_order_relaxed);
	out->lost_sink += atomic_load_explicit(&s->lost, memory_order_relaxed);
}

void
log_get_stats(struct log *l, struct log_stats *out)
{
	*out = (struct log_stats){ 0 };
	count(&l->out, out);
	count(&l->err, out);
	outlets_count(&l->outlets, out);
	out->lost_post = atomic_load_explicit(&l->lost_post, memory_order_relaxed);
}
