// SPDX-License-Identifier: BSD-3-Clause
/*
 * Connections over our own TCP, driven from an event loop: the control thread's half of an lsock.
 *
 * Runs on: the thread of the event loop (main). Owns every block and every lsock; a worker borrows
 * them and gives each back before LSOCK_GONE. Messages that find a worker's ring full wait here, in
 * order, bounded by what one connection may have lent. Never touches a worker's pool.
 */
#include "control/io/io.h"

#include <stdlib.h>
#include <unistd.h>

#define RETRY_S           0.001
/* One connection: open, close, its blocks. */
#define MESSAGES_PER_CONN (2 + LSOCK_OUT + LSOCK_CREDIT)
#define OTHER_MESSAGES    1024
#define CREDIT_BLOCKS     2 // lent for receiving; checks read little

struct io_conn {
	struct lsock s;
	struct sl_list node;
	struct io_loop *l;
	const struct io_handler *h; // NULL: the user has let go
	void *user;
	uint32_t out_blocks; // lent full
	uint32_t lent;       // lent in all
	bool closing;        // SOCK_CLOSE was sent
};

/* Messages that wait for room in a worker's ring. */
struct pending {
	struct xmsg *m;
	uint32_t head, count, mask;
};

struct io_loop {
	struct ev_loop *ev;
	struct lcore *lc[LCORE_MAX];
	uint16_t n;
	uint32_t max, conns, lent;
	uint64_t ring_full;
	struct waker waker;
	struct ev_io io;
	struct ev_prepare prepare;
	struct ev_check check;
	struct ev_timer retry;
	struct pending pend[LCORE_MAX];
	struct sl_list all;
	void (*on_message)(void *ctx, uint16_t worker, const struct xmsg *m);
	void *ctx;
};

/* ---- to workers ---- */

static bool
push(struct io_loop *l, uint16_t w, const struct xmsg *m)
{
	if (!xring_push(&l->lc[w]->main.to, m))
		return false;
	waker_wake(&l->lc[w]->waker);
	return true;
}

static bool
post(struct io_loop *l, uint16_t w, const struct xmsg *m, uint32_t leave)
{
	struct pending *p = &l->pend[w];

	if (p->count == 0 && push(l, w, m))
		return true;
	l->ring_full++;
	if (p->count + leave > p->mask)
		return false;
	p->m[(p->head + p->count++) & p->mask] = *m;
	ev_timer_start(l->ev, &l->retry);
	return true;
}

static void
send_msg(struct io_loop *l, uint16_t w, enum xmsg_type type, struct io_conn *c, uint64_t w2)
{
	struct xmsg m = { .w = { type, (uintptr_t)&c->s, w2, 0 } };

	if (!post(l, w, &m, 0))
		sl_assert(0); // MESSAGES_PER_CONN bounds it
}

bool
io_message(struct io_loop *l, uint16_t w, const struct xmsg *m)
{
	// what connections may need is kept free
	return post(l, w, m, l->max * MESSAGES_PER_CONN);
}

static void
on_retry(struct ev_loop *ev, struct ev_timer *t, int events sl_unused)
{
	struct io_loop *l = t->data;
	bool left = false;

	for (uint16_t w = 0; w < l->n; w++) {
		struct pending *p = &l->pend[w];

		while (p->count > 0 && push(l, w, &p->m[p->head & p->mask])) {
			p->head++;
			p->count--;
		}
		left |= p->count > 0;
	}
	if (!left)
		ev_timer_stop(ev, t);
}

static void
lend(struct io_conn *c, enum xmsg_type type, struct lsock_block *b)
{
	c->lent++;
	c->l->lent++;
	send_msg(c->l, c->s.worker, type, c, (uintptr_t)b);
}

static void
send_close(struct io_conn *c, bool abort)
{
	if (c->closing)
		return;
	c->closing = true;
	send_msg(c->l, c->s.worker, XMSG_SOCK_CLOSE, c, abort);
}

/* ---- from workers ---- */

static void
took_back(struct io_conn *c)
{
	sl_assert(c->lent > 0);
	c->lent--;
	c->l->lent--;
}

static void
on_data(struct io_conn *c, struct lsock_block *b)
{
	took_back(c);
	if (b->len > 0 && c->h != NULL)
		c->h->data(c, c->user, b->data, b->len);
	if (c->closing || b->len == 0) {
		free(b);
		return;
	}
	lend(c, XMSG_SOCK_CREDIT, b);
}

static void
on_sent(struct io_conn *c, struct lsock_block *b)
{
	took_back(c);
	free(b);
	if (--c->out_blocks == 0 && c->h != NULL && !c->closing && c->h->sent != NULL)
		c->h->sent(c, c->user);
}

/* Tells the user once; whatever happens later is nobody's. */
static void
over(struct io_conn *c, int err)
{
	const struct io_handler *h = c->h;

	c->h = NULL;
	send_close(c, err != 0);
	if (h != NULL)
		h->closed(c, c->user, err);
}

static void
on_gone(struct io_conn *c)
{
	sl_assert(c->lent == 0);
	sl_list_del(&c->node);
	c->l->conns--;
	free(c);
}

static void
on_event(const struct xmsg *m)
{
	struct lsock *s = (struct lsock *)(uintptr_t)m->w[1];
	struct io_conn *c = s->owner;
	struct lsock_block *b = (struct lsock_block *)(uintptr_t)m->w[3];

	switch ((enum lsock_event)m->w[2]) {
	case LSOCK_CONNECTED:
		if (c->h != NULL)
			c->h->connected(c, c->user);
		break;
	case LSOCK_DATA:
		on_data(c, b);
		break;
	case LSOCK_SENT:
		on_sent(c, b);
		break;
	case LSOCK_EOF:
		over(c, 0);
		break;
	case LSOCK_CLOSED:
		over(c, (int)m->w[3]);
		break;
	case LSOCK_GONE:
		on_gone(c);
		break;
	}
}

static uint32_t
drain(struct io_loop *l)
{
	uint32_t got = 0;
	struct xmsg m;

	for (uint16_t w = 0; w < l->n; w++) {
		// bounded by the ring, so that a busy worker does not keep the loop here
		for (uint32_t i = 0; i <= l->lc[w]->main.from.mask; i++) {
			if (!xring_pop(&l->lc[w]->main.from, &m))
				break;
			got++;
			if ((m.w[0] & 0xffff) == XMSG_SOCK_EVENT)
				on_event(&m);
			else if (l->on_message != NULL)
				l->on_message(l->ctx, w, &m);
		}
	}
	return got;
}

/* ---- the event loop ---- */

/* Before sleeping: flag, fence, look at every ring once more. */
static void
on_prepare(struct ev_loop *ev, struct ev_prepare *p, int events sl_unused)
{
	struct io_loop *l = p->data;

	drain(l);
	waker_prepare(&l->waker);
	for (uint16_t w = 0; w < l->n; w++) {
		if (xring_count(&l->lc[w]->main.from) > 0) {
			ev_feed_event(ev, &l->io, EV_READ);
			return;
		}
	}
}

static void
on_check(struct ev_loop *ev sl_unused, struct ev_check *c, int events sl_unused)
{
	struct io_loop *l = c->data;

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

static void
start_watchers(struct io_loop *l)
{
	ev_io_init(&l->io, on_wake, l->waker.fd, EV_READ);
	ev_prepare_init(&l->prepare, on_prepare);
	ev_check_init(&l->check, on_check);
	ev_timer_init(&l->retry, on_retry, RETRY_S, RETRY_S);
	l->io.data = l->prepare.data = l->check.data = l->retry.data = l;
	ev_io_start(l->ev, &l->io);
	ev_prepare_start(l->ev, &l->prepare);
	ev_check_start(l->ev, &l->check);
}

struct io_loop *
io_loop_new(struct ev_loop *ev, struct lcore **lc, uint16_t n, uint32_t max_conns)
{
	uint32_t size = sl_pow2_up(max_conns * MESSAGES_PER_CONN + OTHER_MESSAGES);
	struct io_loop *l =
		aligned_alloc(SL_CACHE_LINE, SL_ALIGN_UP(sizeof(*l), (size_t)SL_CACHE_LINE));

	if (l == NULL)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->ev = ev;
	l->n = n;
	l->max = max_conns;
	sl_list_init(&l->all);
	if (waker_init(&l->waker) < 0) {
		free(l);
		return NULL;
	}
	start_watchers(l);
	for (uint16_t w = 0; w < n; w++) {
		l->lc[w] = lc[w];
		lc[w]->main.peer = &l->waker;
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
	sl_list_foreach_safe(n, &l->all) {
		struct io_conn *c = sl_list_entry(n, struct io_conn, node);

		for (uint8_t i = 0; i < c->s.nout; i++)
			free(c->s.out[i]);
		for (uint8_t i = 0; i < c->s.ncredit; i++)
			free(c->s.credit[i]);
		for (uint8_t i = 0; i < c->s.nback; i++)
			free(c->s.back[i].block);
		free(c);
	}
	for (uint16_t w = 0; w < l->n; w++) {
		struct xmsg m;

		// blocks in messages that no worker has read
		while (l->lc[w] != NULL && xring_pop(&l->lc[w]->main.to, &m)) {
			if (m.w[0] == XMSG_SOCK_SEND || m.w[0] == XMSG_SOCK_CREDIT)
				free((void *)(uintptr_t)m.w[2]);
		}
		for (struct pending *p = &l->pend[w]; p->count > 0; p->count--, p->head++) {
			m = p->m[p->head & p->mask];
			if (m.w[0] == XMSG_SOCK_SEND || m.w[0] == XMSG_SOCK_CREDIT)
				free((void *)(uintptr_t)m.w[2]);
		}
		if (l->lc[w] != NULL)
			l->lc[w]->main.peer = NULL;
		free(l->pend[w].m);
	}
	ev_io_stop(l->ev, &l->io);
	ev_prepare_stop(l->ev, &l->prepare);
	ev_check_stop(l->ev, &l->check);
	ev_timer_stop(l->ev, &l->retry);
	waker_fini(&l->waker);
	free(l);
}

void
io_loop_on_message(
	struct io_loop *l, void (*fn)(void *ctx, uint16_t worker, const struct xmsg *m), void *ctx)
{
	l->on_message = fn;
	l->ctx = ctx;
}

/* ---- connections ---- */

int
io_connect(struct io_loop *l, uint16_t w, const struct ip_port *to, const struct io_handler *h,
	void *user, struct io_conn **out)
{
	struct lsock_block *b[CREDIT_BLOCKS] = { NULL };
	struct io_conn *c;

	if (l->conns >= l->max)
		return -EAGAIN;
	c = calloc(1, sizeof(*c));
	for (int i = 0; c != NULL && i < CREDIT_BLOCKS; i++) {
		b[i] = malloc(sizeof(*b[i]));
		if (b[i] == NULL) {
			while (i-- > 0)
				free(b[i]);
			free(c);
			c = NULL;
		}
	}
	if (c == NULL)
		return -ENOMEM;
	c->l = l;
	c->h = h;
	c->user = user;
	c->s.to = *to;
	c->s.worker = w;
	c->s.owner = c;
	sl_list_add_tail(&l->all, &c->node);
	l->conns++;
	send_msg(l, w, XMSG_SOCK_OPEN, c, 0);
	for (int i = 0; i < CREDIT_BLOCKS; i++)
		lend(c, XMSG_SOCK_CREDIT, b[i]);
	*out = c;
	return 0;
}

int
io_send(struct io_conn *c, const void *p, uint32_t n)
{
	uint32_t blocks = (n + IO_BLOCK - 1) / IO_BLOCK;
	const uint8_t *at = p;

	if (c->closing || c->h == NULL)
		return -EPIPE;
	if (blocks > LSOCK_OUT - c->out_blocks)
		return -ENOSPC;
	while (n > 0) {
		struct lsock_block *b = malloc(sizeof(*b));

		if (b == NULL)
			return -ENOMEM; // a part may have been sent: the caller closes
		b->len = sl_min(n, (uint32_t)IO_BLOCK);
		memcpy(b->data, at, b->len);
		at += b->len;
		n -= b->len;
		c->out_blocks++;
		lend(c, XMSG_SOCK_SEND, b);
	}
	return 0;
}

void
io_close(struct io_conn *c, bool abort)
{
	c->h = NULL;
	send_close(c, abort);
}

void
io_get_stats(const struct io_loop *l, struct io_stats *out)
{
	*out = (struct io_stats){ .conns = l->conns, .blocks = l->lent, .ring_full = l->ring_full };
	for (uint16_t w = 0; w < l->n; w++)
		out->waiting += l->pend[w].count;
}
