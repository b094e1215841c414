// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sockets of scripts: the io thread's half. Connects (kernel or our own TCP), moves bytes between
 * the transport and the rings, and tells the user.
 *
 * Runs on: the io thread.
 * Flow control: without room in rx nothing is read from the kernel, and no credit goes back to the
 * worker; what is in tx stays there until the transport takes it. A socket that was closed with
 * bytes in tx lives on until they are gone, at most LINGER_MS.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control/io/sock_priv.h"

#define LINGER_MS 5000

static void connect_next(struct io_sock *s, int err);

/* ---- to the user ---- */

/* Bytes came or went: only who waits for it is told. */
static void
moved(struct io_sock *s, uint32_t what)
{
	atomic_thread_fence(memory_order_seq_cst); // the ring, then `want`; the user the other way
	if ((atomic_load_explicit(&s->want, memory_order_relaxed) & what) == 0)
		return;
	atomic_fetch_and_explicit(&s->want, ~what, memory_order_relaxed);
	if (!s->closing && !s->all->muted)
		s->u.notify(io_sock_user(s));
}

static void
changed(struct io_sock *s, uint32_t bits)
{
	sock_set(s, bits);
	if (!s->closing && !s->all->muted)
		s->u.notify(io_sock_user(s));
}

/* ---- the transport ---- */

static void
watch(struct io_sock *s, int events)
{
	struct ev_loop *ev = io_loop_ev(s->all->loop);

	if (s->kfd < 0 || s->io.events == events)
		return;
	ev_io_stop(ev, &s->io);
	ev_io_set(&s->io, s->kfd, events);
	if (events != 0)
		ev_io_start(ev, &s->io);
}

static void
transport_close(struct io_sock *s, bool abort)
{
	if (s->kfd >= 0)
		ev_io_stop(io_loop_ev(s->all->loop), &s->io);
	sock_kernel_close(s, abort);
	if (s->conn != NULL)
		io_close(s->conn, abort);
	s->conn = NULL;
}

int
sock_raw_send(struct io_sock *s, const uint8_t *p, uint32_t n)
{
	ssize_t got;
	uint32_t done = 0;

	if (s->kfd >= 0) {
		do {
			got = send(s->kfd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		} while (got < 0 && errno == EINTR);
		return got >= 0 ? (int)got : errno == EAGAIN ? 0 : -errno;
	}
	if (s->conn == NULL)
		return -EPIPE;
	while (done < n) {
		uint32_t part = sl_min(n - done, (uint32_t)IO_BLOCK);
		int rc = io_send(s->conn, p + done, part);

		if (rc == -ENOSPC)
			break;
		if (rc < 0)
			return rc;
		done += part;
	}
	return (int)done;
}

/* ---- ends ---- */

/* The last that io does with it. */
static void
finish(struct io_sock *s, bool abort)
{
	sock_drop(s, abort);
	if (!s->all->muted)
		s->u.gone(io_sock_user(s));
}

void
sock_drop(struct io_sock *s, bool abort)
{
	if (s->query != NULL)
		name_cancel(s);
	if (s->tls != NULL && !abort)
		tls_shutdown(s);
	transport_close(s, abort);
	tls_free(s);
}

void
sock_fail(struct io_sock *s, int err, const char *why)
{
	if ((atomic_load_explicit(&s->state, memory_order_relaxed) & IO_SOCK_DEAD) != 0)
		return;
	if ((atomic_load_explicit(&s->state, memory_order_relaxed) & IO_SOCK_CONNECTED) == 0)
		atomic_fetch_add_explicit(&s->all->failed, 1, memory_order_relaxed);
	s->err = err;
	if (why != NULL)
		snprintf(s->why, sizeof(s->why), "%s", why);
	if (s->query != NULL)
		name_cancel(s);
	if (s->conn != NULL)
		transport_close(s, true);
	else
		watch(s, 0); // the descriptor lives as long as the user may use it
	changed(s, IO_SOCK_DEAD);
	if (s->closing)
		finish(s, true);
}

/* ---- bytes ---- */

static bool
is_tx_empty(struct io_sock *s)
{
	const uint8_t *p;

	return sock_tx_bytes(s, &p) == 0;
}

/* Everything was given to the transport: what comes after the last byte. */
static void
tx_done(struct io_sock *s)
{
	if (s->closing) {
		finish(s, false);
		return;
	}
	if (!s->shut_asked || s->shut_done)
		return;
	s->shut_done = true;
	if (s->tls != NULL)
		tls_shutdown(s);
	if (s->kfd >= 0)
		shutdown(s->kfd, SHUT_WR);
	else if (s->conn != NULL)
		io_shutdown(s->conn);
}

/* 0: all gone; 1: the transport takes no more now; -errno. */
static int
tx_plain(struct io_sock *s)
{
	const uint8_t *p;
	uint32_t n;

	while ((n = sock_tx_bytes(s, &p)) > 0) {
		int rc = sock_raw_send(s, p, n);

		if (rc < 0)
			return rc;
		sock_tx_take(s, (uint32_t)rc);
		if ((uint32_t)rc < n)
			return 1;
	}
	return 0;
}

static int
read_events(struct io_sock *s)
{
	return s->eof || atomic_load_explicit(&s->rx_full, memory_order_relaxed) ? 0 : EV_READ;
}

/* Moves what can be moved to the transport. */
static void
pump(struct io_sock *s)
{
	int rc;

	if (s->connecting || (s->kfd < 0 && s->conn == NULL))
		return;
	rc = s->tls != NULL ? tls_pump(s) : tx_plain(s);
	if (rc < 0) {
		sock_fail(s, -rc, NULL);
		return;
	}
	watch(s, read_events(s) | (rc > 0 ? EV_WRITE : 0));
	moved(s, IO_SOCK_WANT_TX);
	if (rc == 0 && is_tx_empty(s))
		tx_done(s);
}

/* No room: the user will say when there is some again, unless it has made some just now. */
static bool
rx_stop(struct io_sock *s)
{
	atomic_store_explicit(&s->rx_full, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (sock_rx_free(s) <= IO_SOCK_BUF / 2)
		return true;
	atomic_store_explicit(&s->rx_full, false, memory_order_relaxed);
	return false;
}

/*
 * Of TLS: what it reads may have become bytes for the user. Where they filled his room, a part of a
 * record may be left that no further byte of the transport brings out: he has to say when he has read.
 */
static void
pump_rx(struct io_sock *s)
{
	bool closing = s->closing;

	do
		pump(s);
	while (!closing && s->tls != NULL && tls_is_up(s) && sock_rx_free(s) == 0 && !rx_stop(s));
	if (!closing) // else s may be gone
		moved(s, IO_SOCK_WANT_RX);
}

void
sock_eof(struct io_sock *s)
{
	if (s->eof_told)
		return;
	s->eof_told = s->eof = true;
	watch(s, s->io.events & EV_WRITE);
	changed(s, IO_SOCK_EOF);
}

/* Of the transport: with TLS there may be records left that rx has no room for yet. */
static void
transport_eof(struct io_sock *s)
{
	if (s->tls == NULL) {
		sock_eof(s);
		return;
	}
	s->eof = true;
	watch(s, s->io.events & EV_WRITE);
	if (!tls_is_up(s))
		sock_fail(s, IO_SOCK_ETLS, "connection closed during the handshake");
	else
		pump_rx(s);
}

static ssize_t
rx_read(struct io_sock *s, const struct iovec *v, int n)
{
	ssize_t got;

	do {
		got = readv(s->kfd, v, n);
	} while (got < 0 && errno == EINTR);
	return got;
}

static void
rx_plain(struct io_sock *s)
{
	struct iovec v[2];
	uint8_t *p;
	ssize_t got;
	uint32_t room = sock_rx_free(s);

	if (room == 0 && rx_stop(s)) {
		watch(s, s->io.events & EV_WRITE);
		return;
	}
	v[0].iov_len = sock_rx_room(s, &p);
	v[0].iov_base = p;
	v[1] = (struct iovec){ .iov_base = s->rx, .iov_len = sock_rx_free(s) - v[0].iov_len };
	got = rx_read(s, v, v[1].iov_len > 0 ? 2 : 1);
	if (got > 0) {
		sock_rx_put(s, (uint32_t)got);
		moved(s, IO_SOCK_WANT_RX);
	} else if (got == 0) {
		transport_eof(s);
	} else if (errno != EAGAIN) {
		sock_fail(s, errno, NULL);
	}
}

static void
rx_tls(struct io_sock *s)
{
	uint8_t buf[16384];
	struct iovec v = { .iov_base = buf, .iov_len = sizeof(buf) };
	ssize_t got;

	if (tls_is_up(s) && sock_rx_free(s) == 0 && rx_stop(s)) {
		watch(s, s->io.events & EV_WRITE);
		return;
	}
	got = rx_read(s, &v, 1);
	if (got > 0) {
		if (tls_input(s, buf, (uint32_t)got) < 0) {
			sock_fail(s, ENOMEM, NULL);
			return;
		}
		pump_rx(s);
	} else if (got == 0) {
		transport_eof(s);
	} else if (errno != EAGAIN) {
		sock_fail(s, errno, NULL);
	}
}

/* ---- kernel sockets ---- */

static void
transport_up(struct io_sock *s)
{
	int rc;

	s->connecting = false;
	if (!s->to.tls) {
		if (s->kfd >= 0)
			atomic_store_explicit(&s->fd, s->kfd, memory_order_release);
		watch(s, EV_READ);
		sock_up(s);
		if (!is_tx_empty(s) || s->shut_asked)
			pump(s);
		return;
	}
	watch(s, EV_READ);
	rc = tls_start(s);
	if (rc < 0)
		sock_fail(s, -rc, NULL);
	else
		pump(s);
}

void
sock_up(struct io_sock *s)
{
	changed(s, IO_SOCK_CONNECTED);
}

static void
kernel_connected(struct io_sock *s)
{
	int err = sock_kernel_error(s->kfd);

	if (err != 0)
		connect_next(s, err);
	else
		transport_up(s);
}

static void
on_io(struct ev_loop *ev sl_unused, struct ev_io *w, int events)
{
	struct io_sock *s = w->data;

	if (s->connecting) {
		kernel_connected(s);
		return;
	}
	if (events & EV_WRITE) {
		pump(s); // may be the end of s when it is closing
		return;  // level-triggered: what is to be read comes again
	}
	if (s->tls != NULL)
		rx_tls(s);
	else
		rx_plain(s);
}

static void
kernel_connect(struct io_sock *s)
{
	int fd, rc = sock_kernel_open(s, &s->addr[s->iaddr], &fd);

	s->kfd = fd;
	ev_io_init(&s->io, on_io, fd, 0);
	s->io.data = s;
	s->connecting = true;
	if (rc == 0)
		transport_up(s);
	else if (rc == 1)
		watch(s, EV_WRITE);
	else
		connect_next(s, -rc);
}

/* The user has served it so far. */
static void
adopt(struct io_sock *s)
{
	ev_io_init(&s->io, on_io, s->kfd, 0);
	s->io.data = s;
	watch(s, EV_READ);
}

/* ---- our own TCP ---- */

static void
stack_connected(struct io_conn *c, void *user)
{
	struct io_sock *s = user;

	io_addrs(c, &s->local, &s->remote);
	transport_up(s);
}

static void
stack_data(struct io_conn *c, void *user, const void *p, uint32_t n)
{
	struct io_sock *s = user;
	const uint8_t *at = p;

	// as much as may still be lent
	if (!s->paused && sock_rx_free(s) < (2 + IO_CREDIT) * IO_BLOCK) {
		s->paused = true;
		io_pause(c);
		if (!rx_stop(s)) { // the user has just made room
			s->paused = false;
			io_resume(c);
		}
	}
	if (s->tls != NULL) {
		if (tls_input(s, p, n) < 0) {
			sock_fail(s, ENOMEM, NULL);
			return;
		}
		pump_rx(s);
		return;
	}
	while (n > 0) {
		uint8_t *to;
		uint32_t part = sl_min(sock_rx_room(s, &to), n);

		if (part == 0) { // cannot be: credit is bounded by the room
			sock_fail(s, ENOBUFS, NULL);
			return;
		}
		memcpy(to, at, part);
		sock_rx_put(s, part);
		at += part;
		n -= part;
	}
	moved(s, IO_SOCK_WANT_RX);
}

static void
stack_sent(struct io_conn *c sl_unused, void *user)
{
	pump(user);
}

static void
stack_eof(struct io_conn *c sl_unused, void *user)
{
	transport_eof(user);
}

static void
stack_closed(struct io_conn *c sl_unused, void *user, int err)
{
	struct io_sock *s = user;

	s->conn = NULL;
	if (s->connecting)
		connect_next(s, err != 0 ? err : ECONNRESET);
	else
		sock_fail(s, err != 0 ? err : ECONNRESET, NULL);
}

static const struct io_handler stack_handler = {
	.connected = stack_connected,
	.data = stack_data,
	.sent = stack_sent,
	.eof = stack_eof,
	.closed = stack_closed,
};

static void
stack_connect(struct io_sock *s)
{
	struct io_socks *all = s->all;
	int rc;

	s->connecting = true;
	rc = io_connect(all->loop, all->next_worker++ % all->nworkers, &s->addr[s->iaddr],
		&stack_handler, s, &s->conn);
	if (rc < 0) {
		s->conn = NULL;
		connect_next(s, -rc);
	}
}

/* ---- connecting ---- */

static void
connect_this(struct io_sock *s)
{
	if (sock_is_ours(s, &s->addr[s->iaddr].ip))
		stack_connect(s);
	else
		kernel_connect(s);
}

/* The attempt failed: the next address of the name, or the end. */
static void
connect_next(struct io_sock *s, int err)
{
	transport_close(s, true);
	s->connecting = false;
	if (++s->iaddr < s->naddr)
		connect_this(s);
	else
		sock_fail(s, err, NULL);
}

void
sock_resolved(struct io_sock *s, const struct ip_addr *a, uint32_t n, const char *why)
{
	s->query = NULL;
	if (n == 0) {
		counter_inc(&s->all->bad_names);
		sock_fail(s, IO_SOCK_ENAME, why);
		return;
	}
	counter_inc(&s->all->resolved);
	for (s->naddr = 0; s->naddr < sl_min(n, (uint32_t)MAX_ADDRS); s->naddr++)
		s->addr[s->naddr] = (struct ip_port){ .ip = a[s->naddr], .port = s->to.ip.port };
	connect_this(s);
}

static void
open_it(struct io_sock *s)
{
	s->opened = true;
	ev_timer_start(io_loop_ev(s->all->loop), &s->all->sweep);
	if (s->kfd >= 0) {
		adopt(s);
		return;
	}
	if (s->to.kind == IO_TARGET_NAME) {
		if (name_lookup(s->all->names, s) < 0)
			sock_fail(s, ENOMEM, NULL);
		return;
	}
	s->naddr = 1;
	s->addr[0] = s->to.ip;
	if (s->to.kind == IO_TARGET_IP)
		connect_this(s);
	else
		kernel_connect(s);
}

/* ---- what the user asks ---- */

static void
room_again(struct io_sock *s)
{
	if (!atomic_load_explicit(&s->rx_full, memory_order_relaxed))
		return;
	atomic_store_explicit(&s->rx_full, false, memory_order_relaxed);
	if (s->paused) {
		s->paused = false;
		if (s->conn != NULL)
			io_resume(s->conn);
	}
	if (s->tls != NULL) { // records that were read and not opened yet
		pump_rx(s);
	} else {
		watch(s, read_events(s) | (s->io.events & EV_WRITE));
	}
}

static void
close_it(struct io_sock *s, bool abort)
{
	bool up = (atomic_load_explicit(&s->state, memory_order_relaxed) &
			  (IO_SOCK_CONNECTED | IO_SOCK_DEAD)) == IO_SOCK_CONNECTED;

	s->closing = true;
	if (abort || !up || is_tx_empty(s)) {
		finish(s, abort);
		return;
	}
	atomic_store_explicit(&s->parked, sock_clock_ms() + LINGER_MS, memory_order_relaxed);
	s->eof = true; // nobody reads any more
	pump(s);
}

void
sock_do(struct io_sock *s, uint32_t todo)
{
	// one that was handed over has bytes to send before it is closed
	if ((todo & TODO_OPEN) && !s->opened && (s->kfd >= 0 || !(todo & TODO_CLOSE)))
		open_it(s);
	if (todo & TODO_CLOSE) {
		close_it(s, (todo & TODO_ABORT) != 0);
		return;
	}
	if (todo & TODO_SHUT)
		s->shut_asked = true;
	if ((atomic_load_explicit(&s->state, memory_order_relaxed) &
		    (IO_SOCK_CONNECTED | IO_SOCK_DEAD)) != IO_SOCK_CONNECTED)
		return;
	if (todo & (TODO_TX | TODO_SHUT))
		pump(s);
	if (todo & TODO_ROOM)
		room_again(s);
}

void
sock_sweep(struct io_socks *all)
{
	uint32_t now = sock_clock_ms();
	struct io_sock *late[64];
	uint32_t n = 0;

	pthread_mutex_lock(&all->lock);
	sl_list_foreach(at, &all->list) {
		struct io_sock *s = sl_list_entry(at, struct io_sock, node);
		uint32_t until = atomic_load_explicit(&s->parked, memory_order_acquire);

		if (until == PARK_NO || until == PARK_EXPIRED || (int32_t)(now - until) < 0)
			continue;
		if (n < SL_ARRAY_SIZE(late) &&
			atomic_compare_exchange_strong_explicit(&s->parked, &until, PARK_EXPIRED,
				memory_order_acq_rel, memory_order_relaxed))
			late[n++] = s;
	}
	if (sl_list_is_empty(&all->list))
		ev_timer_stop(io_loop_ev(all->loop), &all->sweep);
	pthread_mutex_unlock(&all->lock);
	for (uint32_t i = 0; i < n; i++) {
		if (late[i]->closing) {
			finish(late[i], true);
			continue;
		}
		atomic_fetch_add_explicit(&all->expired, 1, memory_order_relaxed);
		sock_fail(late[i], ETIMEDOUT, NULL);
	}
}
