// SPDX-License-Identifier: BSD-3-Clause
/*
 * Kernel sockets that their user's thread serves itself: no other thread has to be woken for what comes.
 *
 * Runs on: the user's thread. It sleeps in the epoll of its own (io_poll_wait()), in which its eventfd
 * lies, too. A socket is put there when something has to be waited for, once, edge-triggered; what came
 * is read into its ring, and the user is told as the io thread tells it.
 * Short writes and ends of connections are collected until the thread has run some of its users
 * (io_poll_flush()): each may wake a server, which on a small machine takes the CPU from those behind it.
 * What only the io thread can do (linger for the last bytes of a closed socket, names, TLS, our own TCP)
 * goes there: see poll_hand_over().
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control/io/sock_priv.h"

#define EVENTS      64 // of one look
#define SMALL_WRITE 512
#define LATE_BYTES  2048 // of one socket that are put off,
#define LATE        64   // and sockets
#define NEVER       UINT64_MAX
#define SPARES      64 // closed sockets whose memory is kept: 2 MiB

#ifdef __SANITIZE_ADDRESS__
#define KEEPS false // a socket that is used after it was freed shall be seen
#else
#define KEEPS true
#endif

/* Lies in the memory of a socket that was freed. */
struct spare {
	struct spare *next;
};

struct io_poll {
	int fd;
	struct waker *waker;
	struct sl_list late;   // io_sock.late: put off are tx, or its end
	uint32_t nlate;
	struct sl_list parked; // io_sock.park
	uint64_t due_us;       // when the first of them may be over
	uint32_t waiting;      // sockets for which something is to come
	struct spare *spare;
	uint32_t nspare;
	size_t spare_size; // what io_sock_open() asks for: the same for all of a thread's
};

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int
io_poll_new(struct waker *w, struct io_poll **out)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct io_poll *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->waker = w;
	p->due_us = NEVER;
	sl_list_init(&p->late);
	sl_list_init(&p->parked);
	p->fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->fd < 0 || epoll_ctl(p->fd, EPOLL_CTL_ADD, w->fd, &e) < 0) {
		rc = -errno;
		io_poll_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

void
io_poll_free(struct io_poll *p)
{
	void *s;

	if (p == NULL)
		return;
	io_poll_flush(p);
	if (p->fd >= 0)
		close(p->fd);
	while ((s = poll_spare(p, p->spare_size)) != NULL)
		free(s);
	free(p);
}

/* ---- memory ---- */

/*
 * A connection per request takes and drops 34 kB each time, of which it touches little. The C library
 * would give the pages back and fetch them again.
 */
void *
poll_spare(struct io_poll *p, size_t size)
{
	struct spare *s = p->spare;

	if (s == NULL || size != p->spare_size) {
		p->spare_size = s == NULL ? size : p->spare_size;
		return NULL;
	}
	p->spare = s->next;
	p->nspare--;
	return s;
}

bool
poll_keep(struct io_sock *s)
{
	size_t size = (size_t)(s->rx - (uint8_t *)s);
	struct io_poll *p = s->poll;
	struct spare *mem = (struct spare *)s;

	if (!KEEPS || p->nspare >= SPARES || size != p->spare_size)
		return false;
	*mem = (struct spare){ .next = p->spare };
	p->spare = mem;
	p->nspare++;
	return true;
}

/* ---- one socket ---- */

static void
waits(struct io_sock *s, bool on)
{
	s->poll->waiting += on - s->waits;
	s->waits = on;
}

static void
tell(struct io_sock *s, uint32_t bits)
{
	sock_set(s, bits);
	s->u.notify(io_sock_user(s));
}

static void
fail(struct io_sock *s, int err)
{
	if ((io_sock_state(s) & IO_SOCK_DEAD) != 0)
		return;
	if ((io_sock_state(s) & IO_SOCK_CONNECTED) == 0)
		atomic_fetch_add_explicit(&s->all->failed, 1, memory_order_relaxed);
	s->err = err;
	waits(s, false);
	tell(s, IO_SOCK_DEAD);
}

/* Asks for these events from now on; what is there already comes at once. */
static void
arm(struct io_sock *s, uint32_t events)
{
	struct epoll_event e = { .events = s->armed | events | EPOLLET, .data.ptr = s };

	if ((s->armed & events) == events)
		return;
	if (epoll_ctl(s->poll->fd, s->armed != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->kfd, &e) < 0)
		fail(s, errno);
	s->armed |= events;
}

#define ARM_RX (EPOLLIN | EPOLLRDHUP)

/* Reads what the kernel has, as far as there is room. */
static void
receive(struct io_sock *s)
{
	while (s->readable && !s->eof) {
		uint32_t room = sock_rx_free(s);
		struct iovec v[2];
		uint8_t *p;
		ssize_t got;

		if (room == 0)
			return; // looked at again when the user has read
		v[0].iov_len = sl_min(room, sock_rx_room(s, &p));
		v[0].iov_base = p;
		v[1] = (struct iovec){ .iov_base = s->rx, .iov_len = room - v[0].iov_len };
		do {
			got = readv(s->kfd, v, v[1].iov_len > 0 ? 2 : 1);
		} while (got < 0 && errno == EINTR);
		if (got < 0) {
			s->readable = false;
			if (errno != EAGAIN)
				fail(s, errno);
		} else if (got == 0) {
			s->eof = true;
			waits(s, false);
			tell(s, IO_SOCK_EOF);
		} else {
			sock_rx_put(s, (uint32_t)got);
			// less than there was room for: that was all, unless an end was announced
			s->readable = (uint32_t)got == room || s->hup;
		}
	}
}

static void
told_of(struct io_sock *s, uint32_t what)
{
	uint32_t want = atomic_load_explicit(&s->want, memory_order_relaxed);

	if ((want & what) == 0)
		return;
	atomic_store_explicit(&s->want, want & ~what, memory_order_relaxed);
	waits(s, (want & ~what) != 0);
	s->u.notify(io_sock_user(s));
}

/* What lies in tx goes out, as far as the kernel takes it. */
static void
transmit(struct io_sock *s)
{
	const uint8_t *p;
	uint32_t n;

	while ((n = sock_tx_bytes(s, &p)) > 0) {
		int rc = sock_raw_send(s, p, n);

		if (rc < 0) { // what the peer said before it closed is the user's all the same
			s->readable = true;
			receive(s);
			fail(s, -rc);
			return;
		}
		sock_tx_take(s, (uint32_t)rc);
		if ((uint32_t)rc < n) {
			arm(s, EPOLLOUT);
			break;
		}
	}
	if (n == 0 && s->shut && !s->shut_done) {
		s->shut_done = true;
		shutdown(s->kfd, SHUT_WR);
	}
	told_of(s, IO_SOCK_WANT_TX);
}

static void
on_event(struct io_sock *s, uint32_t events)
{
	if (s->connecting) {
		int err = sock_kernel_error(s->kfd);

		if (err == 0 && (events & EPOLLOUT) == 0)
			return;
		s->connecting = false;
		waits(s, false);
		if (err != 0) {
			fail(s, err);
			return;
		}
		atomic_store_explicit(&s->fd, s->kfd, memory_order_release);
		tell(s, IO_SOCK_CONNECTED);
	}
	if ((io_sock_state(s) & IO_SOCK_DEAD) != 0)
		return;
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		s->hup = true;
	if ((events & (ARM_RX | EPOLLHUP | EPOLLERR)) != 0) {
		s->readable = true;
		receive(s);
		told_of(s, IO_SOCK_WANT_RX);
	}
	if ((events & EPOLLOUT) != 0 && sock_tx_has(s))
		transmit(s);
}

/* ---- what the user does ---- */

bool
poll_start(struct io_sock *s)
{
	int fd, rc;

	if (s->poll == NULL || s->to.tls || s->to.kind == IO_TARGET_NAME ||
		(s->to.kind == IO_TARGET_IP && sock_is_ours(s, &s->to.ip.ip)))
		return false;
	atomic_store_explicit(&s->own, true, memory_order_relaxed);
	s->nodelay = s->to.kind != IO_TARGET_IP;
	rc = sock_kernel_open(s, &s->to.ip, &fd);
	s->kfd = fd;
	if (rc < 0) {
		fail(s, -rc);
	} else if (rc == 0) {
		atomic_store_explicit(&s->fd, s->kfd, memory_order_release);
		sock_set(s, IO_SOCK_CONNECTED);
	} else {
		s->connecting = true;
		waits(s, true);
		arm(s, ARM_RX | EPOLLOUT);
	}
	return true;
}

void
poll_want(struct io_sock *s, uint32_t what)
{
	if ((io_sock_state(s) & (IO_SOCK_CONNECTED | IO_SOCK_DEAD)) != IO_SOCK_CONNECTED)
		return; // it is told in any case
	atomic_store_explicit(&s->want, atomic_load_explicit(&s->want, memory_order_relaxed) | what,
		memory_order_relaxed);
	waits(s, true);
	if ((what & IO_SOCK_WANT_RX) == 0)
		return;
	if (s->readable) {
		receive(s);
		return;
	}
	// who reads first waits for a server that may still wait for the end of the handshake
	if (!s->written && s->to.kind == IO_TARGET_IP)
		sock_kernel_ack(s->kfd, true);
	s->written = true;
	arm(s, ARM_RX);
}

/* What had no room before: no event will tell of it again. */
void
poll_consumed(struct io_sock *s)
{
	if (s->readable && io_sock_rx_len(s) == 0)
		receive(s);
}

/*
 * Without delay from the second write on: the first has nothing before it for which it would wait, and a
 * question with one answer is all that many connections carry.
 */
void
poll_nodelay(struct io_sock *s, uint32_t n)
{
	if (!s->nodelay && (s->written || n > SMALL_WRITE)) {
		s->nodelay = true;
		sock_kernel_nodelay(s->kfd);
	}
	s->written = true;
}

/* ---- what is put off ---- */

static void
put_off(struct io_sock *s)
{
	struct io_poll *p = s->poll;

	if (s->late.next == NULL) {
		sl_list_add_tail(&p->late, &s->late);
		p->nlate++;
	}
	if (p->nlate >= LATE)
		io_poll_flush(p);
}

static void
no_later(struct io_sock *s)
{
	sl_list_del(&s->late);
	s->late.next = NULL;
	s->poll->nlate--;
}

static void
end(struct io_sock *s)
{
	sock_kernel_close(s, s->reset);
	s->u.gone(io_sock_user(s));
}

void
poll_hurry(struct io_sock *s)
{
	if (s->late.next == NULL)
		return;
	no_later(s);
	if ((io_sock_state(s) & IO_SOCK_DEAD) == 0)
		transmit(s);
}

void
io_poll_flush(struct io_poll *p)
{
	sl_list_foreach_safe(n, &p->late) {
		struct io_sock *s = sl_list_entry(n, struct io_sock, late);

		if (!s->ending) {
			poll_hurry(s);
			continue;
		}
		no_later(s);
		end(s); // its memory may be used again
	}
}

bool
poll_defers(const struct io_sock *s, uint32_t n)
{
	return n <= LATE_BYTES && atomic_load_explicit(&s->fd, memory_order_relaxed) >= 0;
}

void
poll_defer(struct io_sock *s, uint32_t n)
{
	poll_nodelay(s, n);
	put_off(s);
}

void
poll_send(struct io_sock *s)
{
	if (s->late.next == NULL)
		arm(s, EPOLLOUT);
	else if (sock_tx_len(s) > LATE_BYTES)
		poll_hurry(s);
}

/* ---- ends ---- */

void
poll_shutdown(struct io_sock *s)
{
	if (s->kfd >= 0 && !sock_tx_has(s) && !s->shut_done) {
		s->shut_done = true;
		shutdown(s->kfd, SHUT_WR);
	}
}

/* The io thread's from now on. */
static void
hand_over(struct io_sock *s)
{
	if (s->armed != 0)
		epoll_ctl(s->poll->fd, EPOLL_CTL_DEL, s->kfd, NULL);
	s->armed = 0;
	waits(s, false);
	atomic_store_explicit(&s->own, false, memory_order_relaxed);
}

bool
poll_close(struct io_sock *s, bool abort)
{
	bool up;

	if (s->park.next != NULL)
		poll_unpark(s);
	poll_hurry(s); // the user was told that it went
	up = (io_sock_state(s) & (IO_SOCK_CONNECTED | IO_SOCK_DEAD)) == IO_SOCK_CONNECTED;
	if (up && !abort && sock_tx_has(s)) {
		hand_over(s);
		return false;
	}
	waits(s, false);
	s->closing = true;
	s->reset = abort;
	if (!up) {
		end(s);
		return true;
	}
	s->ending = true;
	put_off(s);
	return true;
}

void
poll_park(struct io_sock *s, uint32_t idle_ms)
{
	s->park_us = now_us() + (uint64_t)idle_ms * 1000;
	s->poll->due_us = sl_min(s->poll->due_us, s->park_us);
	sl_list_add_tail(&s->poll->parked, &s->park);
	if (!s->readable)
		arm(s, ARM_RX); // an end of the peer's ends it
}

void
poll_unpark(struct io_sock *s)
{
	sl_list_del(&s->park);
	s->park.next = NULL;
}

/* ---- the thread ---- */

static void
expire(struct io_poll *p)
{
	uint64_t now = now_us();

	if (now < p->due_us)
		return;
	p->due_us = NEVER;
	sl_list_foreach_safe(n, &p->parked) {
		struct io_sock *s = sl_list_entry(n, struct io_sock, park);

		if (now < s->park_us) {
			p->due_us = sl_min(p->due_us, s->park_us);
			continue;
		}
		poll_unpark(s);
		atomic_fetch_add_explicit(&s->all->expired, 1, memory_order_relaxed);
		fail(s, ETIMEDOUT);
	}
}

static uint32_t
take(struct io_poll *p, const struct timespec *ts)
{
	struct epoll_event e[EVENTS];
	uint64_t count;
	int n;

	io_poll_flush(p);
	n = epoll_pwait2(p->fd, e, EVENTS, ts, NULL);
	for (int i = 0; i < n; i++) {
		if (e[i].data.ptr != NULL)
			on_event(e[i].data.ptr, e[i].events);
		else if (read(p->waker->fd, &count, sizeof(count)) < 0)
			continue; // who wakes writes a moment later: the next wait ends at once
	}
	if (p->due_us != NEVER)
		expire(p);
	return n > 0 ? (uint32_t)n : 0;
}

uint32_t
io_poll_waiting(const struct io_poll *p)
{
	return p->waiting;
}

uint32_t
io_poll_run(struct io_poll *p)
{
	const struct timespec now = { 0 };

	return take(p, &now);
}

uint32_t
io_poll_wait(struct io_poll *p, uint64_t timeout_us)
{
	struct timespec ts;
	uint32_t n;

	if (p->due_us != NEVER) {
		uint64_t now = now_us();

		timeout_us = sl_min(timeout_us, p->due_us > now ? p->due_us - now : 0);
	}
	ts.tv_sec = (time_t)(timeout_us / 1000000);
	ts.tv_nsec = (long)(timeout_us % 1000000) * 1000;
	n = take(p, timeout_us == NEVER ? NULL : &ts);
	if (atomic_load_explicit(&p->waker->asleep, memory_order_relaxed))
		waker_cancel(p->waker);
	return n;
}
