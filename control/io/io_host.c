// SPDX-License-Identifier: BSD-3-Clause
/*
 * Kernel sockets for workers: io's half of conn/conn_host.c.
 *
 * Runs on: the io thread; start and stop by io_thread_run(). Accepts for all workers (host_listen.c),
 * connects for them, and carries bytes (host_sock.c) in blocks that it owns (host_block.c). Here is
 * what comes from the workers, which is always taken: it waits in the connection's queue, bounded by
 * the credit.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/io/host_priv.h"

#define RETRY_S     0.001
#define LINGER_S    30. // for a peer to read what was sent before the end
#define LINGER_LOOK 1.

/* ---- from workers ---- */

static void
on_open(void *ctx, uint16_t w sl_unused, const struct xmsg *m)
{
	struct hconn *hc = (struct hconn *)(uintptr_t)m->w[1];
	struct hsock *s = (struct hsock *)(uintptr_t)m->w[2];

	(void)ctx;
	s->hc = hc;
	hc->sock = s;
	hsock_pump(s);
}

static void
on_refuse(void *ctx sl_unused, uint16_t w sl_unused, const struct xmsg *m)
{
	struct hsock *s = (struct hsock *)(uintptr_t)m->w[1];

	hsock_close_fd(s, true);
	hsock_free(s);
}

static void
on_connect(void *ctx, uint16_t w, const struct xmsg *msg)
{
	struct io_host *h = ctx;
	struct hconn *hc = (struct hconn *)(uintptr_t)msg->w[1];
	struct hsock *s = hsock_new(h, w);
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	hc->sock = s;
	if (s == NULL) {
		struct xmsg m = { .w = { XMSG_HOST_ABORT, (uintptr_t)hc, EMFILE } };

		if (!io_message(h->l, w, &m))
			counter_inc(&h->st.ring_full); // the user's time limit ends it
		return;
	}
	s->hc = hc;
	counter_inc(&h->st.connects);
	len = io_addr_to(&hc->to, &ss);
	fd = len > 0 ? socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
	if (fd < 0) {
		s->err = len > 0 ? errno : EAFNOSUPPORT;
		s->flags |= HS_ERR_DUE;
		hsock_report(s);
		return;
	}
	hsock_set_fd(s, fd, ss.ss_family != AF_UNIX);
	s->flags |= HS_CONNECTING;
	if (connect(fd, (struct sockaddr *)&ss, len) == 0)
		hsock_connected(s);
	else if (errno == EINPROGRESS)
		hsock_watch(s);
	else
		hsock_failed(
			s, errno == EAGAIN ? ECONNREFUSED : errno); // EAGAIN: a unix queue is full
}

static void
on_data(void *ctx, uint16_t w sl_unused, const struct xmsg *m)
{
	struct hsock *s = ((struct hconn *)(uintptr_t)m->w[1])->sock;
	struct host_block *b = (struct host_block *)(uintptr_t)m->w[2];

	if (s == NULL || (s->flags & HS_DEAD) != 0) {
		hblock_put(ctx, b);
		return;
	}
	b->next = NULL;
	*s->tx_last = b;
	s->tx_last = &b->next;
	hsock_pump(s);
}

static void
on_credit(void *ctx sl_unused, uint16_t w sl_unused, const struct xmsg *m)
{
	struct hsock *s = ((struct hconn *)(uintptr_t)m->w[1])->sock;

	if (s == NULL)
		return;
	sl_assert(m->w[2] <= s->lent && m->w[3] <= s->lent_blocks);
	s->lent -= (uint32_t)m->w[2];
	s->lent_blocks -= (uint32_t)m->w[3];
	if (!ev_is_active(&s->r))
		hsock_pump(s);
}

static void
on_eom(void *ctx sl_unused, uint16_t w sl_unused, const struct xmsg *m)
{
	struct hsock *s = ((struct hconn *)(uintptr_t)m->w[1])->sock;

	if (s == NULL)
		return;
	s->flags |= HS_SHUT;
	hsock_pump(s);
}

static void
on_close(void *ctx, uint16_t w, const struct xmsg *m)
{
	struct io_host *h = ctx;
	struct hconn *hc = (struct hconn *)(uintptr_t)m->w[1];
	struct hsock *s = hc->sock;
	bool reset = m->w[2] != 0;

	if (s == NULL) {
		struct xmsg answer = { .w = { XMSG_HOST_GONE, (uintptr_t)hc } };

		if (!io_message(h->l, w, &answer))
			counter_inc(&h->st.ring_full);
		return;
	}
	s->flags |= HS_CLOSE;
	if (reset || (s->flags & HS_DEAD) != 0) {
		hsock_gone(s, reset);
		return;
	}
	s->linger_until = ev_now(h->ev) + LINGER_S;
	sl_list_add_tail(&h->linger, &s->linger);
	if (!ev_is_active(&h->look))
		ev_timer_again(h->ev, &h->look);
	hsock_pump(s);
}

static void
on_look(struct ev_loop *ev, struct ev_timer *t, int events sl_unused)
{
	struct io_host *h = t->data;

	while (!sl_list_is_empty(&h->linger)) {
		struct hsock *s = sl_list_first(&h->linger, struct hsock, linger);

		if (s->linger_until > ev_now(ev))
			return;
		counter_inc(&h->st.lingered);
		sl_list_del(&s->linger);
		hsock_gone(s, true);
	}
	ev_timer_stop(ev, t);
}

static void
on_want(void *ctx, uint16_t w, const struct xmsg *m sl_unused)
{
	struct io_host *h = ctx;

	h->want[w] = true;
	if (hblock_lend(h))
		ev_timer_start(h->ev, &h->retry);
}

static void
on_blocks(void *ctx, uint16_t w sl_unused, const struct xmsg *m)
{
	hblock_put_list(ctx, (struct host_block *)(uintptr_t)m->w[1]);
}

/* ---- life ---- */

static void
handlers(struct io_host *h, bool on)
{
	static const struct {
		enum xmsg_type type;
		io_message_fn fn;
	} rows[] = { { XMSG_HOST_CONNECT, on_connect }, { XMSG_HOST_OPEN, on_open },
		{ XMSG_HOST_REFUSE, on_refuse }, { XMSG_HOST_DATA, on_data },
		{ XMSG_HOST_CREDIT, on_credit }, { XMSG_HOST_EOM, on_eom },
		{ XMSG_HOST_CLOSE, on_close }, { XMSG_HOST_WANT, on_want },
		{ XMSG_HOST_BLOCKS, on_blocks } };

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++)
		io_loop_handle(h->l, rows[i].type, on ? rows[i].fn : NULL, h);
}

struct io_host *
io_host_new(struct io_loop *l, const struct io_host_spec *spec)
{
	struct io_host *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->l = l;
	h->ev = io_loop_ev(l);
	h->n = l->n;
	memcpy(h->lc, l->lc, sizeof(h->lc));
	h->max_socks = spec->max_socks;
	h->soft_blocks = spec->blocks;
	h->max_blocks = spec->blocks + 2 * spec->max_socks + HBLOCK_LEND * l->n;
	sl_list_init(&h->blocks);
	sl_list_init(&h->all);
	sl_list_init(&h->blocked);
	sl_list_init(&h->linger);
	sl_list_init(&h->listeners);
	ev_timer_init(&h->retry, hsock_on_retry, RETRY_S, RETRY_S);
	ev_timer_init(&h->pause, hlisten_on_pause_over, HLISTEN_PAUSE_S, 0.);
	ev_timer_init(&h->look, on_look, LINGER_LOOK, LINGER_LOOK);
	h->retry.data = h->pause.data = h->look.data = h;
	handlers(h, true);
	return h;
}

void
io_host_free(struct io_host *h)
{
	if (h == NULL)
		return;
	handlers(h, false);
	io_host_unlisten_all(h);
	sl_list_foreach_safe(n, &h->all) {
		struct hsock *s = sl_list_entry(n, struct hsock, all);

		hsock_close_fd(s, false);
		free(s);
	}
	ev_timer_stop(h->ev, &h->retry);
	ev_timer_stop(h->ev, &h->pause);
	ev_timer_stop(h->ev, &h->look);
	// wherever they are: the workers have stopped
	sl_list_foreach_safe(b, &h->blocks)
		free(sl_list_entry(b, struct host_block, all));
	free(h);
}

const struct io_host_stats *
io_host_get_stats(const struct io_host *h)
{
	return &h->st;
}
