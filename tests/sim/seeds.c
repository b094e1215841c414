// SPDX-License-Identifier: BSD-3-Clause
/*
 * Seeded transfers: echo and both-way streams under loss (to 20 %), reordering, duplication, corruption,
 * delay, changes of the path's MTU (with and without a word of it), small and slow windows.
 *
 * usage: sim_seeds FIRST COUNT, or sim_seeds --seed N [--quiet] to replay one with a trace. Every
 * stream is checked byte by byte, every step against tcp_validate(), and at the end nothing may be
 * retained. Prints the failing seed.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define PORT_ECHO 7
#define PORT_SINK 9009
#define MAX_PAIRS 4

/* One end of a connection. */
struct end {
	struct sim *sim;
	struct tcp_conn *tc;
	bool used, echo, sink, done, eof, shut;
	int host;
	uint64_t tx_key, rx_key; // patterns
	uint64_t sent, total;    // of what it sends by itself
	uint64_t got, expect;
	uint64_t pause_us; // does not read before
	uint32_t unit;
};

struct run {
	struct end end[2][2 * MAX_PAIRS];
	uint64_t key;
	uint32_t bytes;
	uint32_t pause_ppm;
	uint32_t mtu_ppm; // per step: the path's MTU changes
	bool odd_sizes;
	bool nibbles; // readers take a few bytes at a time
	bool failed;
	char why[200];
};

static uint8_t
pattern(uint64_t key, uint64_t at)
{
	return (uint8_t)(hash_mix(key + at / 8) >> (at % 8 * 8));
}

static void
broken(struct end *e, const char *what, uint64_t at)
{
	struct run *r = e->sim->ctx;

	if (!r->failed)
		snprintf(r->why, sizeof(r->why), "host %d: %s at byte %llu", e->host, what,
			(unsigned long long)at);
	r->failed = true;
}

static void
check_bytes(struct end *e, const struct chain *c)
{
	uint8_t b[2048];

	for (uint32_t off = 0; off < c->len;) {
		uint32_t n = chain_copy_out(c, off, b, sizeof(b));
		for (uint32_t i = 0; i < n; i++) {
			if (b[i] != pattern(e->rx_key, e->got + i)) {
				broken(e, "wrong byte", e->got + i);
				return;
			}
		}
		e->got += n;
		off += n;
	}
	if (e->got > e->expect)
		broken(e, "more bytes than were sent", e->got);
}

static void
send_pattern(struct end *e)
{
	struct lcore *lc = e->sim->host[e->host].lc;
	struct run *r = e->sim->ctx;
	uint8_t b[4096];

	while (e->sent < e->total) {
		uint32_t space = tcp_send_space(e->tc), n = sizeof(b);
		struct chain c;

		if (r->odd_sizes)
			n = 1 + rand_below(&e->sim->rand, 3000);
		n = (uint32_t)sl_min((uint64_t)n, e->total - e->sent);
		n = sl_min(n, space);
		if (n == 0)
			return;
		for (uint32_t i = 0; i < n; i++)
			b[i] = pattern(e->tx_key, e->sent + i);
		chain_init(&c);
		if (chain_copy_in_mss(lc, &c, b, n, e->unit) < 0)
			return;
		if (tcp_send(lc, e->tc, &c) < 0) {
			broken(e, "send refused", e->sent);
			return;
		}
		e->sent += n;
	}
}

static void
receive(struct end *e)
{
	struct lcore *lc = e->sim->host[e->host].lc;
	const struct chain *rx = tcp_rx(e->tc);
	uint32_t n = rx->len;

	if (e->echo)
		n = sl_min(n, tcp_send_space(e->tc));
	if (((struct run *)e->sim->ctx)->nibbles)
		n = sl_min(n, 1 + rand_below(&e->sim->rand, 5000));
	if (n > 0) {
		struct chain c;
		chain_init(&c);
		if (tcp_rx_take(lc, e->tc, n, &c) < 0)
			return; // later
		if (c.len != n)
			broken(e, "take gave another length", n);
		check_bytes(e, &c);
		if (e->echo) {
			e->sent += c.len;
			if (tcp_send(lc, e->tc, &c) < 0)
				broken(e, "echo refused", e->got);
		} else {
			chain_free(lc, &c);
		}
	}
}

static void
pump(struct end *e)
{
	struct lcore *lc = e->sim->host[e->host].lc;
	struct run *r = e->sim->ctx;

	if (e->tc == NULL || r->failed)
		return;
	if (e->sim->now_us >= e->pause_us) {
		receive(e);
		if (rand_below(&e->sim->rand, 1000000) < r->pause_ppm)
			e->pause_us = e->sim->now_us + rand_below(&e->sim->rand, 600000);
	}
	if (e->tc == NULL)
		return;
	if (!e->echo)
		send_pattern(e);
	if (!e->shut &&
		((!e->echo && e->sent == e->total) ||
			(e->echo && tcp_rx_eof(e->tc) && tcp_rx(e->tc)->len == 0))) {
		e->shut = true;
		tcp_shutdown(lc, e->tc);
	}
	if (tcp_rx_eof(e->tc) && tcp_rx(e->tc)->len == 0 && e->shut) {
		if (e->got != e->expect)
			broken(e, "end of stream", e->got);
		tcp_close(lc, e->tc);
		e->tc = NULL;
		e->done = true;
	}
}

static void
on_event(struct lcore *lc sl_unused, struct tcp_conn *tc, void *user, uint32_t ev)
{
	struct end *e = user;

	if (tc != e->tc)
		broken(e, "event of another connection", 0);
	if (e->sim->now_us >= e->pause_us || (ev & TCP_EV_CLOSED))
		pump(e);
	if ((ev & TCP_EV_CLOSED) && e->tc != NULL) {
		if (tcp_error(tc) != 0 || e->got != e->expect)
			broken(e, "closed early", e->got);
		e->tc = NULL;
		e->done = true;
	}
}

static void *on_accept(struct lcore *lc, void *cookie, struct tcp_conn *tc);
static const struct tcp_handler handler = { .accept = on_accept, .event = on_event };

static struct end *
new_end(struct sim *sim, int host, uint16_t port, uint16_t client_port)
{
	struct run *r = sim->ctx;

	for (uint32_t i = 0; i < 2 * MAX_PAIRS; i++) {
		struct end *e = &r->end[host][i];
		if (e->used)
			continue;
		*e = (struct end){ .sim = sim, .used = true, .host = host };
		e->tx_key = hash_mix(r->key + client_port * 2u + (unsigned)host);
		e->rx_key = hash_mix(r->key + client_port * 2u + 1u - (unsigned)host);
		e->sink = port == PORT_SINK;
		return e;
	}
	return NULL;
}

static void *
on_accept(struct lcore *lc, void *cookie, struct tcp_conn *tc)
{
	struct sim *sim = cookie;
	struct run *r = sim->ctx;
	struct ip_port l, rm;
	struct end *e;
	int host = lc == sim->host[0].lc ? 0 : 1;

	tcp_get_addrs(tc, &l, &rm);
	e = new_end(sim, host, l.port, rm.port);
	if (e == NULL)
		return NULL;
	e->tc = tc;
	e->unit = tcp_mss(tc);
	e->expect = r->bytes;
	if (l.port == PORT_ECHO)
		e->echo = true;
	else
		e->total = r->bytes; // both ways at once
	return e;
}

static int
open_pair(struct sim *sim, int host, uint16_t port, bool v6)
{
	struct run *r = sim->ctx;
	struct ip_port to = { .ip = v6 ? sim->host[1 - host].v6 : sim->host[1 - host].v4,
		.port = port };
	struct tcp_conn *tc;
	struct ip_port l, rm;
	struct end *e;
	int rc = tcp_connect(sim->host[host].lc, &to, NULL, &handler, NULL, &tc);

	if (rc < 0)
		return rc;
	tcp_get_addrs(tc, &l, &rm);
	e = new_end(sim, host, port, l.port);
	if (e == NULL)
		return -ENOMEM;
	e->tc = tc;
	tcp_set_user(tc, &handler, e);
	e->unit = tcp_payload_unit(sim->host[host].lc);
	e->total = e->expect = r->bytes;
	if (port == PORT_ECHO)
		e->rx_key = e->tx_key;
	return 0;
}

static void
app(struct sim *sim, int host)
{
	struct run *r = sim->ctx;

	if (r->mtu_ppm != 0 && rand_below(&sim->rand, 1000000) < r->mtu_ppm) {
		struct sim_link *l = &sim->link[rand_below(&sim->rand, 2)];
		l->mtu = 1280 + rand_below(&sim->rand, 221);
		l->hole = rand_below(&sim->rand, 3) == 0;
	}
	for (uint32_t i = 0; i < 2 * MAX_PAIRS; i++) {
		struct end *e = &r->end[host][i];
		if (e->used && e->tc != NULL && tcp_get_state(e->tc) != TCP_SYN_SENT &&
			tcp_get_state(e->tc) != TCP_SYN_RECEIVED)
			pump(e);
	}
}

static bool
all_done(struct sim *sim)
{
	struct run *r = sim->ctx;

	if (r->failed)
		return true;
	for (int h = 0; h < 2; h++) {
		for (uint32_t i = 0; i < 2 * MAX_PAIRS; i++) {
			if (r->end[h][i].used && !r->end[h][i].done)
				return false;
		}
		if (sim_tcp(sim, h)->conns.used != 0 || sim_tcp(sim, h)->halfs.used != 0 ||
			sim_tcp(sim, h)->tws.used != 0)
			return false;
	}
	return true;
}

static void
listen_both(struct sim *sim)
{
	struct ip_port any = { .ip = { .family = ADDR_V4 } };

	for (int h = 0; h < 2; h++) {
		for (int f = 0; f < 2; f++) {
			any.ip.family = f ? ADDR_V6 : ADDR_V4;
			any.port = PORT_ECHO;
			tcp_listen(sim->host[h].lc, &any, &handler, sim);
			any.port = PORT_SINK;
			tcp_listen(sim->host[h].lc, &any, &handler, sim);
		}
	}
}

/* Everything that differs between seeds is drawn here. */
static void
draw(struct sl_rand *rnd, struct tcp_conf *conf, struct sim_link *link, struct run *r)
{
	static const uint32_t loss[] = { 0, 0, 2000, 10000, 30000, 60000, 100000, 200000 };
	static const uint32_t bufs[] = { 4096, 8192, 16384, 65536, 131072, 262144 };
	uint32_t level = loss[rand_below(rnd, 8)];

	for (int i = 0; i < 2; i++) {
		sim_conf(&conf[i]);
		conf[i].rcv_buf = bufs[rand_below(rnd, 6)];
		conf[i].snd_buf = bufs[rand_below(rnd, 6)];
		conf[i].sack = rand_below(rnd, 4) != 0;
		conf[i].timestamps = rand_below(rnd, 4) != 0;
		conf[i].wscale = rand_below(rnd, 4) != 0;
		conf[i].cc = (uint8_t)rand_below(rnd, TCP_CC_NR);
		conf[i].syn_retries = 20;
		conf[i].data_retries = 60; // ten losses in a row will come
		conf[i].rto_max_ms = 5000;
		conf[i].cookies = (uint8_t)rand_below(rnd, 3);
		link[i] = (struct sim_link){
			.loss_ppm = level,
			.dup_ppm = rand_below(rnd, 2) ? rand_below(rnd, 30000) : 0,
			.reorder_ppm = rand_below(rnd, 2) ? rand_below(rnd, 100000) : 0,
			.delay_us = 100 + rand_below(rnd, 40000),
			.jitter_us = rand_below(rnd, 2) ? rand_below(rnd, 5000) : 0,
			.reorder_us = 500 + rand_below(rnd, 20000),
			.corrupt_ppm = rand_below(rnd, 3) == 0 ? rand_below(rnd, 20000) : 0,
		};
	}
	r->mtu_ppm = rand_below(rnd, 3) == 0 ? 20000 : 0;
	r->nibbles = rand_below(rnd, 4) == 0;
	r->bytes = 256 * 1024 + rand_below(rnd, 4096);
	r->pause_ppm = rand_below(rnd, 3) == 0 ? 20000 : 0;
	r->odd_sizes = rand_below(rnd, 2);
}

static void
show_ends(struct sim *sim)
{
	struct run *r = sim->ctx;

	for (uint32_t i = 0; i < 4 * MAX_PAIRS; i++) {
		struct end *e = &r->end[i & 1][i / 2];
		if (!e->used)
			continue;
		printf("host %d: sent %llu/%llu got %llu/%llu shut %d done %d", e->host,
			(unsigned long long)e->sent, (unsigned long long)e->total,
			(unsigned long long)e->got, (unsigned long long)e->expect, e->shut,
			e->done);
		if (e->tc != NULL)
			printf(" %s rxq %u ooo %u una %u nxt %u end %u wnd %u cwnd %u flags %x tmode %u "
			       "sacked %u lost %u",
				tcp_state_name(tcp_get_state(e->tc)), e->tc->rxq.len,
				e->tc->ooo_segs, e->tc->snd_una, e->tc->snd_nxt, e->tc->snd_end,
				e->tc->snd_wnd, e->tc->cwnd, e->tc->flags, e->tc->tmode,
				e->tc->sacked, e->tc->lost);
		printf("\n");
	}
	for (int h = 0; h < 2; h++)
		printf("host %d: %u connections, %u half-open, %u in TIME_WAIT\n", h,
			sim_tcp(sim, h)->conns.used, sim_tcp(sim, h)->halfs.used,
			sim_tcp(sim, h)->tws.used);
}

static int
one_seed(uint64_t seed, bool tracing, bool figures)
{
	static struct sim sim;
	static struct run r;
	struct tcp_conf conf[2];
	struct sim_link link[2];
	struct sl_rand rnd;
	uint64_t t0;
	uint32_t pairs;
	bool ok;

	memset(&r, 0, sizeof(r));
	rand_seed(&rnd, hash_mix(seed));
	draw(&rnd, conf, link, &r);
	r.key = seed << 20;
	if (sim_open(&sim, seed, conf) < 0)
		return -ENOMEM;
	sim.trace = tracing;
	sim.ctx = &r;
	sim.app = app;
	for (int i = 0; i < 2; i++)
		sim_set_mtu(&sim, i, rand_below(&rnd, 3) == 0 ? 1280 : 1500);
	listen_both(&sim);
	memcpy(sim.link, link, sizeof(link));
	pairs = 1 + rand_below(&rnd, 2);
	t0 = sim.now_us;
	for (uint32_t i = 0; i < pairs; i++) {
		if (open_pair(&sim, (int)rand_below(&rnd, 2), i % 2 ? PORT_SINK : PORT_ECHO,
			    rand_below(&rnd, 2)) < 0)
			return -ENOMEM;
	}
	ok = sim_until(&sim, all_done, 3600ull * 1000000);
	if (!ok && sim.why[0] == '\0')
		snprintf(sim.why, sizeof(sim.why), "not finished after an hour");
	if (r.failed && sim.why[0] == '\0')
		snprintf(sim.why, sizeof(sim.why), "%s", r.why);
	if (!ok)
		show_ends(&sim);
	if (figures)
		printf("seed %llu: %u pairs of %u bytes, loss %.1f %%, delay %.1f ms: %.2f s, "
		       "retrans %llu, rto %llu, fast %llu, ooo %llu, moved %llu, repack %llu, steps %llu\n",
			(unsigned long long)seed, pairs, r.bytes, link[0].loss_ppm / 1e4,
			link[0].delay_us / 1e3, (double)(sim.now_us - t0) / 1e6,
			(unsigned long long)(sim_stat(&sim, 0, STAT_TCP_RETRANS) +
				sim_stat(&sim, 1, STAT_TCP_RETRANS)),
			(unsigned long long)(sim_stat(&sim, 0, STAT_TCP_RTO) +
				sim_stat(&sim, 1, STAT_TCP_RTO)),
			(unsigned long long)(sim_stat(&sim, 0, STAT_TCP_FAST_RETRANS) +
				sim_stat(&sim, 1, STAT_TCP_FAST_RETRANS)),
			(unsigned long long)(sim_stat(&sim, 0, STAT_TCP_OOO) +
				sim_stat(&sim, 1, STAT_TCP_OOO)),
			(unsigned long long)(sim_stat(&sim, 0, STAT_TCP_MOVED) +
				sim_stat(&sim, 1, STAT_TCP_MOVED)),
			(unsigned long long)(sim_stat(&sim, 0, STAT_TCP_REPACK) +
				sim_stat(&sim, 1, STAT_TCP_REPACK)),
			(unsigned long long)sim.steps);
	if (sim_close(&sim) == 0 && ok && !r.failed)
		return 0;
	printf("FAILED seed %llu: %s\nreplay: sim_seeds --seed %llu\n", (unsigned long long)seed,
		sim.why, (unsigned long long)seed);
	return -EINVAL;
}

int
main(int argc, char **argv)
{
	uint64_t first = 1, count = 20, failed = 0;
	bool replay = argc > 2 && strcmp(argv[1], "--seed") == 0;
	bool figures = replay || (argc > 3 && strcmp(argv[3], "--figures") == 0);

	if (argc > 2)
		first = strtoull(argv[replay ? 2 : 1], NULL, 10);
	if (argc > 2 && !replay)
		count = strtoull(argv[2], NULL, 10);
	if (sim_start() < 0)
		return 1;
	if (replay)
		return one_seed(first, argc < 4, true) < 0;
	for (uint64_t s = first; s < first + count; s++)
		failed += one_seed(s, false, figures) < 0;
	sim_stop();
	printf("%llu seeds, %llu failed\n", (unsigned long long)count, (unsigned long long)failed);
	return failed != 0;
}
