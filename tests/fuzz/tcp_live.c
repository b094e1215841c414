// SPDX-License-Identifier: BSD-3-Clause
/*
 * The two stacks of fuzz_tcp, their applications, and the path between them.
 */
#include "tests/fuzz/tcp_live.h"

#include "dataplane/net/net_priv.h"

#define UNIT 8000 // an application writes at once

struct tcp_live tl;

static int
host_of(const struct lcore *lc)
{
	return lc == tl.sim.host[1].lc;
}

static void
read_some(struct lcore *lc, const struct tcp_user *u)
{
	uint32_t len = tcp_rx(u->tc)->len, n = u->nibble != 0 ? u->nibble : len;
	struct chain c;

	if (len == 0 || u->hold)
		return;
	if (u->nibble & 1) { // one half is taken, the other looked at in place
		chain_init(&c);
		if (tcp_rx_take(lc, u->tc, n, &c) == 0)
			chain_free(lc, &c);
		tcp_ack_now(lc, u->tc);
	} else {
		tcp_rx_drop(lc, u->tc, n);
	}
}

void
tcp_live_write(int host)
{
	static const uint8_t text[UNIT];
	struct tcp_user *u = &tl.user[host];
	struct lcore *lc = tl.sim.host[host].lc;

	while (u->tc != NULL && u->feed > 0) {
		uint32_t n = sl_min(u->feed, (uint32_t)UNIT), space = tcp_send_space(u->tc);
		struct chain c;

		n = sl_min(n, space);
		chain_init(&c);
		if (n == 0 || chain_copy_in_mss(lc, &c, text, n, tcp_mss(u->tc)) < 0)
			return;
		u->feed = tcp_send(lc, u->tc, &c) < 0 ? 0 : u->feed - n;
	}
	if (u->tc != NULL && u->ends)
		(void)tcp_shutdown(lc, u->tc);
}

static void
on_event(struct lcore *lc, struct tcp_conn *tc, void *user, uint32_t ev)
{
	int host = host_of(lc);
	struct tcp_user *u = &tl.user[host];

	(void)user;
	MUST(tcp_get_state(tc) < TCP_NR_STATES);
	if (tc != u->tc) {
		if (ev & TCP_EV_READABLE)
			tcp_rx_drop(lc, tc, tcp_rx(tc)->len);
		return;
	}
	read_some(lc, u);
	if (ev & TCP_EV_CLOSED) {
		MUST(tcp_error(tc) >= 0);
		u->tc = NULL;
	} else {
		tcp_live_write(host);
	}
}

static void *
on_accept(struct lcore *lc, void *cookie, struct tcp_conn *tc)
{
	struct tcp_user *u = &tl.user[host_of(lc)];

	if (tc->key.rport % 8 == 7)
		return NULL; // refused
	if (u->tc == NULL)
		u->tc = tc;
	return cookie;
}

static const struct tcp_handler handler = { .accept = on_accept, .event = on_event };

void
tcp_live_connect(int host, bool v6, uint16_t lport, uint16_t rport)
{
	struct sim_host *me = &tl.sim.host[host], *it = &tl.sim.host[1 - host];
	struct ip_port to = { .ip = v6 ? it->v6 : it->v4, .port = rport };
	struct ip_port from = { .ip = v6 ? me->v6 : me->v4, .port = lport };
	struct tcp_conn *tc;

	if (tcp_connect(me->lc, &to, lport != 0 ? &from : NULL, &handler, &tl, &tc) < 0)
		return;
	if (tl.user[host].tc == NULL)
		tl.user[host].tc = tc;
}

/* The path of segments: false: lost. */
static bool
path(struct sim *sim, int from, const struct sim_pkt *p)
{
	(void)sim;
	if (from == 0)
		tl.seen = *p;
	if (!tl.live)
		return false;
	return (tl.lose[from] >> (tl.count[from]++ & 15) & 1) == 0;
}

void
tcp_live_run(uint64_t us)
{
	uint64_t before = tl.sim.steps;

	tl.sim.until_us = tl.sim.now_us + us;
	if (sim_run(&tl.sim, us) < 0) {
		fprintf(stderr, "%s\n", tl.sim.why);
		MUST(!"invariant");
	}
	MUST(tl.sim.steps - before < TCP_LIVE_TURNS);
	tl.sim.until_us = 0;
}

static void
start_once(void)
{
	static bool started;
	struct tcp_conf conf[2];

	if (started)
		return;
	started = true;
	sim_conf(&conf[0]);
	conf[1] = conf[0];
	MUST(sim_start() == 0);
	MUST(sim_open(&tl.sim, 1, conf) == 0);
	MUST(sim_warm(&tl.sim) == 0);
	for (int i = 0; i < 2; i++)
		tcp_detach(tl.sim.host[i].lc);
	tl.budget = tl.sim.host[0].lc->retain_max;
}

static void
listen_at(int host, uint16_t port)
{
	struct ip_port at = { .ip = { .family = ADDR_V4 }, .port = port };

	MUST(tcp_listen(tl.sim.host[host].lc, &at, &handler, &tl) == 0);
	at.ip.family = ADDR_V6;
	MUST(tcp_listen(tl.sim.host[host].lc, &at, &handler, &tl) == 0);
}

void
tcp_live_begin(const struct tcp_conf conf[2])
{
	static const uint64_t secret[2] = { 77, 78 };

	start_once();
	rand_seed(&tl.sim.rand, 1);
	memset(tl.user, 0, sizeof(tl.user));
	memset(&tl.seen, 0, sizeof(tl.seen));
	for (int i = 0; i < 2; i++) {
		rand_seed(&tl.sim.host[i].lc->rand, 1);
		MUST(tcp_attach(tl.sim.host[i].lc, &conf[i], secret) == 0);
		sim_set_mtu(&tl.sim, i, 1500);
		listen_at(i, LIVE_PORT);
		tl.sim.link[i] = (struct sim_link){ .delay_us = 5000 };
		tl.lose[i] = tl.count[i] = 0;
	}
	tl.sim.tap = path;
}

void
tcp_live_end(void)
{
	for (int i = 0; i < 2; i++) {
		struct lcore *lc = tl.sim.host[i].lc;

		lcore_mbuf_fail_in(lc, 0);
		lc->retain_max = tl.budget;
		lc->pressure = PRESSURE_NONE;
		lc->stopping = false;
	}
	tl.live = false;
	// a neighbour unused for ten minutes is forgotten, and asked for again: then packets wait
	while (tl.sim.nheap > 0 || tl.sim.host[0].lc->net->nwait > 0 ||
		tl.sim.host[1].lc->net->nwait > 0)
		tcp_live_run(100000);
	for (int i = 0; i < 2; i++) {
		struct sim_host *h = &tl.sim.host[i];
		uint8_t scrap[SIM_FRAME];

		tcp_detach(h->lc);
		net_flush(h->lc); // its last words
		while (wire_recv(h->wire, 'b', 0, scrap, sizeof(scrap)) >= 0)
			;
		MUST(h->lc->retained == 0);
		MUST(rte_mempool_avail_count(h->pool) == h->level);
	}
}
