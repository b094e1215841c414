// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sockets of scripts without Lua: the test's thread is the user, the io thread is real, and so are the
 * kernel's sockets. Bytes across the ends of the rings, a slow reader on each side, idle connections,
 * queued bytes at the end, the bound: all of it served by the io thread, and by the user's own io_poll.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/io/sock.h"

#define MAX_SOCKS 4

static struct waker waker;
static struct io_poll *own; // of this thread; NULL: the io thread serves

/* The user's part of a socket; who serves it counts. */
struct user {
	_Atomic(uint32_t) news, gone;
};

struct fix {
	struct io_thread *t;
	struct io_socks *all;
	int listener;
	struct io_target to;
};

static void
on_news(void *u)
{
	atomic_fetch_add(&((struct user *)u)->news, 1);
}

static void
on_gone(void *u)
{
	atomic_fetch_add(&((struct user *)u)->gone, 1);
}

static const struct io_sock_user user = {
	.notify = on_news,
	.gone = on_gone,
	.size = sizeof(struct user),
};

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct io_thread_spec t = { .n = 0 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	struct io_socks_spec s = { .nworkers = 1, .max = MAX_SOCKS };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(f->listener, 16), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&in, &len), 0);
	f->to.kind = IO_TARGET_IP;
	f->to.ip.ip.family = ADDR_V4;
	f->to.ip.ip.v4 = in.sin_addr.s_addr;
	f->to.ip.port = ntohs(in.sin_port);
	assert_int_equal(io_thread_start(&t, &f->t), 0);
	s.io = f->t;
	assert_int_equal(io_socks_start(&s, &f->all), 0);
	*state = f;
	return 0;
}

static int
setup_own(void **state)
{
	assert_int_equal(waker_init(&waker), 0);
	assert_int_equal(io_poll_new(&waker, &own), 0);
	return setup(state);
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	io_socks_mute(f->all);
	io_socks_stop(f->all);
	io_thread_stop(f->t);
	close(f->listener);
	free(f);
	if (own != NULL) {
		io_poll_free(own);
		waker_fini(&waker);
		own = NULL;
	}
	return 0;
}

static void
nap(void)
{
	struct timespec ts = { .tv_nsec = 50000 };

	if (own != NULL)
		io_poll_run(own);
	nanosleep(&ts, NULL);
}

/* For as long as a loaded machine may need. */
#define AWAIT(what)                                                                                \
	do {                                                                                       \
		for (int i_ = 0; i_ < 400000 && !(what); i_++)                                     \
			nap();                                                                     \
		assert_true(what);                                                                 \
	} while (0)

static struct io_sock *
open_one(struct fix *f, int *peer)
{
	struct io_sock *s = NULL;

	assert_int_equal(io_sock_open(f->all, &f->to, &user, own, &s), 0);
	io_sock_start(s);
	AWAIT(io_sock_state(s) != 0);
	assert_int_equal(io_sock_state(s), IO_SOCK_CONNECTED);
	*peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*peer >= 0);
	return s;
}

static void
close_one(struct io_sock *s, bool abort)
{
	struct user *u = io_sock_user(s);

	io_sock_close(s, abort);
	AWAIT(atomic_load(&u->gone) == 1);
	io_sock_free(s);
}

static uint8_t
at(uint32_t i)
{
	return (uint8_t)(i * 7 + (i >> 8));
}

/* The peer sends far more than the ring holds; the user takes odd pieces, slowly, fast, never. */
static void
test_receive(void **state)
{
	struct fix *f = *state;
	int peer;
	struct io_sock *s = open_one(f, &peer);
	uint32_t sent = 0, got = 0, total = 40 * IO_SOCK_BUF, piece = 1;
	uint8_t buf[4096];

	while (got < total) {
		const uint8_t *p;
		uint32_t n;

		for (uint32_t i = 0; i < sizeof(buf); i++)
			buf[i] = at(sent + i);
		ssize_t w = sent < total ? send(peer, buf,
						   sl_min((uint32_t)sizeof(buf), total - sent),
						   MSG_DONTWAIT)
					 : 0;
		sent += w > 0 ? (uint32_t)w : 0;
		assert_true(io_sock_rx_len(s) <= IO_SOCK_BUF);
		n = io_sock_peek(s, &p);
		if (n == 0) {
			io_sock_want(s, IO_SOCK_WANT_RX);
			nap();
			continue;
		}
		n = sl_min(n, piece);
		piece = piece % 5000 + 613;
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(p[i], at(got + i));
		io_sock_consume(s, n);
		got += n;
	}
	close(peer);
	AWAIT((io_sock_state(s) & IO_SOCK_EOF) != 0);
	assert_int_equal(io_sock_rx_len(s), 0);
	close_one(s, false);
}

/* As a script reads that wants more than the ring holds: it asks once, and takes what comes. */
static void
test_receive_all(void **state)
{
	struct fix *f = *state;
	int peer;
	struct io_sock *s = open_one(f, &peer);
	uint8_t buf[3 * IO_SOCK_BUF] = { 0 };
	uint32_t got = 0;

	assert_int_equal(send(peer, buf, sizeof(buf), 0), sizeof(buf));
	while (got < sizeof(buf)) {
		uint32_t news = atomic_load(&((struct user *)io_sock_user(s))->news);
		const uint8_t *p;
		uint32_t n;

		io_sock_want(s, IO_SOCK_WANT_RX);
		while ((n = io_sock_peek(s, &p)) > 0) {
			io_sock_consume(s, n);
			got += n;
		}
		if (got < sizeof(buf))
			AWAIT(atomic_load(&((struct user *)io_sock_user(s))->news) > news);
	}
	close_one(s, false);
	close(peer);
}

/* The peer reads slowly; what is queued at the close still arrives, in order. */
static void
test_send(void **state)
{
	struct fix *f = *state;
	int peer, small = 4096;
	struct io_sock *s = open_one(f, &peer);
	uint32_t sent = 0, got = 0, full = 0;
	uint8_t buf[10000];

	setsockopt(io_sock_fd(s), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (full < 3) {
		for (uint32_t i = 0; i < sizeof(buf); i++)
			buf[i] = at(sent + i);
		int n = io_sock_write(s, buf, sizeof(buf));

		assert_true(n >= 0);
		sent += (uint32_t)n;
		if (n == 0) {
			full++;
			ssize_t r = recv(peer, buf, 5000, 0);
			assert_true(r > 0);
			for (ssize_t i = 0; i < r; i++)
				assert_int_equal(buf[i], at(got + (uint32_t)i));
			got += (uint32_t)r;
			io_sock_want(s, IO_SOCK_WANT_TX);
			nap();
		}
	}
	io_sock_close(s, false);
	nap();
	while (got < sent) {
		ssize_t r = recv(peer, buf, sizeof(buf), 0);

		assert_true(r > 0);
		for (ssize_t i = 0; i < r; i++)
			assert_int_equal(buf[i], at(got + (uint32_t)i));
		got += (uint32_t)r;
	}
	assert_int_equal(recv(peer, buf, 1, 0), 0);
	AWAIT(atomic_load(&((struct user *)io_sock_user(s))->gone) == 1);
	io_sock_free(s);
	close(peer);
}

/* Half a close: the peer sees the end and still answers. */
static void
test_shutdown(void **state)
{
	struct fix *f = *state;
	int peer;
	struct io_sock *s = open_one(f, &peer);
	const uint8_t *p;
	char c[8];

	assert_int_equal(io_sock_write(s, "abc", 3), 3);
	io_sock_shutdown(s);
	assert_int_equal(io_sock_write(s, "x", 1), -EPIPE);
	nap();
	assert_int_equal(recv(peer, c, 8, MSG_WAITALL), 3);
	assert_int_equal(send(peer, "yes", 3, 0), 3);
	io_sock_want(s, IO_SOCK_WANT_RX);
	AWAIT(io_sock_peek(s, &p) == 3);
	close_one(s, false);
	close(peer);
}

/* The end of the handshake comes with the first bytes, but at once for who waits for a server's word. */
static void
test_server_first(void **state)
{
	struct fix *f = *state;
	const uint8_t *p;
	struct io_sock *s;
	int peer;

	assert_int_equal(fcntl(f->listener, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(io_sock_open(f->all, &f->to, &user, own, &s), 0);
	io_sock_start(s);
	AWAIT(io_sock_state(s) == IO_SOCK_CONNECTED);
	io_sock_want(s, IO_SOCK_WANT_RX);
	peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	assert_int_equal(send(peer, "hi", 2, 0), 2);
	AWAIT(io_sock_peek(s, &p) == 2);
	close_one(s, false);
	close(peer);

	assert_int_equal(io_sock_open(f->all, &f->to, &user, own, &s), 0);
	io_sock_start(s);
	AWAIT(io_sock_state(s) == IO_SOCK_CONNECTED);
	assert_int_equal(io_sock_write(s, "abc", 3), 3);
	nap();
	peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	close_one(s, false);
	close(peer);
}

static ssize_t
heard(int peer, char *buf, size_t size)
{
	ssize_t n = recv(peer, buf, size, MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

/* Short writes and ends wait for each other; what is long does not, nor what was put off when the descriptor is asked for. */
static void
test_together(void **state)
{
	struct fix *f = *state;
	struct io_sock *s[3];
	int peer[3], small = 4096;
	uint32_t sent = 0, got = 0;
	static char buf[65536];

	for (int i = 0; i < 3; i++) {
		s[i] = open_one(f, &peer[i]);
		assert_int_equal(io_sock_write(s[i], "a", 1), 1);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(heard(peer[i], buf, 8), -EAGAIN);
	assert_int_equal(io_sock_write(s[0], "bc", 2), 2);
	io_sock_shutdown(s[1]);
	io_sock_close(s[2], false);
	assert_int_equal(heard(peer[2], buf, 8), 1); // its bytes went, its end waits
	assert_int_equal(heard(peer[2], buf, 8), -EAGAIN);
	assert_int_equal(atomic_load(&((struct user *)io_sock_user(s[2]))->gone), 0);
	io_poll_flush(own);
	assert_int_equal(heard(peer[0], buf, 8), 3);
	assert_int_equal(heard(peer[1], buf, 8), 1);
	assert_int_equal(heard(peer[1], buf, 8), 0);
	assert_int_equal(heard(peer[2], buf, 8), 0);
	assert_int_equal(atomic_load(&((struct user *)io_sock_user(s[2]))->gone), 1);
	io_sock_free(s[2]);
	close(peer[2]);

	assert_int_equal(io_sock_write(s[0], "a", 1), 1);
	assert_true(io_sock_fd(s[0]) >= 0);
	assert_int_equal(heard(peer[0], buf, 8), 1);
	assert_int_equal(io_sock_write(s[0], buf, 4000), 4000);
	assert_int_equal(heard(peer[0], buf, sizeof(buf)), 4000);
	for (int i = 0; i < 3; i++) // together they are long
		assert_int_equal(io_sock_write(s[0], buf, 1000), 1000);
	assert_int_equal(heard(peer[0], buf, sizeof(buf)), 3000);

	// behind a peer that did not read: no event tells again that there is room
	setsockopt(io_sock_fd(s[0]), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int n = 1; n > 0; sent += (uint32_t)n)
		n = io_sock_write(s[0], buf, sizeof(buf));
	while (got < sent) {
		ssize_t n = heard(peer[0], buf, sizeof(buf));

		got += n > 0 ? (uint32_t)n : 0;
		nap();
	}
	assert_int_equal(io_sock_write(s[0], "z", 1), 1);
	nap();
	assert_int_equal(heard(peer[0], buf, 8), 1);

	// what was said goes before a reset, too
	assert_int_equal(io_sock_write(s[0], "a", 1), 1);
	close_one(s[0], true);
	assert_int_equal(heard(peer[0], buf, 8), 1);
	assert_int_equal(heard(peer[0], buf, 8), -ECONNRESET);
	close_one(s[1], false);
	close(peer[0]);
	close(peer[1]);
}

/* The last words of a peer that does not take ours any more. */
static void
test_last_words(void **state)
{
	struct fix *f = *state;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct io_target to = { .kind = IO_TARGET_ABNS };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	const uint8_t *p;
	struct io_sock *s;

	snprintf(to.name, sizeof(to.name), "sock_test.%d", getpid());
	memcpy(un.sun_path + 1, to.name, strlen(to.name)); // padded, as haproxy's abns@
	assert_int_equal(bind(listener, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(io_sock_open(f->all, &to, &user, own, &s), 0);
	io_sock_start(s);
	assert_int_equal(io_sock_state(s), IO_SOCK_CONNECTED);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	assert_int_equal(send(peer, "busy", 4, 0), 4);
	close(peer);
	assert_int_equal(io_sock_write(s, "x", 1), 1);
	nap();
	assert_int_equal(io_sock_peek(s, &p), 4);
	assert_true((io_sock_state(s) & (IO_SOCK_DEAD | IO_SOCK_EOF)) != 0);
	close_one(s, false);
	close(listener);
}

/* The peer speaks, or closes, while the io thread is held up by this: what does the kernel say? */
struct spoken {
	struct io_sock *s;
	int peer;
	bool closes, quiet;
};

static void
speak(struct io_loop *l sl_unused, void *ctx)
{
	struct spoken *k = ctx;

	if (k->closes)
		close(k->peer);
	else
		assert_int_equal(send(k->peer, "x", 1, 0), 1);
	k->quiet = io_sock_unpark(k->s);
}

/* Idle: taken back in time; expired; closed by the peer; spoken to. */
static void
test_idle(void **state)
{
	struct fix *f = *state;
	struct io_socks_stats st;
	struct spoken k;
	int peer;
	struct io_sock *s = open_one(f, &peer);

	io_sock_park(s, 60000);
	assert_true(io_sock_unpark(s));
	io_sock_park(s, 60000);
	k = (struct spoken){ .s = s, .peer = peer };
	io_thread_run(f->t, speak, &k);
	assert_false(k.quiet);
	close_one(s, true);
	close(peer);

	s = open_one(f, &peer);
	io_sock_park(s, 60000);
	k = (struct spoken){ .s = s, .peer = peer, .closes = true };
	io_thread_run(f->t, speak, &k);
	assert_false(k.quiet);
	close_one(s, true);

	s = open_one(f, &peer);
	io_sock_park(s, 60000);
	assert_int_equal(send(peer, "x", 1, 0), 1);
	AWAIT(io_sock_rx_len(s) > 0); // and here it is known already
	assert_false(io_sock_unpark(s));
	close_one(s, true);
	close(peer);

	s = open_one(f, &peer);
	io_sock_park(s, 50);
	AWAIT((io_sock_state(s) & IO_SOCK_DEAD) != 0);
	assert_true(atomic_load(&((struct user *)io_sock_user(s))->news) >= 1);
	assert_false(io_sock_unpark(s));
	io_socks_get_stats(f->all, &st);
	assert_int_equal(st.expired, 1);
	close_one(s, true);
	close(peer);
}

/* A server on this machine: connected when start() returns, and looked at when something is wanted. */
static void
test_at_once(void **state)
{
	struct fix *f = *state;
	struct io_sock *s[4];
	const uint8_t *p;
	int peer[4];
	char c;

	for (int i = 0; i < 4; i++) {
		assert_int_equal(io_sock_open(f->all, &f->to, &user, own, &s[i]), 0);
		io_sock_start(s[i]);
		assert_int_equal(io_sock_state(s[i]), IO_SOCK_CONNECTED);
		assert_true(io_sock_fd(s[i]) >= 0);
		peer[i] = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(peer[i] >= 0);
	}
	close_one(s[0], false);
	assert_int_equal(recv(peer[0], &c, 1, 0), 0);
	assert_int_equal(io_sock_write(s[1], "x", 1), 1);
	nap();
	assert_int_equal(recv(peer[1], &c, 1, MSG_WAITALL), 1);
	assert_int_equal(send(peer[1], "yes", 3, 0), 3);
	shutdown(peer[1], SHUT_WR);
	assert_int_equal(io_sock_peek(s[1], &p), 0);
	io_sock_want(s[1], IO_SOCK_WANT_RX); // what came before is there, and the end with it
	AWAIT(io_sock_peek(s[1], &p) == 3);
	AWAIT((io_sock_state(s[1]) & IO_SOCK_EOF) != 0);
	io_sock_shutdown(s[2]);
	assert_int_equal(recv(peer[2], &c, 1, 0), 0);
	io_sock_park(s[3], 60000);
	close(peer[3]);
	AWAIT((io_sock_state(s[3]) & IO_SOCK_EOF) != 0); // a parked one is watched
	for (int i = 1; i < 4; i++)
		close_one(s[i], false);
	for (int i = 0; i < 3; i++)
		close(peer[i]);
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void *
wake_later(void *ctx sl_unused)
{
	nap();
	waker_wake(&waker);
	return NULL;
}

/* Sleeping: until a byte, a wake, an idle connection's end, or the time is over; and how much is to come. */
static void
test_sleep(void **state)
{
	struct fix *f = *state;
	const uint64_t hour = 3600000000;
	uint64_t begin;
	pthread_t t;
	int peer;
	struct io_sock *s = open_one(f, &peer);

	assert_int_equal(io_poll_waiting(own), 0);
	begin = now_ms();
	assert_int_equal(io_poll_wait(own, 20000), 0);
	assert_true(now_ms() - begin >= 19);
	io_sock_want(s, IO_SOCK_WANT_RX);
	assert_int_equal(io_poll_waiting(own), 1);
	assert_int_equal(send(peer, "x", 1, 0), 1);
	assert_int_equal(io_poll_wait(own, hour), 1);
	assert_int_equal(io_sock_rx_len(s), 1);
	assert_int_equal(io_poll_waiting(own), 0);
	io_sock_consume(s, 1);
	struct io_poll *p = own;

	own = NULL; // the other thread only sleeps
	waker_prepare(&waker);
	assert_int_equal(pthread_create(&t, NULL, wake_later, NULL), 0);
	io_poll_wait(p, hour);
	assert_false(atomic_load(&waker.asleep));
	pthread_join(t, NULL);
	own = p;
	begin = now_ms();
	io_sock_park(s, 20);
	io_poll_wait(own, hour);
	assert_true(now_ms() - begin >= 19);
	assert_int_equal(io_sock_state(s), IO_SOCK_CONNECTED | IO_SOCK_DEAD);
	close_one(s, true);
	close(peer);
	// who is still connecting is waited for, too
	struct io_target nowhere = f->to;

	nowhere.ip.ip.v4 = htonl(0x7f000002);
	nowhere.ip.port = 1;
	assert_int_equal(io_sock_open(f->all, &nowhere, &user, own, &s), 0);
	io_sock_start(s);
	assert_int_equal(io_poll_waiting(own), 1);
	io_poll_wait(own, hour);
	assert_int_equal(io_sock_state(s), IO_SOCK_DEAD);
	assert_int_equal(io_poll_waiting(own), 0);
	close_one(s, true);
}

static void
test_errors(void **state)
{
	struct fix *f = *state;
	struct io_sock *s[MAX_SOCKS], *more;
	struct io_target nowhere = f->to;
	struct io_socks_stats st;
	const char *why;
	int peer;

	nowhere.ip.port = 1;
	assert_int_equal(io_sock_open(f->all, &nowhere, &user, own, &s[0]), 0);
	io_sock_start(s[0]);
	AWAIT((io_sock_state(s[0]) & IO_SOCK_DEAD) != 0);
	assert_int_equal(io_sock_error(s[0], &why), ECONNREFUSED);
	assert_int_equal(io_sock_write(s[0], "x", 1), -ECONNREFUSED);
	close_one(s[0], false);
	// closed before it was ever started, and after
	for (int i = 0; i < MAX_SOCKS; i++)
		assert_int_equal(io_sock_open(f->all, &f->to, &user, own, &s[i]), 0);
	assert_int_equal(io_sock_open(f->all, &f->to, &user, own, &more), -EMFILE);
	io_sock_start(s[1]);
	AWAIT(io_sock_state(s[1]) == IO_SOCK_CONNECTED);
	close(accept4(f->listener, NULL, NULL, SOCK_CLOEXEC));
	for (int i = 0; i < MAX_SOCKS; i++)
		close_one(s[i], i & 1);
	// reset by the peer
	s[0] = open_one(f, &peer);
	struct linger now = { .l_onoff = 1 };

	setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(peer);
	io_sock_want(s[0], IO_SOCK_WANT_RX);
	AWAIT((io_sock_state(s[0]) & (IO_SOCK_DEAD | IO_SOCK_EOF)) != 0);
	close_one(s[0], false);
	io_socks_get_stats(f->all, &st);
	assert_int_equal(st.refused, 1);
	assert_int_equal(st.failed, 1);
	assert_int_equal(st.open, 0);
}

/* The daemon ends while a user still holds sockets: they are freed by its own close. */
static void
test_stop_first(void **state)
{
	struct fix *f = *state;
	struct io_socks_spec spec = { .io = f->t, .nworkers = 1, .max = 2 };
	struct io_socks *all;
	struct io_sock *a, *b;

	assert_int_equal(io_socks_start(&spec, &all), 0);
	assert_int_equal(io_sock_open(all, &f->to, &user, own, &a), 0);
	io_sock_start(a);
	assert_int_equal(io_sock_open(all, &f->to, &user, own, &b), 0);
	AWAIT((io_sock_state(a) & IO_SOCK_CONNECTED) != 0);
	io_sock_close(b, false);
	io_socks_mute(all);
	io_socks_stop(all);
	io_sock_close(a, false);
}

static bool
has_ended(int peer)
{
	char c;
	ssize_t n = recv(peer, &c, 1, MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

/*
 * The user's thread is lost: the peers of all its sockets see their end, whoever serves them, and those of
 * others do not. When it comes back it may use and close them as if nothing had happened.
 */
static void
test_cut(void **state)
{
	struct fix *f = *state;
	struct io_target name = f->to;
	struct io_sock *s[3], *other;
	int peer[3], theirs;
	const uint8_t *p;

	name.kind = IO_TARGET_NAME; // the io thread's
	snprintf(name.name, sizeof(name.name), "127.0.0.1");
	for (int i = 0; i < 2; i++)
		s[i] = open_one(f, &peer[i]);
	io_sock_want(s[1], IO_SOCK_WANT_RX); // in the epoll
	assert_int_equal(io_sock_open(f->all, &name, &user, own, &s[2]), 0);
	io_sock_start(s[2]);
	AWAIT(io_sock_state(s[2]) == IO_SOCK_CONNECTED);
	peer[2] = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(io_sock_open(f->all, &f->to, &user, NULL, &other), 0);
	io_sock_start(other);
	AWAIT(io_sock_state(other) == IO_SOCK_CONNECTED);
	theirs = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);

	io_socks_cut(f->all, own);
	for (int i = 0; i < 3; i++) {
		AWAIT(has_ended(peer[i]));
		close(peer[i]);
	}
	assert_false(has_ended(theirs));
	assert_int_equal(io_sock_write(other, "x", 1), 1);
	io_socks_cut(f->all, own); // again: nothing is left
	io_socks_cut(NULL, own);
	/* back again */
	assert_int_equal(io_sock_write(s[0], "late", 4), 4);
	nap();
	assert_true(io_sock_write(s[0], "late", 4) < 0);
	assert_true(io_sock_write(s[2], "late", 4) < 0);
	io_sock_want(s[0], IO_SOCK_WANT_RX);
	assert_int_equal(io_sock_peek(s[0], &p), 0);
	for (int i = 0; i < 3; i++) {
		io_sock_close(s[i], false);
		AWAIT(((struct user *)io_sock_user(s[i]))->gone == 1);
		io_sock_free(s[i]);
	}
	io_sock_close(other, false);
	AWAIT(((struct user *)io_sock_user(other))->gone == 1);
	io_sock_free(other);
	close(theirs);
}

int
main(void)
{
#define BOTH(fn)                                                                                   \
	cmocka_unit_test_setup_teardown(fn, setup, teardown),                                      \
		cmocka_unit_test_setup_teardown(fn, setup_own, teardown)
	const struct CMUnitTest tests[] = {
		BOTH(test_receive),
		BOTH(test_receive_all),
		BOTH(test_send),
		BOTH(test_shutdown),
		BOTH(test_idle),
		BOTH(test_errors),
		BOTH(test_stop_first),
		cmocka_unit_test_setup_teardown(test_at_once, setup_own, teardown),
		cmocka_unit_test_setup_teardown(test_server_first, setup_own, teardown),
		cmocka_unit_test_setup_teardown(test_together, setup_own, teardown),
		cmocka_unit_test_setup_teardown(test_last_words, setup_own, teardown),
		cmocka_unit_test_setup_teardown(test_sleep, setup_own, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup_own, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
