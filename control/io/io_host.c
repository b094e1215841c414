// SPDX-License-Identifier: BSD-3-Clause
/*
 * Kernel sockets for workers: io's half of conn/conn_host.c.
 *
 * Runs on: the io thread; start and stop by io_thread_run(). Accepts for all workers and hands the
 * connections out in turn; connects for them; carries bytes in blocks that it owns. What comes from
 * a worker is always taken: it waits in the connection's queue, bounded by the credit. What finds a
 * worker's ring full waits at the connection, in order, and is tried again.
 * A peer that does not read holds its own credit and nothing else: when few blocks are left, every
 * connection may hold one in each direction.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/io/io_host.h"
#include "control/io/io_priv.h"

#define LEND        32u // blocks per HOST_WANT
#define KEEP_FREE   256u
#define READS       4 // blocks per event and socket
#define ACCEPTS     16
#define RETRY_S     0.001
#define PAUSE_S     0.1 // of a listener, when there is no descriptor or memory
#define LINGER_S    30. // for a peer to read what was sent before the end
#define LINGER_LOOK 1.

enum hs_flag {
	HS_CONNECTING = 0x01,
	HS_EOM_IN = 0x02,   // the peer has ended
	HS_EOM_DUE = 0x04,  // and the worker is to hear it
	HS_CONN_DUE = 0x08, // HOST_CONNECTED
	HS_ERR_DUE = 0x10,  // HOST_ABORT
	HS_DEAD = 0x20,     // the descriptor is closed
	HS_SHUT = 0x40,     // no more from the worker: shut down when all is written
	HS_CLOSE = 0x80,    // the worker has let go
	HS_GONE_DUE = 0x100,
	HS_ACC_DUE = 0x200, // HOST_ACCEPT
	HS_SHUT_DONE = 0x400,
};

struct hsock {
	struct host_accept acc; // first: what a worker gives back
	struct io_host *h;
	struct hconn *hc;
	uint16_t worker;
	uint16_t flags;
	int fd, err;
	struct ev_io r, w;
	struct sl_list all, blocked, linger;
	double linger_until;
	struct host_block *tx, **tx_last; // to be written
	struct host_block *up, **up_last; // read, and not pushed to the worker yet
	uint32_t lent, lent_blocks;       // read and not consumed by the worker's user
	uint32_t credit;                  // written and not told
};

struct hlisten {
	struct io_host *h;
	struct ip_port addr;
	int fd;
	struct ev_io r;
	struct sl_list node;
};

struct io_host {
	struct io_loop *l;
	struct ev_loop *ev;
	struct lcore *lc[LCORE_MAX];
	uint16_t n, next;
	uint32_t max_socks, nsocks;
	uint32_t soft_blocks, max_blocks, nblocks, nfree;
	bool scarce, paused;
	struct host_block *free;
	struct sl_list blocks;  // all of them
	struct sl_list all;     // hsocks
	struct sl_list blocked; // hsocks with something for a full ring
	struct sl_list linger;  // hsocks that end, the earliest first
	struct sl_list listeners;
	bool want[LCORE_MAX];               // a worker waits for blocks
	struct host_block *lend[LCORE_MAX]; // on their way to a full ring
	struct ev_timer retry, pause, look;
	struct io_host_stats st;
};

static void pump(struct hsock *s);

/* ---- blocks ---- */

static void
set_scarce(struct io_host *h)
{
	bool scarce = h->nblocks - h->nfree > h->soft_blocks;

	if (scarce == h->scarce)
		return;
	h->scarce = scarce;
	if (scarce)
		counter_inc(&h->st.scarce);
	for (uint16_t w = 0; w < h->n; w++)
		atomic_store_explicit(&h->lc[w]->host_scarce, scarce, memory_order_relaxed);
}

static struct host_block *
block_get(struct io_host *h)
{
	struct host_block *b = h->free;

	if (b != NULL) {
		h->free = b->next;
		h->nfree--;
	} else if (h->nblocks < h->max_blocks && (b = malloc(sizeof(*b))) != NULL) {
		sl_list_add_tail(&h->blocks, &b->all);
		h->nblocks++;
	} else {
		counter_inc(&h->st.no_block);
		return NULL;
	}
	b->next = NULL;
	b->off = b->len = 0;
	set_scarce(h);
	return b;
}

static void
block_put(struct io_host *h, struct host_block *b)
{
	if (h->nfree < KEEP_FREE) {
		b->next = h->free;
		h->free = b;
		h->nfree++;
	} else {
		sl_list_del(&b->all);
		free(b);
		h->nblocks--;
	}
	set_scarce(h);
}

static void
put_list(struct io_host *h, struct host_block *b)
{
	while (b != NULL) {
		struct host_block *next = b->next;

		block_put(h, b);
		b = next;
	}
}

/* Blocks for those workers that asked; as many as there are, later if there are none. */
static bool
lend(struct io_host *h)
{
	bool left = false;

	for (uint16_t w = 0; w < h->n; w++) {
		struct xmsg m = { .w = { XMSG_HOST_BLOCKS } };

		if (!h->want[w])
			continue;
		for (uint32_t i = 0; h->lend[w] == NULL && i < LEND; i++) {
			struct host_block *b = block_get(h);

			if (b == NULL)
				break;
			b->next = (struct host_block *)(uintptr_t)m.w[1];
			m.w[1] = (uintptr_t)b;
			m.w[2]++;
		}
		if (h->lend[w] != NULL)
			m.w[1] = (uintptr_t)h->lend[w];
		h->lend[w] = (struct host_block *)(uintptr_t)m.w[1];
		if (h->lend[w] != NULL && io_push(h->l, w, &m)) {
			h->lend[w] = NULL;
			h->want[w] = false;
		}
		left |= h->want[w];
	}
	return left;
}

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

static void
sock_free(struct hsock *s)
{
	struct io_host *h = s->h;

	put_list(h, s->up);
	put_list(h, s->tx);
	sl_list_del(&s->all);
	sl_list_del(&s->blocked);
	sl_list_del(&s->linger);
	h->nsocks--;
	counter_dec(&h->st.sockets);
	free(s);
}

/* In order. What the ring does not take is tried again; s may be gone afterwards. */
static void
report(struct hsock *s)
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
			sock_free(s);
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

static void
on_retry(struct ev_loop *ev, struct ev_timer *t, int events sl_unused)
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
		report(s);
	}
	left = lend(h);
	// sockets that found no block to read into
	if (h->st.starved) {
		h->st.starved = false;
		sl_list_foreach_safe(n, &h->all)
			pump(sl_list_entry(n, struct hsock, all));
	}
	if (!left && sl_list_is_empty(&h->blocked) && !h->st.starved)
		ev_timer_stop(ev, t);
}

/* ---- the socket ---- */

static void
close_fd(struct hsock *s, bool reset)
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
	put_list(s->h, s->tx);
	s->tx = NULL;
	s->tx_last = &s->tx;
}

static void
gone(struct hsock *s, bool reset)
{
	close_fd(s, reset);
	sl_list_del(&s->linger);
	// nothing else is of interest: the user has left
	put_list(s->h, s->up);
	s->up = NULL;
	s->up_last = &s->up;
	s->credit = 0;
	s->flags &= (uint16_t) ~(HS_CONN_DUE | HS_EOM_DUE | HS_ERR_DUE);
	s->flags |= HS_GONE_DUE;
	report(s);
}

static void
failed(struct hsock *s, int err)
{
	if ((s->flags & HS_DEAD) != 0)
		return;
	if ((s->flags & HS_CLOSE) != 0) {
		gone(s, true);
		return;
	}
	close_fd(s, true);
	s->err = err;
	s->flags |= HS_ERR_DUE;
	report(s);
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
	struct host_block *b = block_get(h);
	ssize_t n;

	if (b == NULL) {
		h->st.starved = true;
		ev_timer_start(h->ev, &h->retry);
		return 0;
	}
	n = read(s->fd, b->data, HOST_BLOCK);
	if (n <= 0) {
		int err = n < 0 ? errno : 0;

		block_put(h, b);
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
		block_put(s->h, b);
	}
	s->tx_last = &s->tx;
	return 0;
}

static void
watch(struct hsock *s)
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
static void
pump(struct hsock *s)
{
	int rc = 0;

	if ((s->flags & (HS_DEAD | HS_CONNECTING)) != 0) {
		watch(s);
		report(s);
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
		failed(s, -rc);
		return;
	}
	if (s->tx == NULL && (s->flags & HS_CLOSE) != 0) {
		gone(s, false);
		return;
	}
	if (s->tx == NULL && (s->flags & (HS_SHUT | HS_SHUT_DONE)) == HS_SHUT) {
		s->flags |= HS_SHUT_DONE;
		shutdown(s->fd, SHUT_WR);
	}
	watch(s);
	report(s);
}

static void
name_of(int fd, bool peer, struct ip_port *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	memset(out, 0, sizeof(*out));
	if ((peer ? getpeername(fd, (struct sockaddr *)&ss, &len)
		  : getsockname(fd, (struct sockaddr *)&ss, &len)) == 0)
		io_addr_from(&ss, out);
}

static void
on_connected(struct hsock *s)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	s->flags &= (uint16_t)~HS_CONNECTING;
	if (err != 0) {
		failed(s, err);
		return;
	}
	name_of(s->fd, false, &s->hc->local);
	s->flags |= HS_CONN_DUE;
	pump(s);
}

static void
on_readable(struct ev_loop *ev sl_unused, struct ev_io *w, int events sl_unused)
{
	pump(w->data);
}

static void
on_writable(struct ev_loop *ev sl_unused, struct ev_io *w, int events sl_unused)
{
	struct hsock *s = w->data;

	if ((s->flags & HS_CONNECTING) != 0)
		on_connected(s);
	else
		pump(s);
}

static struct hsock *
sock_new(struct io_host *h, uint16_t w)
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

static void
set_fd(struct hsock *s, int fd, bool tcp)
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

/* ---- listeners ---- */

static void
on_pause_over(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct io_host *h = t->data;

	h->paused = false;
	sl_list_foreach(n, &h->listeners)
		ev_io_start(h->ev, &sl_list_entry(n, struct hlisten, node)->r);
}

/* Connections stay in the kernel's queue meanwhile. */
static void
pause_accepting(struct io_host *h)
{
	counter_inc(&h->st.pauses);
	h->paused = true;
	sl_list_foreach(n, &h->listeners)
		ev_io_stop(h->ev, &sl_list_entry(n, struct hlisten, node)->r);
	ev_timer_set(&h->pause, PAUSE_S, 0.);
	ev_timer_start(h->ev, &h->pause);
}

static bool
accept_one(struct hlisten *l)
{
	struct io_host *h = l->h;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct hsock *s;
	int fd;

	if (h->nsocks >= h->max_socks) {
		counter_inc(&h->st.no_socket);
		pause_accepting(h);
		return false;
	}
	fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		// EINVAL: shut down by whoever gave it to us
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_accepting(h);
		return errno == EINTR || errno == ECONNABORTED;
	}
	s = sock_new(h, h->next);
	if (s == NULL) {
		close(fd);
		pause_accepting(h);
		return false;
	}
	h->next = (uint16_t)((h->next + 1) % h->n);
	counter_inc(&h->st.accepts);
	set_fd(s, fd, peer.ss_family != AF_UNIX);
	s->acc.listen = l->addr;
	if (peer.ss_family == AF_UNIX) {
		s->acc.local = s->acc.remote = l->addr;
	} else {
		io_addr_from(&peer, &s->acc.remote);
		name_of(fd, false, &s->acc.local);
	}
	s->flags |= HS_ACC_DUE;
	report(s);
	return true;
}

static void
on_acceptable(struct ev_loop *ev sl_unused, struct ev_io *w, int events sl_unused)
{
	for (int i = 0; i < ACCEPTS && accept_one(w->data); i++)
		;
}

int
io_host_listen(struct io_host *h, const struct ip_port *addr, int fd)
{
	struct hlisten *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	*l = (struct hlisten){ .h = h, .addr = *addr, .fd = fd };
	ev_io_init(&l->r, on_acceptable, fd, EV_READ);
	l->r.data = l;
	if (!h->paused)
		ev_io_start(h->ev, &l->r);
	sl_list_add_tail(&h->listeners, &l->node);
	return 0;
}

static void
listener_free(struct hlisten *l)
{
	ev_io_stop(l->h->ev, &l->r);
	close(l->fd);
	sl_list_del(&l->node);
	free(l);
}

void
io_host_unlisten(struct io_host *h, const struct ip_port *addr)
{
	sl_list_foreach_safe(n, &h->listeners) {
		struct hlisten *l = sl_list_entry(n, struct hlisten, node);

		if (!addr_port_eq(&l->addr, addr))
			continue;
		while (!h->paused && accept_one(l))
			;
		listener_free(l);
	}
}

void
io_host_unlisten_all(struct io_host *h)
{
	sl_list_foreach_safe(n, &h->listeners)
		listener_free(sl_list_entry(n, struct hlisten, node));
}

/* ---- from workers ---- */

static void
on_open(void *ctx, uint16_t w sl_unused, const struct xmsg *m)
{
	struct hconn *hc = (struct hconn *)(uintptr_t)m->w[1];
	struct hsock *s = (struct hsock *)(uintptr_t)m->w[2];

	(void)ctx;
	s->hc = hc;
	hc->sock = s;
	pump(s);
}

static void
on_refuse(void *ctx sl_unused, uint16_t w sl_unused, const struct xmsg *m)
{
	struct hsock *s = (struct hsock *)(uintptr_t)m->w[1];

	close_fd(s, true);
	sock_free(s);
}

static void
on_connect(void *ctx, uint16_t w, const struct xmsg *msg)
{
	struct io_host *h = ctx;
	struct hconn *hc = (struct hconn *)(uintptr_t)msg->w[1];
	struct hsock *s = sock_new(h, w);
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
		report(s);
		return;
	}
	set_fd(s, fd, ss.ss_family != AF_UNIX);
	s->flags |= HS_CONNECTING;
	if (connect(fd, (struct sockaddr *)&ss, len) == 0)
		on_connected(s);
	else if (errno == EINPROGRESS)
		watch(s);
	else
		failed(s, errno == EAGAIN ? ECONNREFUSED : errno); // EAGAIN: a unix queue is full
}

static void
on_data(void *ctx, uint16_t w sl_unused, const struct xmsg *m)
{
	struct hsock *s = ((struct hconn *)(uintptr_t)m->w[1])->sock;
	struct host_block *b = (struct host_block *)(uintptr_t)m->w[2];

	if (s == NULL || (s->flags & HS_DEAD) != 0) {
		block_put(ctx, b);
		return;
	}
	b->next = NULL;
	*s->tx_last = b;
	s->tx_last = &b->next;
	pump(s);
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
		pump(s);
}

static void
on_eom(void *ctx sl_unused, uint16_t w sl_unused, const struct xmsg *m)
{
	struct hsock *s = ((struct hconn *)(uintptr_t)m->w[1])->sock;

	if (s == NULL)
		return;
	s->flags |= HS_SHUT;
	pump(s);
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
		gone(s, reset);
		return;
	}
	s->linger_until = ev_now(h->ev) + LINGER_S;
	sl_list_add_tail(&h->linger, &s->linger);
	if (!ev_is_active(&h->look))
		ev_timer_again(h->ev, &h->look);
	pump(s);
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
		gone(s, true);
	}
	ev_timer_stop(ev, t);
}

static void
on_want(void *ctx, uint16_t w, const struct xmsg *m sl_unused)
{
	struct io_host *h = ctx;

	h->want[w] = true;
	if (lend(h))
		ev_timer_start(h->ev, &h->retry);
}

static void
on_blocks(void *ctx, uint16_t w sl_unused, const struct xmsg *m)
{
	put_list(ctx, (struct host_block *)(uintptr_t)m->w[1]);
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
	h->max_blocks = spec->blocks + 2 * spec->max_socks + LEND * l->n;
	sl_list_init(&h->blocks);
	sl_list_init(&h->all);
	sl_list_init(&h->blocked);
	sl_list_init(&h->linger);
	sl_list_init(&h->listeners);
	ev_timer_init(&h->retry, on_retry, RETRY_S, RETRY_S);
	ev_timer_init(&h->pause, on_pause_over, PAUSE_S, 0.);
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

		close_fd(s, false);
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
