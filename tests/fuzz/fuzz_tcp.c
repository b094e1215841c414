// SPDX-License-Identifier: BSD-3-Clause
/*
 * Segments into a live stack: an open connection, a listener, a half-open entry and a TIME_WAIT.
 *
 * The input is a list of steps: a kind, then fields. Segments are built around what the stack
 * expects next (offsets from its numbers), so that checksums and tuples are right and the fuzzer
 * reaches the state machine. After each step tcp_validate()
 * must hold, at the end nothing may be retained. What is below tcp lives on between inputs.
 */
#include "dataplane/net/net_priv.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim.h"

struct in {
	const uint8_t *p;
	size_t n;
};

static struct sim sim;
static struct tcp_conn *conn; // of the application; NULL once closed
static uint16_t client_port;

static uint32_t
take(struct in *in, uint32_t n)
{
	uint32_t v = 0;

	while (n-- > 0) {
		v = v << 8 | (in->n > 0 ? *in->p : 0);
		if (in->n > 0) {
			in->p++;
			in->n--;
		}
	}
	return v;
}

static void
on_event(struct lcore *lc, struct tcp_conn *tc, void *user, uint32_t ev)
{
	(void)user;
	if (ev & TCP_EV_READABLE)
		tcp_rx_drop(lc, tc, tcp_rx(tc)->len / 2 + 1);
	if ((ev & TCP_EV_CLOSED) && tc == conn)
		conn = NULL;
}

static void *
on_accept(struct lcore *lc, void *cookie, struct tcp_conn *tc)
{
	(void)lc;
	if (conn == NULL)
		conn = tc;
	return cookie;
}

static const struct tcp_handler handler = { .accept = on_accept, .event = on_event };

/* Small signed offsets mostly, sometimes anything. */
static uint32_t
near(struct in *in, uint32_t base)
{
	uint32_t how = take(in, 1);

	if (how < 200)
		return base + (uint32_t)(int32_t)(int8_t)take(in, 1);
	return how < 250 ? base + take(in, 2) - 32768 : take(in, 4);
}

static void
segment(struct in *in)
{
	static struct sim_pkt p;
	const struct tcp_conn *tc = conn;
	uint32_t rcv = tc != NULL ? tc->rcv_nxt : 1000001, una = tc != NULL ? tc->snd_una : 1;
	uint32_t bits = take(in, 1);

	memset(&p, 0, sizeof(p));
	tcp_key_set(&p.s.key, &sim.host[1].v4, client_port, &sim.host[0].v4, 80);
	if (tc != NULL) {
		memcpy(p.s.key.l, tc->key.r, 16);
		memcpy(p.s.key.r, tc->key.l, 16);
		p.s.key.lport = tc->key.rport;
		p.s.key.rport = tc->key.lport;
	}
	if ((bits & 0x30) == 0x30)
		p.s.key.lport = (uint16_t)take(in, 1);
	p.s.flags = (uint8_t)take(in, 1);
	p.s.seq = near(in, rcv);
	p.s.ack = near(in, una);
	p.s.wnd = (uint16_t)take(in, 2);
	p.s.len = (uint16_t)(bits & 1 ? take(in, 1) : bits & 2 ? take(in, 2) % 1400 : 0);
	p.s.opts = (uint8_t)((bits & 4 ? TCP_OPT_TS : 0) | (bits & 8 ? TCP_OPT_SACK_OK : 0) |
		(bits & 0x40 ? TCP_OPT_WSCALE : 0));
	p.s.tsval = tc != NULL ? near(in, tc->ts_recent) : take(in, 4);
	p.s.tsecr = take(in, 4);
	p.s.mss = (uint16_t)take(in, 2);
	p.s.wscale = (uint8_t)take(in, 1) & 15;
	p.s.nsack = bits & 0x80 ? (uint8_t)take(in, 1) % 4 : 0;
	for (uint32_t i = 0; i < p.s.nsack; i++) {
		p.s.sack[i].from = near(in, una);
		p.s.sack[i].to = near(in, p.s.sack[i].from);
	}
	sim_inject(&sim, 1, &p);
}

static void
user(struct in *in)
{
	struct lcore *lc = sim.host[0].lc;
	static const uint8_t text[4000];
	struct chain c;

	if (conn == NULL)
		return;
	switch (take(in, 1) % 6) {
	case 0:
		tcp_shutdown(lc, conn);
		break;
	case 1:
		tcp_close(lc, conn);
		conn = NULL;
		break;
	case 2:
		tcp_abort(lc, conn);
		conn = NULL;
		break;
	case 3:
		lcore_mbuf_fail_in(lc, 1 + take(in, 1) % 8);
		break;
	default:
		chain_init(&c);
		if (chain_copy_in_mss(lc, &c, text, take(in, 2) % sizeof(text), 1 + take(in, 2)) ==
			0)
			tcp_send(lc, conn, &c);
		break;
	}
}

/* Nothing of the stack's comes anywhere; its retransmissions are all that answers. */
static bool
nobody(struct sim *s, int from, const struct sim_pkt *p)
{
	(void)s;
	(void)p;
	return from != 0;
}

/* Time jumps from one timer to the next. */
static void
step(uint64_t us)
{
	sim.until_us = sim.now_us + us;
	if (sim_run(&sim, us) < 0) {
		fprintf(stderr, "%s\n", sim.why);
		MUST(!"invariant");
	}
	sim.until_us = 0;
}

/* Fresh tcp on both hosts; all below it lives on, as does the clock. */
static void
fresh(void)
{
	static const uint64_t secret[2] = { 77, 78 };
	static bool started;
	struct tcp_conf conf[2];

	sim_conf(&conf[0]);
	conf[0].rcv_buf = conf[0].snd_buf = 16384;
	conf[1] = conf[0];
	if (!started) {
		MUST(sim_start() == 0);
		MUST(sim_open(&sim, 1, conf) == 0);
		MUST(sim_warm(&sim) == 0);
		sim.tap = nobody;
		started = true;
	}
	for (int i = 0; i < 2; i++) {
		struct sim_host *h = &sim.host[i];
		uint8_t scrap[SIM_FRAME];

		tcp_detach(h->lc);
		net_flush(h->lc); // its last words
		while (wire_recv(h->wire, 'b', 0, scrap, sizeof(scrap)) >= 0)
			;
		MUST(h->lc->retained == 0);
		MUST(rte_mempool_avail_count(h->pool) == h->level);
		MUST(tcp_attach(h->lc, &conf[i], secret) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size };
	struct ip_port at = { .ip = { .family = ADDR_V4 }, .port = 80 };

	fresh();
	conn = NULL;
	client_port = 4000;
	MUST(tcp_listen(sim.host[0].lc, &at, &handler, &sim) == 0);
	if (size > 0 && (data[0] & 1)) {
		struct ip_port to = { .ip = sim.host[1].v4, .port = 80 };
		MUST(tcp_connect(sim.host[0].lc, &to, NULL, &handler, &sim, &conn) == 0);
	}
	for (uint32_t steps = 0; in.n > 0 && steps < 200; steps++) {
		uint32_t kind = take(&in, 1);
		if (kind < 200)
			segment(&in);
		else if (kind < 240)
			user(&in);
		else
			step((uint64_t)take(&in, 1) * 50000);
		step(100);
	}
	lcore_mbuf_fail_in(sim.host[0].lc, 0);
	// a neighbour unused for ten minutes is forgotten, and asked for again: then packets wait
	while (sim.host[0].lc->net->nwait > 0)
		step(100000);
	fresh(); // nothing may be left
	return 0;
}
