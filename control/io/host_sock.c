// SPDX-License-Identifier: BSD-3-Clause
/*
 * One socket of the kernel for a worker: reads, writes, and tells the worker.
 *
 * Runs on: the io thread. What finds the worker's ring full waits here, in order, and is tried again.
 * A peer that does not read holds its own credit and nothing else: when few blocks are left, every
 * connection may hold one in each direction.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/io/host_priv.h"

#define READS 4 // blocks per event and socket

/* ---- to the worker ---- */

static bool
tell(struct hsock *s, enum xmsg_type type, const void *w1, uint64_t w2, uint64_t w3)
{
	struct xmsg m = { .w = { type, (uintptr_t)w1, w2, w3 } };

	return io_push(s->h->l, s->worker, &m);
}

/* A message that is due by a flag. */
static bool
tell_flag(struct hsock *s, enum hs_flag f, enum xmsg_type type, const void *w1, uint64_t w2)
{
	if ((s->flags & f) == 0)
		return true;
	if (!tell(s, type, w1, w2, 0))
		return false;
	s->flags &= (uint16_t)~f;
	return true;
}

static bool
tell_data(struct hsock *s)
{
	while (s->up != NULL) {
		struct host_block *b = s->up, *next = b->next;

		if (!tell(s, XMSG_HOST_DATA, s->hc, (uintptr_t)b, 0))
			return false;
		s->up = next; // b is the worker's now
	}
	s->up_last = &s->up;
	return true;
}

void
hsock_free(struct hsock *s)
{
	struct io_host *h = s->h;

	hblock_put_list(h, s->up);
	hblock_put_list(h, s->tx);
	sl_list_del(&s->all);
	sl_list_del(&s->blocked);
	sl_list_del(&s->linger);
	h->nsocks--;
	counter_dec(&h->st.sockets);
	free(s);
}

/* In order. What the ring does not take is tried again; s may be gone afterwards. */
void
hsock_report(struct hsock *s)
{
	struct io_host *h = s->h;
	bool ok = tell_flag(s, HS_ACC_DUE, XMSG_HOST_ACCEPT, &s->acc, 0) &&
		tell_flag(s, HS_CONN_DUE, XMSG_HOST_CONNECTED, s->hc, 0) && tell_data(s) &&
		tell_flag(s, HS_EOM_DUE, XMSG_HOST_EOM, s->hc, 0);

	if (ok && s->credit > 0 && tell(s, XMSG_HOST_CREDIT, s->hc, s->credit, 0))
		s->credit = 0;
	ok = ok && s->credit == 0 &&
		tell_flag(s, HS_ERR_DUE, XMSG_HOST_ABORT, s->hc, (uint64_t)s->err);
	if (ok && (s->flags & HS_GONE_DUE) != 0) {
		ok = tell(s, XMSG_HOST_GONE, s->hc, 0, 0);
		if (ok) {
			hsock_free(s);
			return;
		}
	}
	if (ok) {
		sl_list_del(&s->blocked);
		return;
	}
	counter_inc(&h->st.ring_full);
	if (sl_list_is_empty(&s->blocked))
		sl_list_add_tail(&h->blocked, &s->blocked);
	ev_timer_start(h->ev, &h->retry);
}

void
hsock_on_retry(struct ev_loop *ev, struct ev_timer *t, int events sl_unused)
{
	struct io_host *h = t->data;
	struct sl_list todo;
	bool left;

	sl_list_init(&todo);
	while (!sl_list_is_empty(&h->blocked)) {
		struct sl_list *n = h->blocked.next;

		sl_list_del(n);
		sl_list_add_tail(&todo, n);
	}
	while (!sl_list_is_empty(&todo)) {
		struct hsock *s = sl_list_first(&todo, struct hsock, blocked);

		sl_list_del(&s->blocked);
		hsock_report(s);
	}
	left = hblock_lend(h);
	// sockets that found no block to read into
	if (h->st.starved) {
		h->st.starved = false;
		sl_list_foreach_safe(n, &h->all)
			hsock_pump(sl_list_entry(n, struct hsock, all));
	}
	if (!left && sl_list_is_empty(&h->blocked) && !h->st.starved)
		ev_timer_stop(ev, t);
}

/* ---- the socket ---- */

void
hsock_close_fd(struct hsock *s, bool reset)
{
	struct linger lg = { .l_onoff = 1, .l_linger = 0 };

	if ((s->flags & HS_DEAD) != 0)
		return;
	s->flags |= HS_DEAD;
	ev_io_stop(s->h->ev, &s->r);
	ev_io_stop(s->h->ev, &s->w);
	if (reset)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(s->fd);
	s->fd = -1;
	hblock_put_list(s->h, s->tx);
	s->tx = NULL;
	s->tx_last = &s->tx;
}

void
hsock_gone(struct hsock *s, bool reset)
{
	hsock_close_fd(s, reset);
	sl_list_del(&s->linger);
	// nothing else is of interest: the user has left
	hblock_put_list(s->h, s->up);
	s->up = NULL;
	s->up_last = &s->up;
	s->credit = 0;
	s->flags &= (uint16_t) ~(HS_CONN_DUE | HS_EOM_DUE | HS_ERR_DUE);
	s->flags |= HS_GONE_DUE;
	hsock_report(s);
}

void
hsock_failed(struct hsock *s, int err)
{
	if ((s->flags & HS_DEAD) != 0)
		return;
	if ((s->flags & HS_CLOSE) != 0) {
		hsock_gone(s, true);
		return;
	}
	hsock_close_fd(s, true);
	s->err = err;
	s->flags |= HS_ERR_DUE;
	hsock_report(s);
}

static bool
may_read(const struct hsock *s)
{
	if ((s->flags & (HS_DEAD | HS_EOM_IN | HS_CLOSE | HS_CONNECTING)) != 0 || s->hc == NULL)
		return false;
	if (s->h->scarce)
		return s->lent_blocks == 0;
	return s->lent + HOST_BLOCK <= HOST_WINDOW && s->lent_blocks < HOST_BLOCKS;
}

/* One block. 0: nothing now, 1: go on, negative: over. */
static int
read_block(struct hsock *s)
{
	struct io_host *h = s->h;
	struct host_block *b = hblock_get(h);
	ssize_t n;

	if (b == NULL) {
		h->st.starved = true;
		ev_timer_start(h->ev, &h->retry);
		return 0;
	}
	n = read(s->fd, b->data, HOST_BLOCK);
	if (n <= 0) {
		int err = n < 0 ? errno : 0;

		hblock_put(h, b);
		if (n == 0) {
			s->flags |= HS_EOM_IN | HS_EOM_DUE;
			return 0;
		}
		return err == EAGAIN || err == EINTR ? 0 : -err;
	}
	b->len = (uint32_t)n;
	*s->up_last = b;
	s->up_last = &b->next;
	s->lent += b->len;
	s->lent_blocks++;
	counter_add(&h->st.in, (uint64_t)n);
	return n == HOST_BLOCK ? 1 : 0;
}

/* Negative errno, or 0: all is written or the socket takes no more. */
static int
write_blocks(struct hsock *s)
{
	while (s->tx != NULL) {
		struct host_block *b = s->tx;
		ssize_t n = send(s->fd, b->data + b->off, b->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		counter_add(&s->h->st.out, (uint64_t)n);
		s->credit += (uint32_t)n;
		b->off += (uint32_t)n;
		b->len -= (uint32_t)n;
		if (b->len > 0)
			continue;
		s->tx = b->next;
		hblock_put(s->h, b);
	}
	s->tx_last = &s->tx;
	return 0;
}

void
hsock_watch(struct hsock *s)
{
	struct ev_loop *ev = s->h->ev;

	if ((s->flags & HS_DEAD) != 0)
		return;
	if (may_read(s) && !s->h->st.starved)
		ev_io_start(ev, &s->r);
	else
		ev_io_stop(ev, &s->r);
	if (s->tx != NULL || (s->flags & HS_CONNECTING) != 0)
		ev_io_start(ev, &s->w);
	else
		ev_io_stop(ev, &s->w);
}

/* Reads and writes what is possible now, and tells the worker; s may be gone afterwards. */
void
hsock_pump(struct hsock *s)
{
	int rc = 0;

	if ((s->flags & (HS_DEAD | HS_CONNECTING)) != 0) {
		hsock_watch(s);
		hsock_report(s);
		return;
	}
	for (int i = 0; i < READS && may_read(s); i++) {
		rc = read_block(s);
		if (rc <= 0)
			break;
	}
	if (rc >= 0)
		rc = write_blocks(s);
	if (rc < 0) {
		hsock_failed(s, -rc);
		return;
	}
	if (s->tx == NULL && (s->flags & HS_CLOSE) != 0) {
		hsock_gone(s, false);
		return;
	}
	if (s->tx == NULL && (s->flags & (HS_SHUT | HS_SHUT_DONE)) == HS_SHUT) {
		s->flags |= HS_SHUT_DONE;
		shutdown(s->fd, SHUT_WR);
	}
	hsock_watch(s);
	hsock_report(s);
}

void
hsock_name(int fd, bool peer, struct ip_port *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	memset(out, 0, sizeof(*out));
	if ((peer ? getpeername(fd, (struct sockaddr *)&ss, &len)
		  : getsockname(fd, (struct sockaddr *)&ss, &len)) == 0)
		io_addr_from(&ss, out);
}

void
hsock_connected(struct hsock *s)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	s->flags &= (uint16_t)~HS_CONNECTING;
	if (err != 0) {
		hsock_failed(s, err);
		return;
	}
	hsock_name(s->fd, false, &s->hc->local);
	s->flags |= HS_CONN_DUE;
	hsock_pump(s);
}

static void
on_readable(struct ev_loop *ev sl_unused, struct ev_io *w, int events sl_unused)
{
	hsock_pump(w->data);
}

static void
on_writable(struct ev_loop *ev sl_unused, struct ev_io *w, int events sl_unused)
{
	struct hsock *s = w->data;

	if ((s->flags & HS_CONNECTING) != 0)
		hsock_connected(s);
	else
		hsock_pump(s);
}

struct hsock *
hsock_new(struct io_host *h, uint16_t w)
{
	struct hsock *s = h->nsocks < h->max_socks ? calloc(1, sizeof(*s)) : NULL;

	if (s == NULL) {
		counter_inc(&h->st.no_socket);
		return NULL;
	}
	s->h = h;
	s->worker = w;
	s->fd = -1;
	s->flags = HS_DEAD; // until there is a descriptor
	s->tx_last = &s->tx;
	s->up_last = &s->up;
	sl_list_init(&s->blocked);
	sl_list_init(&s->linger);
	sl_list_add_tail(&h->all, &s->all);
	h->nsocks++;
	counter_inc(&h->st.sockets);
	return s;
}

void
hsock_set_fd(struct hsock *s, int fd, bool tcp)
{
	int one = 1;

	s->fd = fd;
	s->flags &= (uint16_t)~HS_DEAD;
	if (tcp)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	ev_io_init(&s->r, on_readable, fd, EV_READ);
	ev_io_init(&s->w, on_writable, fd, EV_WRITE);
	s->r.data = s->w.data = s;
}
