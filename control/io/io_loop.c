// SPDX-License-Identifier: BSD-3-Clause
/*
 * An event loop that talks to workers: rings, messages that wait for room, and the way to sleep.
 *
 * Runs on: the thread of the event loop (main, or the io thread). A message that finds a worker's
 * ring full waits here, in order; how many may wait is bounded by what connections may have lent.
 * Other modules of the same thread add the rings that they read as sources, so that the thread
 * never sleeps over a message.
 */
#include <stdlib.h>
#include <unistd.h>

#include "control/io/io_priv.h"

#define RETRY_S        0.001
#define OTHER_MESSAGES 1024

struct xpair *
io_pair(const struct io_loop *l, uint16_t w)
{
	return l->pair == IO_PAIR_MAIN ? &l->lc[w]->main : &l->lc[w]->io;
}

bool
io_push(struct io_loop *l, uint16_t w, const struct xmsg *m)
{
	if (!xring_push(&io_pair(l, w)->to, m))
		return false;
	waker_wake(&l->lc[w]->waker);
	return true;
}

bool
io_post(struct io_loop *l, uint16_t w, const struct xmsg *m, uint32_t leave)
{
	struct pending *p = &l->pend[w];

	if (p->count == 0 && io_push(l, w, m))
		return true;
	l->ring_full++;
	if (p->count + leave > p->mask)
		return false;
	p->m[(p->head + p->count++) & p->mask] = *m;
	ev_timer_start(l->ev, &l->retry);
	return true;
}

bool
io_message(struct io_loop *l, uint16_t w, const struct xmsg *m)
{
	// what connections may need is kept free
	return io_post(l, w, m, l->max * MESSAGES_PER_CONN);
}

static void
on_retry(struct ev_loop *ev, struct ev_timer *t, int events sl_unused)
{
	struct io_loop *l = t->data;
	bool left = false;

	for (uint16_t w = 0; w < l->n; w++) {
		struct pending *p = &l->pend[w];

		while (p->count > 0 && io_push(l, w, &p->m[p->head & p->mask])) {
			p->head++;
			p->count--;
		}
		left |= p->count > 0;
	}
	if (!left)
		ev_timer_stop(ev, t);
}

/* ---- what comes ---- */

static void
dispatch(struct io_loop *l, uint16_t w, const struct xmsg *m)
{
	uint32_t type = (uint32_t)(m->w[0] & 0xffff);

	if (type == XMSG_SOCK_EVENT)
		io_stack_event(m);
	else if (type < XMSG_NR && l->on[type].fn != NULL)
		l->on[type].fn(l->on[type].ctx, w, m);
	else
		l->stray++;
}

static void
drain(struct io_loop *l)
{
	struct xmsg m;

	for (uint16_t w = 0; w < l->n; w++) {
		struct xring *r = &io_pair(l, w)->from;

		// bounded by the ring, so that a busy worker does not keep the loop here
		for (uint32_t i = 0; i <= r->mask && xring_pop(r, &m); i++)
			dispatch(l, w, &m);
	}
	sl_list_foreach_safe(n, &l->sources) {
		struct io_source *s = sl_list_entry(n, struct io_source, node);

		s->drain(s->ctx);
	}
}

static bool
something_waits(const struct io_loop *l)
{
	for (uint16_t w = 0; w < l->n; w++) {
		if (xring_count(&io_pair(l, w)->from) > 0)
			return true;
	}
	sl_list_foreach(n, &l->sources) {
		const struct io_source *s = sl_list_entry(n, struct io_source, node);

		if (s->waits(s->ctx))
			return true;
	}
	return false;
}

static void
on_idle(struct ev_loop *ev sl_unused, struct ev_idle *i sl_unused, int events sl_unused)
{
}

/*
 * Before sleeping: flag, fence, look at every ring once more. What came meanwhile may have been told
 * already: its pusher took the flag back. Then this round must not block, or the loop would sleep
 * with the flag down and nobody would wake it; an active idle watcher says so to libev.
 */
static void
on_prepare(struct ev_loop *ev, struct ev_prepare *p, int events sl_unused)
{
	struct io_loop *l = p->data;

	drain(l);
	waker_prepare(&l->waker);
	if (something_waits(l)) {
		waker_cancel(&l->waker);
		ev_idle_start(ev, &l->busy);
	}
}

static void
on_check(struct ev_loop *ev, struct ev_check *c, int events sl_unused)
{
	struct io_loop *l = c->data;

	ev_idle_stop(ev, &l->busy);
	waker_cancel(&l->waker);
	drain(l);
}

static void
on_wake(struct ev_loop *ev sl_unused, struct ev_io *w, int events sl_unused)
{
	struct io_loop *l = w->data;
	uint64_t n;

	if (read(l->waker.fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		ev_io_stop(l->ev, w); // cannot happen; better deaf than spinning
	drain(l);
}

void
io_loop_handle(struct io_loop *l, enum xmsg_type type, io_message_fn fn, void *ctx)
{
	l->on[type].fn = fn;
	l->on[type].ctx = ctx;
}

void
io_source_add(struct io_loop *l, struct io_source *s)
{
	sl_list_add_tail(&l->sources, &s->node);
}

void
io_source_del(struct io_source *s)
{
	sl_list_del(&s->node);
}

/* ---- life ---- */

static void
start_watchers(struct io_loop *l)
{
	ev_io_init(&l->io, on_wake, l->waker.fd, EV_READ);
	ev_prepare_init(&l->prepare, on_prepare);
	ev_check_init(&l->check, on_check);
	ev_idle_init(&l->busy, on_idle);
	ev_timer_init(&l->retry, on_retry, RETRY_S, RETRY_S);
	l->io.data = l->prepare.data = l->check.data = l->retry.data = l;
	ev_io_start(l->ev, &l->io);
	ev_prepare_start(l->ev, &l->prepare);
	ev_check_start(l->ev, &l->check);
}

struct io_loop *
io_loop_new(
	struct ev_loop *ev, struct lcore **lc, uint16_t n, enum io_pair pair, uint32_t max_conns)
{
	uint32_t size = sl_pow2_up(max_conns * MESSAGES_PER_CONN + OTHER_MESSAGES);
	struct io_loop *l =
		aligned_alloc(SL_CACHE_LINE, SL_ALIGN_UP(sizeof(*l), (size_t)SL_CACHE_LINE));

	if (l == NULL)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->ev = ev;
	l->n = n;
	l->pair = pair;
	l->max = max_conns;
	sl_list_init(&l->all);
	sl_list_init(&l->sources);
	if (waker_init(&l->waker) < 0) {
		free(l);
		return NULL;
	}
	start_watchers(l);
	for (uint16_t w = 0; w < n; w++) {
		l->lc[w] = lc[w];
		io_pair(l, w)->peer = &l->waker;
		l->pend[w].mask = size - 1;
		l->pend[w].m = malloc(size * sizeof(struct xmsg));
		if (l->pend[w].m == NULL) {
			io_loop_free(l);
			return NULL;
		}
	}
	return l;
}

void
io_loop_free(struct io_loop *l)
{
	// workers have stopped: what they still hold is ours again
	drain(l);
	io_stack_fini(l);
	for (uint16_t w = 0; w < l->n; w++) {
		if (l->lc[w] != NULL)
			io_pair(l, w)->peer = NULL;
		free(l->pend[w].m);
	}
	ev_io_stop(l->ev, &l->io);
	ev_prepare_stop(l->ev, &l->prepare);
	ev_check_stop(l->ev, &l->check);
	ev_idle_stop(l->ev, &l->busy);
	ev_timer_stop(l->ev, &l->retry);
	waker_fini(&l->waker);
	free(l);
}

struct ev_loop *
io_loop_ev(const struct io_loop *l)
{
	return l->ev;
}

struct waker *
io_loop_waker(struct io_loop *l)
{
	return &l->waker;
}

void
io_get_stats(const struct io_loop *l, struct io_stats *out)
{
	*out = (struct io_stats){
		.conns = l->conns, .blocks = l->lent, .ring_full = l->ring_full, .stray = l->stray
	};
	for (uint16_t w = 0; w < l->n; w++)
		out->waiting += l->pend[w].count;
}
