// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host transport whole: real sockets, the real io thread, and a worker's conn layer that the
 * test drives itself. The user is an echo; what it gets must come back byte for byte.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/io/io_host.h"
#include "dataplane/net/net.h"
#include "dataplane/tcp/tcp.h"
#include "tests/harness/eal.h"

#define POOL    4095
#define CONNS   64
#define TOTAL   (4u << 20)
#define STEPS_S 60

struct user {
	struct conn *c;
	bool connected, eof, closed;
	int err;
	uint64_t got;
	bool hold; // reads nothing
};

struct fix {
	struct ports ports;
	struct lcore *lc;
	struct rte_mempool *pool;
	struct net_shared *net;
	struct io_thread *t;
	struct io_host *h;
	struct io_host_spec spec;
	struct ip_port addr;
	struct user u[CONNS + 8];
	uint32_t nu;
	bool refuse, hold;
	time_t start;
};

static struct fix *fix;

/* ---- the user: an echo ---- */

static void
pump(struct lcore *lc, struct user *u)
{
	struct conn *c = u->c;
	uint32_t n = sl_min(conn_rx(c)->len, conn_send_space(c));

	if (n > 0 && !u->hold) {
		struct chain d;

		chain_init(&d);
		if (conn_rx_take(lc, c, n, &d) == 0) {
			u->got += n;
			conn_send(lc, c, &d);
		}
	}
	if (conn_rx(c)->len == 0 && conn_rx_eof(c) && !u->eof) {
		u->eof = true;
		conn_shutdown(lc, c);
		conn_close(lc, c);
		u->c = NULL;
	}
}

static void
on_event(struct lcore *lc, struct conn *c, void *user, uint32_t events)
{
	struct user *u = user;

	u->c = c;
	u->connected |= (events & CONN_EV_CONNECTED) != 0;
	if ((events & CONN_EV_CLOSED) != 0) {
		u->closed = true;
		u->err = conn_error(c);
		conn_close(lc, c);
		u->c = NULL;
		return;
	}
	pump(lc, u);
}

static void *
on_accept(struct lcore *lc sl_unused, void *cookie, struct conn *c)
{
	struct fix *f = cookie;
	struct user *u = &f->u[f->nu];
	struct ip_port local, remote;

	if (f->refuse)
		return NULL;
	f->nu++;
	u->c = c;
	u->hold = f->hold;
	conn_addrs(c, &local, &remote);
	assert_int_equal(local.port, f->addr.port);
	assert_true(addr_is_loopback(&remote.ip));
	return u;
}

static const struct conn_handler handler = { .accept = on_accept, .event = on_event };

/* ---- the worker ---- */

static void
step(void)
{
	struct lcore *lc = fix->lc;
	struct xmsg m;

	while (xring_pop(&lc->io.to, &m))
		host_message(lc, &m);
	host_run(lc);
	lcore_wake_peers(lc);
	assert_true(time(NULL) - fix->start < STEPS_S);
}

static void
nap(void)
{
	struct timespec ts = { .tv_nsec = 100000 };

	nanosleep(&ts, NULL);
}

/* ---- clients ---- */

static int
dial(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(fix->addr.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static uint8_t
byte_at(uint64_t i)
{
	return (uint8_t)((i * 2654435761u) >> 13);
}

static uint32_t
client_write(int fd, uint64_t from, uint64_t to)
{
	uint8_t b[9000];
	uint32_t n = (uint32_t)sl_min(to - from, (uint64_t)sizeof(b));
	ssize_t w;

	for (uint32_t i = 0; i < n; i++)
		b[i] = byte_at(from + i);
	w = n > 0 ? send(fd, b, n, MSG_NOSIGNAL) : 0;
	return w > 0 ? (uint32_t)w : 0;
}

/* Returns bytes; UINT32_MAX at the end. */
static uint32_t
client_read(int fd, uint64_t from, uint32_t most)
{
	uint8_t b[5000];
	ssize_t r = recv(fd, b, sl_min(most, (uint32_t)sizeof(b)), 0);

	if (r == 0)
		return UINT32_MAX;
	for (ssize_t i = 0; i < r; i++)
		assert_int_equal(b[i], byte_at(from + (uint64_t)i));
	return r > 0 ? (uint32_t)r : 0;
}

/* Everything there and back; slow: reads little at a time. */
static void
echo(int fd, uint64_t total, bool slow)
{
	uint64_t out = 0, in = 0;

	for (;;) {
		uint32_t w = client_write(fd, out, total), r;

		out += w;
		if (out == total)
			shutdown(fd, SHUT_WR);
		r = client_read(fd, in, slow ? 700 : 5000);
		if (r == UINT32_MAX)
			break;
		in += r;
		step();
		if (w == 0 && r == 0)
			nap();
		assert_true(
			fix->lc->retained <= 4 * HOST_WINDOW + 8 * CHAIN_TRUESIZE || fix->nu > 1);
	}
	assert_int_equal(out, total);
	assert_int_equal(in, total);
}

/* ---- set up ---- */

static void
attach(struct io_loop *l, void *ctx)
{
	struct fix *f = ctx;
	struct io_listen_opts o = { .backlog = 200, .uid = (uid_t)-1, .gid = (gid_t)-1 };
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	f->h = io_host_new(l, &f->spec);
	f->addr = (struct ip_port){ .ip = { .v4 = htonl(INADDR_LOOPBACK), .family = ADDR_V4 },
		.host = true };
	fd = io_listen_open(&f->addr, &o);
	assert_true(fd >= 0);
	getsockname(fd, (struct sockaddr *)&ss, &len);
	io_addr_from(&ss, &f->addr);
	assert_int_equal(io_host_listen(f->h, &f->addr, fd), 0);
}

static void
detach(struct io_loop *l sl_unused, void *ctx)
{
	io_host_free(((struct fix *)ctx)->h);
}

static int
open_fix(void **state, uint32_t blocks, uint32_t socks)
{
	struct lcore_spec s = { .nlcores = 1, .socket = -1, .pool_size = POOL };
	struct io_thread_spec spec = { .n = 1, .max_conns = 4 };
	struct tcp_conf conf;
	struct fix *f = calloc(1, sizeof(*f));
	uint64_t secret[2] = { 1, 2 };

	if (test_eal_start() < 0)
		return -1;
	f->spec = (struct io_host_spec){ .max_socks = socks, .blocks = blocks };
	f->pool = s.pool = test_pool_new("host", POOL);
	s.ports = &f->ports;
	f->ports.nworkers = 1;
	f->lc = lcore_new(&s);
	lcore_set_clock(f->lc, 1000000, 1600000000000000ull);
	f->net = net_shared_new(&f->ports);
	assert_int_equal(net_attach(f->lc, f->net, tcp_input, tcp_icmp), 0);
	tcp_conf_default(&conf);
	conf.max_conns = 16;
	assert_int_equal(tcp_attach(f->lc, &conf, secret), 0);
	assert_int_equal(conn_attach(f->lc, CONNS, CONNS), 0);
	spec.lc = &f->lc;
	assert_int_equal(io_thread_start(&spec, &f->t), 0);
	io_thread_run(f->t, attach, f);
	assert_int_equal(conn_listen(f->lc, &f->addr, &handler, f), 0);
	f->start = time(NULL);
	fix = *state = f;
	return 0;
}

static int
setup(void **state)
{
	return open_fix(state, 2048, CONNS);
}

/* So few blocks that a second slow reader makes them scarce. */
static int
setup_scarce(void **state)
{
	return open_fix(state, 8, CONNS);
}

static bool
all_gone(const struct fix *f)
{
	return counter_get(&io_host_get_stats(f->h)->sockets) == 0;
}

/* Every connection ends on both sides, and every buffer is back. */
static int
teardown(void **state)
{
	struct fix *f = *state;

	for (uint32_t i = 0; i < f->nu; i++)
		if (f->u[i].c != NULL)
			conn_abort(f->lc, f->u[i].c);
	f->start = time(NULL);
	while (!all_gone(f) || host_pending(f->lc)) {
		step();
		nap();
	}
	step();
	assert_int_equal(f->lc->retained, 0);
	assert_int_equal(rte_mempool_avail_count(f->pool), POOL);
	io_thread_run(f->t, detach, f);
	io_thread_stop(f->t);
	conn_detach(f->lc);
	tcp_detach(f->lc);
	net_detach(f->lc);
	net_shared_free(f->net);
	lcore_free(f->lc);
	rte_mempool_free(f->pool);
	free(f);
	return 0;
}

/* ---- cases ---- */

static void
test_echo(void **state sl_unused)
{
	int fd = dial();

	echo(fd, TOTAL, false);
	close(fd);
	fd = dial();
	echo(fd, TOTAL / 4, true);
	close(fd);
	assert_true(fix->u[0].eof && fix->u[1].eof);
	assert_int_equal(fix->u[0].got, TOTAL);
	assert_int_equal(counter_get(&fix->lc->stat[STAT_HOST_ACCEPTS]), 2);
	assert_int_equal(counter_get(&fix->lc->stat[STAT_HOST_IN]), TOTAL + TOTAL / 4);
	assert_int_equal(counter_get(&fix->lc->stat[STAT_HOST_OUT]), TOTAL + TOTAL / 4);
}

/* A user that does not read: what is on its way stays within the window. */
static void
test_backpressure(void **state sl_unused)
{
	uint64_t out = 0;
	int fd;

	fix->hold = true;
	fd = dial();
	for (int quiet = 0; quiet < 300;) {
		uint32_t w = client_write(fd, out, UINT64_MAX);

		out += w;
		quiet = w > 0 ? 0 : quiet + 1;
		step();
		if (w == 0)
			nap();
	}
	assert_int_equal(fix->nu, 1);
	assert_true(conn_rx(fix->u[0].c)->len <= HOST_WINDOW);
	assert_true(conn_rx(fix->u[0].c)->len > HOST_WINDOW / 2);
	assert_true(counter_get(&io_host_get_stats(fix->h)->in) <= HOST_WINDOW);
	fix->u[0].hold = false; // and now everything comes back
	for (uint64_t in = 0; in < out;) {
		uint32_t r = client_read(fd, in, 5000);

		in += r;
		if (fix->u[0].c != NULL)
			pump(fix->lc, &fix->u[0]);
		step();
		if (r == 0)
			nap();
	}
	close(fd);
}

static void
test_connect(void **state sl_unused)
{
	struct ip_port dead = fix->addr, none = { .ip.family = ADDR_UNIX, .host = true };
	struct host_sock path = { .fd = -1, .len = 10, .name = "/no/such/", .text = "/no/such/" };
	struct user *a = &fix->u[CONNS], *b = a + 1, *c = a + 2;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	struct chain d;

	// a port that nobody listens on
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	dead.port = ntohs(sa.sin_port);
	none.ip.q[0] = (uintptr_t)&path;
	assert_int_equal(conn_connect(fix->lc, &dead, NULL, &handler, a, &a->c), 0);
	assert_int_equal(conn_connect(fix->lc, &none, NULL, &handler, b, &b->c), 0);
	// to ourselves: the echo of an echo would never end, so it holds
	fix->hold = c->hold = true;
	assert_int_equal(conn_connect(fix->lc, &fix->addr, NULL, &handler, c, &c->c), 0);
	chain_init(&d);
	assert_int_equal(chain_copy_in(fix->lc, &d, "early", 5), 0);
	assert_int_equal(conn_send(fix->lc, c->c, &d), 0); // waits for the connection
	while (!a->closed || !b->closed || !c->connected || fix->nu == 0 ||
		conn_rx(fix->u[0].c)->len < 5) {
		step();
		nap();
	}
	assert_int_equal(a->err, ECONNREFUSED);
	assert_int_equal(b->err, ENOENT);
	// closed before it is connected: nothing is left (teardown looks)
	assert_int_equal(conn_connect(fix->lc, &fix->addr, NULL, &handler, a, &a->c), 0);
	conn_close(fix->lc, a->c);
	conn_abort(fix->lc, c->c);
	while (!fix->u[0].closed) { // reset arrives as such
		step();
		nap();
	}
	assert_int_equal(fix->u[0].err, ECONNRESET);
	close(fd);
}

/* The peer's reset; our reset; refused by the user, by a full pool, and without a listener. */
static void
test_ends(void **state sl_unused)
{
	struct linger lg = { .l_onoff = 1 };
	int fd = dial(), more[CONNS + 2];
	char b;

	while (fix->nu < 1)
		step();
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(fd);
	while (!fix->u[0].closed)
		step();
	assert_int_equal(fix->u[0].err, ECONNRESET);
	fd = dial();
	while (fix->nu < 2)
		step();
	conn_abort(fix->lc, fix->u[1].c);
	fix->u[1].c = NULL;
	while (recv(fd, &b, 1, 0) < 0 && errno == EAGAIN)
		step();
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	fix->refuse = true;
	fd = dial();
	while (counter_get(&fix->lc->stat[STAT_HOST_REFUSED]) < 1)
		step();
	close(fd);
	fix->refuse = false;
	while (!all_gone(fix)) {
		step();
		nap();
	}
	// one more than there is room for waits in the kernel's queue, and comes when there is
	fix->nu = 0;
	memset(fix->u, 0, sizeof(fix->u));
	for (int i = 0; i < CONNS + 1; i++)
		more[i] = dial();
	while (fix->nu < CONNS || counter_get(&io_host_get_stats(fix->h)->pauses) == 0) {
		step();
		nap();
	}
	assert_int_equal(fix->nu, CONNS);
	close(more[0]);
	while (fix->nu < CONNS + 1) {
		step();
		nap();
	}
	for (int i = 1; i < CONNS + 1; i++)
		close(more[i]);
	assert_int_equal(conn_unlisten(fix->lc, &fix->addr), 0);
	fd = dial();
	while (counter_get(&fix->lc->stat[STAT_HOST_REFUSED]) < 2) {
		step();
		nap();
	}
	close(fd);
}

/* Few blocks: clients that never read hold one each, and others go on. */
static void
test_scarce(void **state sl_unused)
{
	int slow[20], fd;
	uint64_t out[20] = { 0 };

	for (int i = 0; i < 20; i++)
		slow[i] = dial();
	for (int quiet = 0; quiet < 300;) {
		uint32_t w = 0;

		for (int i = 0; i < 20; i++) {
			uint32_t n = client_write(slow[i], out[i], UINT64_MAX);
			out[i] += n;
			w += n;
		}
		quiet = w > 0 ? 0 : quiet + 1;
		step();
		if (w == 0)
			nap();
	}
	assert_true(counter_get(&io_host_get_stats(fix->h)->scarce) > 0);
	fd = dial();
	echo(fd, TOTAL / 8, false);
	close(fd);
	for (int i = 0; i < 20; i++)
		close(slow[i]);
}

/* No buffer for a while: bytes wait in their blocks, and none is lost. */
static void
test_no_mbuf(void **state sl_unused)
{
	struct rte_mbuf *m[POOL + 1]; // and the refusal
	int fd = dial(), n = 0;
	uint64_t out = 0;

	while (fix->nu < 1)
		step();
	while ((m[n] = rte_pktmbuf_alloc(fix->pool)) != NULL)
		n++;
	while (out < 20000)
		out += client_write(fd, out, 20000);
	while (counter_get(&fix->lc->stat[STAT_HOST_IN]) < 20000) {
		step();
		nap();
	}
	assert_true(counter_get(&fix->lc->stat[STAT_HOST_WAITS]) > 0);
	while (n > 0)
		rte_pktmbuf_free(m[--n]);
	for (uint64_t in = 0; in < 20000;) {
		in += client_read(fd, in, 5000);
		step();
	}
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backpressure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scarce, setup_scarce, teardown),
		cmocka_unit_test_setup_teardown(test_no_mbuf, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
