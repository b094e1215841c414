// SPDX-License-Identifier: BSD-3-Clause
/*
 * A whole worker over a wire, against a host that plays client and server, in virtual time: what
 * happens when memory runs out. Every kind of allocation refused over a proxied request; a pool so
 * small that queues want more than there is; the sizes that a start is planned by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <rte_ethdev.h>

#include "dataplane/worker/worker.h"
#include "tests/harness/eal.h"
#include "tests/harness/scarce.h"

#define STEP_US  200
#define PEERS    160
#define PEER_BUF 8191
#define REQUEST  "GET /%u HTTP/1.1\r\nHost: a\r\n\r\n"

/* One connection of the other host: a client's, or a server's. */
struct peer {
	struct tcp_conn *tc;
	bool server, hold, done; // hold: reads nothing
	char head[512];
	uint32_t nhead;
	uint32_t owes; // server: bytes of the body still to be sent
	uint32_t got;  // client: bytes of the body
	uint32_t want; // client: by the answer's content-length
	uint16_t status;
};

static struct {
	struct wire *wire;
	struct ports ports[2];
	struct rte_mempool *pool[2];
	struct net_shared *net[2];
	struct bal_shared *bal;
	struct lcore *lc[2]; // the worker, the other host
	uint64_t now_us;
	struct model model;
	struct proxy fe, be;
	const struct proxy *proxies[2];
	struct listen_addr bind;
	const struct listen_addr *binds[1];
	struct server srv;
	uint32_t level; // buffers in use before
	struct peer peer[PEERS];
} w;

/* ---- the other host ---- */

static struct peer *
peer_new(bool server)
{
	for (uint32_t i = 0; i < PEERS; i++) {
		if (w.peer[i].tc != NULL || w.peer[i].done)
			continue;
		w.peer[i] = (struct peer){ .server = server };
		return &w.peer[i];
	}
	fail_msg("too many connections");
	return NULL;
}

static void
give(struct lcore *lc, struct peer *p, const char *data, uint32_t n)
{
	struct chain c;

	chain_init(&c);
	if (chain_copy_in_mss(lc, &c, data, n, tcp_mss(p->tc)) == 0)
		(void)tcp_send(lc, p->tc, &c);
}

static void
give_body(struct lcore *lc, struct peer *p)
{
	static const char zeros[16384];

	while (p->owes > 0 && p->tc != NULL) {
		uint32_t n = sl_min(p->owes, tcp_send_space(p->tc));

		n = sl_min(n, (uint32_t)sizeof(zeros));
		if (n == 0)
			return;
		give(lc, p, zeros, n);
		p->owes -= n;
	}
}

static void
serve(struct lcore *lc, struct peer *p)
{
	const char *path = strstr(p->head, " /");
	char text[128];

	if (strstr(p->head, "\r\n\r\n") == NULL || path == NULL)
		return;
	p->nhead = 0;
	p->owes = (uint32_t)strtoul(path + 2, NULL, 10);
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", p->owes);
	give(lc, p, text, (uint32_t)strlen(text));
	give_body(lc, p);
}

static void
take(struct lcore *lc, struct peer *p)
{
	uint32_t n = tcp_rx(p->tc)->len, k = 0;
	const char *end;

	if (p->hold)
		return;
	if (p->server || p->status == 0) {
		k = sl_min(n, (uint32_t)sizeof(p->head) - 1 - p->nhead);
		chain_copy_out(tcp_rx(p->tc), 0, p->head + p->nhead, k);
		p->nhead += k;
		p->head[p->nhead] = '\0';
	}
	tcp_rx_drop(lc, p->tc, n);
	if (p->server) {
		serve(lc, p);
		return;
	}
	if (p->status == 0) {
		const char *len = strcasestr(p->head, "content-length: ");

		end = strstr(p->head, "\r\n\r\n");
		if (end == NULL)
			return;
		p->status = (uint16_t)strtoul(p->head + 9, NULL, 10);
		p->want = len != NULL ? (uint32_t)strtoul(len + 16, NULL, 10) : 0;
		p->got = p->nhead - (uint32_t)(end + 4 - p->head);
		n -= k;
	}
	p->got += n;
	p->done = p->got >= p->want;
}

static void
on_event(struct lcore *lc, struct tcp_conn *tc, void *user, uint32_t ev)
{
	struct peer *p = user;

	if (ev & TCP_EV_READABLE)
		take(lc, p);
	if (ev & (TCP_EV_WRITABLE | TCP_EV_ACKED))
		give_body(lc, p);
	if (ev & TCP_EV_CLOSED) {
		p->tc = NULL;
	} else if (ev & TCP_EV_EOF) {
		p->hold = false; // a refusal: it is whole, and short
		take(lc, p);
		tcp_close(lc, tc);
		p->tc = NULL;
	}
}

static void *
on_accept(struct lcore *lc, void *cookie, struct tcp_conn *tc)
{
	struct peer *p = peer_new(true);

	(void)lc;
	(void)cookie;
	p->tc = tc;
	return p;
}

static const struct tcp_handler handler = { .accept = on_accept, .event = on_event };

static struct peer *
ask(uint32_t bytes, bool hold)
{
	struct ip_port to = { .ip = { .b = { 10, 0, 0, 1 }, .family = ADDR_V4 }, .port = 80 };
	struct ip_port from = { .ip = { .family = ADDR_NONE } };
	struct peer *p = peer_new(false);
	char text[128];

	if (tcp_connect(w.lc[1], &to, &from, &handler, p, &p->tc) < 0)
		fail_msg("no connection");
	p->hold = hold;
	snprintf(text, sizeof(text), REQUEST, bytes);
	give(w.lc[1], p, text, (uint32_t)strlen(text));
	return p;
}

static void
hang_up(struct peer *p)
{
	if (p->tc != NULL)
		tcp_close(w.lc[1], p->tc);
	memset(p, 0, sizeof(*p));
}

/* ---- the world ---- */

static void
other_iterate(struct lcore *lc)
{
	const struct port *port = &w.ports[1].port[0];
	struct rte_mbuf *m[32];
	uint16_t n = rte_eth_rx_burst(port->q[0].ethdev, port->q[0].queue, m, 32);

	if (n > 0)
		net_input(lc, 0, m, n);
	tcp_run_events(lc);
	wheel_advance(&lc->wheel, lc->now, 1000, lc);
	net_tick(lc);
	tcp_run_events(lc);
	tcp_run_output(lc);
	net_flush(lc);
}

static void
step(void)
{
	w.now_us += STEP_US;
	lcore_set_clock(w.lc[0], w.now_us, w.now_us);
	lcore_set_clock(w.lc[1], w.now_us, w.now_us);
	worker_iterate(w.lc[0]);
	other_iterate(w.lc[1]);
}

static void
run_ms(uint32_t ms)
{
	for (uint32_t i = 0; i < ms * (1000 / STEP_US); i++)
		step();
}

static bool
run_until(const bool *cond, uint32_t ms)
{
	for (uint32_t i = 0; i < ms * (1000 / STEP_US) && !*cond; i++)
		step();
	return *cond;
}

static void
init_model(void)
{
	struct ip_addr any = { .family = ADDR_V4 };

	w.fe = (struct proxy){ .name = SL_STR("f"),
		.id = 1,
		.caps = PX_CAP_FE,
		.mode = PX_HTTP,
		.timeout = { .client = 300000, .http_keep_alive = 20000 },
		.default_be = &w.be,
		.binds = &w.bind,
		.nbinds = 1 };
	w.bind = (struct listen_addr){
		.model = &w.model, .fe = &w.fe, .addr = { .ip = any, .port = 80 }
	};
	w.srv = (struct server){ .name = SL_STR("s"), .be = &w.be, .id = 1, .weight = 1 };
	w.srv.addr =
		(struct ip_port){ .ip = { .b = { 10, 0, 0, 2 }, .family = ADDR_V4 }, .port = 8001 };
	w.be = (struct proxy){ .name = SL_STR("b"),
		.id = 2,
		.slot = 1,
		.caps = PX_CAP_BE,
		.mode = PX_HTTP,
		.retries = 1,
		.timeout = { .server = 300000, .connect = 3000 },
		.servers = &w.srv,
		.nservers = 1 };
	w.binds[0] = &w.bind;
	w.proxies[0] = &w.fe;
	w.proxies[1] = &w.be;
	w.model = (struct model){ .generation = 1,
		.proxies = w.proxies,
		.nproxies = 2,
		.binds = w.binds,
		.nbinds = 1,
		.nservers = 1 };
}

static void
spec_init(struct worker_spec *s, uint32_t pool_n)
{
	*s = (struct worker_spec){ .max_streams = 256,
		.idle_per_server = 16,
		.call_slots = 4,
		.secret = { 1, 2 },
		.net = w.net[0],
		.bal = w.bal };
	s->lcore = (struct lcore_spec){ .nlcores = 1,
		.nscripts = 1,
		.socket = -1,
		.seed = 1,
		.pool = w.pool[0],
		.pool_size = pool_n,
		.ports = &w.ports[0],
		.npx = 2,
		.nbind = 1,
		.nsrv = 1 };
	tcp_conf_default(&s->tcp);
	s->max_conns = s->tcp.max_conns = 512;
	s->max_host = 64;
	s->tcp.max_half_open = 64;
	s->tcp.max_timewait = 512;
	s->tcp.timewait_ms = 100;
}

static void
open_port(int i, const char *device, const char *addr, uint32_t pool_n)
{
	struct ip_net net;
	struct port_spec p = {
		.name = sl_str_c(device), .device = sl_str_c(device), .addrs = &net, .naddrs = 1
	};
	struct port_err err = { "" };
	char name[16];

	snprintf(name, sizeof(name), "wt%d", i);
	assert_int_equal(addr_parse_net(sl_str_c(addr), &net), 0);
	w.pool[i] = test_pool_new(name, pool_n);
	assert_non_null(w.pool[i]);
	if (port_start(&w.ports[i], &p, &w.pool[i], 1, &err) < 0)
		fail_msg("%s", err.text);
	port_finish(&w.ports[i]);
	w.net[i] = net_shared_new(&w.ports[i]);
	assert_non_null(w.net[i]);
}

static void
world_open(uint32_t pool_n)
{
	struct ip_port listen = { .ip = { .family = ADDR_V4 }, .port = 8001 };
	struct worker_spec s;
	struct port_err err = { "" };
	const uint64_t secret[2] = { 3, 4 };

	memset(&w, 0, sizeof(w));
	w.wire = wire_new(0, 512);
	assert_non_null(w.wire);
	open_port(0, "wire0a", "10.0.0.1/24", pool_n);
	open_port(1, "wire0b", "10.0.0.2/24", PEER_BUF);
	init_model();
	w.bal = bal_shared_new(1, 2, 1);
	bal_shared_init_model(w.bal, &w.model);
	spec_init(&s, pool_n);
	w.lc[0] = worker_new(&s, &err);
	if (w.lc[0] == NULL)
		fail_msg("%s", err.text);
	w.now_us = w.lc[0]->now_us; // it began by the real clock
	s.lcore.pool = w.pool[1];
	s.lcore.pool_size = PEER_BUF;
	s.lcore.ports = &w.ports[1];
	w.lc[1] = lcore_new(&s.lcore);
	assert_non_null(w.lc[1]);
	lcore_set_clock(w.lc[0], w.now_us, w.now_us);
	lcore_set_clock(w.lc[1], w.now_us, w.now_us);
	assert_int_equal(net_attach(w.lc[1], w.net[1], tcp_input, tcp_icmp), 0);
	s.tcp.rcv_buf = 32768; // clients that read nothing hold little themselves
	assert_int_equal(tcp_attach(w.lc[1], &s.tcp, secret), 0);
	assert_int_equal(tcp_listen(w.lc[1], &listen, &handler, NULL), 0);
	epoch_publish(&w.lc[0], 1, &w.model);
	epoch_online(w.lc[0]);
	run_ms(3000); // announcements
	w.level = rte_mempool_in_use_count(w.pool[0]);
}

/* Idle again: everything given back. */
static void
assert_idle(const char *what)
{
	struct tcp_info ti;

	for (uint32_t i = 0; i < PEERS; i++)
		hang_up(&w.peer[i]);
	idle_flush(w.lc[0], UINT32_MAX);
	run_ms(1000);
	for (int i = 0; i < 600; i++) {
		tcp_get_info(w.lc[0], &ti);
		if (ti.conns + ti.half_open + ti.timewait == 0)
			break;
		run_ms(100);
	}
	if (ti.conns + ti.half_open + ti.timewait != 0 || w.lc[0]->retained != 0 ||
		px_streams(w.lc[0]) + px_sessions(w.lc[0]) != 0 ||
		rte_mempool_in_use_count(w.pool[0]) != w.level)
		fail_msg("%s: %u connections, %u half open, %u bytes retained, %u streams, %u "
			 "sessions, %d buffers",
			what, ti.conns, ti.half_open, w.lc[0]->retained, px_streams(w.lc[0]),
			px_sessions(w.lc[0]),
			(int)rte_mempool_in_use_count(w.pool[0]) - (int)w.level);
	assert_int_equal(w.lc[0]->pressure, PRESSURE_NONE);
}

static void
world_close(void)
{
	assert_idle("end");
	worker_free(w.lc[0]);
	tcp_detach(w.lc[1]);
	net_detach(w.lc[1]);
	lcore_free(w.lc[1]);
	bal_shared_free(w.bal);
	for (int i = 0; i < 2; i++) {
		port_stop(&w.ports[i], &w.ports[i].port[0]);
		net_shared_free(w.net[i]);
		rte_mempool_free(w.pool[i]);
	}
	wire_free(w.wire);
}

static uint16_t
get(uint32_t bytes)
{
	struct peer *p = ask(bytes, false);
	uint16_t status;

	run_until(&p->done, 10000);
	status = p->done ? p->status : 0;
	hang_up(p);
	return status;
}

/* ---- cases ---- */

static void
proxied(void **state)
{
	(void)state;
	world_open(4095);
	assert_int_equal(get(0), 200);
	assert_int_equal(get(300000), 200);
	world_close();
}

/* The n-th allocation of each kind is refused, for every n that a request needs. */
static void
each_refused(void **state)
{
	uint32_t lost = 0, seen = 0, timeouts = 0;

	(void)state;
	world_open(4095);
	for (int what = 0; what < SCARCE_NR; what++) {
		for (uint32_t n = 1; n < (what == SCARCE_MBUF ? 60 : 5); n++) {
			const char *name = scarce_name((enum scarce)what);
			uint16_t status;

			scarce_refuse(w.lc[0], (enum scarce)what, n);
			status = get(40000);
			scarce_refuse(w.lc[0], (enum scarce)what, 0);
			seen++;
			lost += status != 200;
			timeouts += status == 0;
			// refused by an answer, or by the end of the connection; nothing hangs
			if (status != 200 && status != 503 && status != 500 && status != 0 &&
				status != 502)
				fail_msg("%s %u: status %u", name, n, status);
			assert_idle(name);
			if (get(1000) != 200)
				fail_msg("%s %u: the next request fails", name, n);
		}
	}
	printf("%u requests, %u lost, %u of them without an answer\n", seen, lost, timeouts);
	assert_in_range(lost, 1, seen / 4); // something was refused at all
	world_close();
}

/* 96 clients that read nothing, with a pool far too small for what they ask. */
static void
tiny_pool(void **state)
{
	struct lcore *lc;
	struct peer *slow[64];
	uint32_t least = UINT32_MAX, served = 0, refused = 0, nslow = 48;

	(void)state;
	world_open(1023);
	lc = w.lc[0];
	assert_int_equal(get(1000), 200);
	for (uint32_t i = 0; i < nslow; i++) {
		slow[i] = ask(1000000, true);
		run_ms(5);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		run_ms(1);
		least = sl_min(least, (uint32_t)rte_mempool_avail_count(w.pool[0]));
		assert_in_range(lc->retained, 0, lc->retain_max + 64 * CHAIN_TRUESIZE);
	}
	// buffers for the rings were there at all times, all levels were entered
	if (least < 64)
		fail_msg("%u buffers were left", least);
	assert_true(counter_get(&lc->stat[STAT_PRESSURE_COOKIES]) > 0);
	assert_true(counter_get(&lc->stat[STAT_PRESSURE_WINDOWS]) > 0);
	assert_true(counter_get(&lc->stat[STAT_PRESSURE_SHED]) > 0);
	// some more, as what has to be cut waits for buffers: at the highest level
	for (uint32_t i = nslow; i < SL_ARRAY_SIZE(slow) && lc->pressure < PRESSURE_SHED; i++) {
		slow[nslow++] = ask(4000, true);
		run_ms(5);
	}
	assert_int_equal(lc->pressure, PRESSURE_SHED);
	// who comes now is answered, one way or the other
	for (uint32_t i = 0; i < 20; i++) {
		uint16_t status = get(2000);

		if (status != 200 && status != 503)
			fail_msg("request %u: status %u, retained %u of %u, budget drops %u", i,
				status, lc->retained, lc->retain_max,
				(uint32_t)counter_get(&lc->drop[DROP_RX_BUDGET]));
		served += status == 200;
		refused += status == 503;
	}
	assert_int_equal(served + refused, 20);
	assert_in_range(refused, 1, counter_get(&lc->stat[STAT_SHED_REQUESTS]));
	// they begin to read: by itself all is well again
	for (uint32_t i = 0; i < nslow; i++) {
		slow[i]->hold = false;
		if (slow[i]->tc != NULL)
			take(w.lc[1], slow[i]);
	}
	for (uint32_t i = 0; i < nslow; i++) {
		run_until(&slow[i]->done, 60000);
		if (!slow[i]->done || (slow[i]->status != 200 && slow[i]->status != 503))
			fail_msg("slow reader %u: status %u, %u of %u", i, slow[i]->status,
				slow[i]->got, slow[i]->want);
	}
	assert_int_equal(lc->pressure, PRESSURE_NONE);
	assert_int_equal(get(100000), 200);
	world_close();
}

/* Idle connections of both sides go when the level is reached, and only idle ones. */
static void
shed(void **state)
{
	struct lcore *lc;
	struct peer *idle, *busy, *fresh;
	uint32_t keep;

	(void)state;
	world_open(4095);
	lc = w.lc[0];
	idle = ask(100, false);
	assert_true(run_until(&idle->done, 1000));
	run_ms(1100);
	fresh = peer_new(false);
	{
		struct ip_port to = { .ip = { .b = { 10, 0, 0, 1 }, .family = ADDR_V4 },
			.port = 80 };
		struct ip_port from = { .ip = { .family = ADDR_NONE } };
		assert_int_equal(tcp_connect(w.lc[1], &to, &from, &handler, fresh, &fresh->tc), 0);
	}
	busy = ask(600000, true);
	run_ms(50);
	assert_true(idle_count(lc, 0) > 0);
	keep = lc->retain_max;
	lc->retain_max = lc->retained / 15 * 16; // as if it were all
	run_ms(20);
	assert_int_equal(lc->pressure, PRESSURE_SHED);
	assert_int_equal(idle_count(lc, 0), 0);
	assert_null(idle->tc); // closed
	assert_non_null(busy->tc);
	assert_non_null(fresh->tc);
	assert_int_equal(counter_get(&lc->stat[STAT_SHED_IDLE]), 1);
	give(w.lc[1], fresh, "GET /5 HTTP/1.1\r\nHost: a\r\n\r\n", 28);
	assert_true(run_until(&fresh->done, 1000));
	assert_int_equal(fresh->status, 503);
	lc->retain_max = keep;
	run_ms(20);
	assert_int_equal(lc->pressure, PRESSURE_NONE);
	busy->hold = false;
	take(w.lc[1], busy);
	assert_true(run_until(&busy->done, 20000));
	assert_int_equal(busy->status, 200);
	world_close();
}

static uint64_t
rss_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long size, rss = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &rss), 2);
	fclose(f);
	return (uint64_t)rss * 4096;
}

/* What AddressSanitizer knows of each 8 bytes takes one more, where pools tell it what is free. */
#ifdef __SANITIZE_ADDRESS__
#define SHADOW(bytes) ((bytes) / 8)
#else
#define SHADOW(bytes) 0u
#endif

/* The plan of a start is what the worker then takes. */
static void
planned(void **state)
{
	static const uint32_t conns[] = { 4096, 70000 };

	(void)state;
	world_open(4095);
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(conns); i++) {
		struct worker_spec s;
		struct worker_memory m;
		struct port_err err = { "" };
		struct lcore *lc;
		uint64_t before, took;

		spec_init(&s, 4095);
		s.max_conns = s.tcp.max_conns = conns[i];
		s.max_host = i == 0 ? conns[i] : 64;
		s.max_streams = conns[i] / 16;
		s.call_slots = 1024;
		worker_memory(&s, 2, &m);
		before = rss_bytes();
		lc = worker_new(&s, &err);
		assert_non_null(lc);
		took = rss_bytes() - before;
		// log ring, net and the idle pool are not in the plan, being of a fixed size
		if (took < m.total * 97 / 100 ||
			took > m.total * 103 / 100 + (5u << 20) + SHADOW(m.total))
			fail_msg("planned %llu kB, took %llu kB",
				(unsigned long long)m.total / 1024,
				(unsigned long long)took / 1024);
		assert_in_range(m.per_conn, 400, 4000);
		assert_in_range(m.per_stream, 4000, 20000);
		worker_free(lc);
	}
	world_close();
}

static int
group_setup(void **state)
{
	const char *dup;

	(void)state;
	return test_eal_start() == 0 && expr_init(&dup) >= 0 && action_init(&dup) >= 0 ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proxied),
		cmocka_unit_test(each_refused),
		cmocka_unit_test(tiny_pool),
		cmocka_unit_test(shed),
		cmocka_unit_test(planned),
	};
	return cmocka_run_group_tests(tests, group_setup, NULL);
}
