// SPDX-License-Identifier: BSD-3-Clause
/*
 * Cycles (wall TSC) that a download costs its sender, by who cuts it into segments: output of TCP and
 * net, without the wire's copying, which a device does by DMA.
 *
 * Two simulated stacks; host 0 sends 64 MB out of buffers that lie as received ones do. Rows: checksums
 * and segments by us; checksums by the device; segments by the device too. Prints the median and the
 * spread of 9 rounds of each, one row a line. Not a test: asserts nothing about time.
 */
#include <rte_cycles.h>
#include <rte_ethdev.h>

#include <stdlib.h>

#include "tests/sim/peer.h"

#define ROUNDS 9
#define BYTES  (64u << 20)
#define LOOP   (256u << 10) // handed to TCP in one loop, at most

enum row { SOFT, SUMS, TSO, ROWS };

static struct sim sim;
static uint64_t cycles, segments;

/* What leaves host `from` reaches the other one at once. */
static void
carry(int from)
{
	uint8_t d[SIM_FRAME];
	int len;

	while ((len = wire_recv(sim.host[from].wire, 'b', 0, d, sizeof(d))) > 0)
		wire_send(sim.host[1 - from].wire, 'b', 0, d, (uint32_t)len);
}

static void
receive(struct sim_host *h)
{
	struct rte_mbuf *m[32];
	uint16_t n;

	while ((n = rte_eth_rx_burst(h->ports.port[0].ethdev, 0, m, 32)) > 0)
		net_input(h->lc, 0, m, n);
	tcp_run_events(h->lc);
	wheel_advance(&h->lc->wheel, h->lc->now, 64, h->lc);
	tcp_run_events(h->lc);
}

static void
offer(struct ep *e, uint64_t *left)
{
	struct lcore *lc = sim.host[0].lc;
	uint32_t room = sl_min(tcp_send_space(e->tc), LOOP);
	struct chain c;

	chain_init(&c);
	while (room >= e->tc->mss && *left > 0) {
		struct rte_mbuf *m = lcore_mbuf(lc);
		uint32_t n = (uint32_t)sl_min((uint64_t)e->tc->mss, *left);

		if (m == NULL)
			break;
		rte_pktmbuf_append(m, (uint16_t)n);
		chain_push(&c, m);
		room -= n;
		*left -= n;
	}
	tcp_send(lc, e->tc, &c);
}

static void
output(struct sim_host *h, bool counted)
{
	uint64_t wire = wire_cycles(h->wire, 'a', 0), out = counter_get(&h->lc->stat[STAT_TCP_OUT]);
	uint64_t start = rte_rdtsc(), took;

	tcp_run_output(h->lc);
	net_flush(h->lc);
	took = rte_rdtsc() - start - (wire_cycles(h->wire, 'a', 0) - wire);
	if (!counted)
		return;
	cycles += took;
	segments += counter_get(&h->lc->stat[STAT_TCP_OUT]) - out;
}

static void
sink(struct lcore *lc, struct tcp_conn *tc, void *user, uint32_t ev)
{
	struct ep *e = user;
	struct chain c;

	chain_init(&c);
	if (tcp_rx(tc)->len > 0 && tcp_rx_take(lc, tc, tcp_rx(tc)->len, &c) == 0) {
		e->got += c.len;
		chain_free(lc, &c);
	}
	e->events |= ev;
}

static void *
on_accept(struct lcore *lc, void *cookie, struct tcp_conn *tc)
{
	struct ep *e = cookie;

	(void)lc;
	e->tc = tc;
	return e;
}

static const struct tcp_handler handler = { .accept = on_accept, .event = sink };

static bool
download(enum row row)
{
	struct ip_port at = { .ip = { .family = ADDR_V4 }, .port = 80 };
	struct ip_port to = { .ip = sim.host[1].v4, .port = 80 };
	struct ep s = { 0 }, c = { 0 };
	uint64_t left = BYTES;
	struct tcp_conf conf[2];

	cycles = segments = 0;
	sim_conf(&conf[0]);
	conf[0].rcv_buf = conf[0].snd_buf = 1 << 20;
	conf[1] = conf[0];
	if (sim_open(&sim, 1, conf) < 0 || sim_warm(&sim) < 0)
		return false;
	to.ip = sim.host[1].v4;
	if (row != TSO) {
		sim.host[0].ports.port[0].offloads &= ~PORT_O_TX_TSO;
		sim_tcp(&sim, 0)->tso = false;
	}
	if (row == SOFT)
		sim.host[0].ports.port[0].offloads &= ~(PORT_O_TX_TCPCSUM | PORT_O_TX_IPCSUM);
	if (tcp_listen(sim.host[1].lc, &at, &handler, &s) < 0 ||
		tcp_connect(sim.host[0].lc, &to, NULL, &handler, &c, &c.tc) < 0)
		return false;
	sim_run(&sim, 100 * MS);
	for (uint32_t i = 0; s.got < BYTES && i < 1000000; i++) {
		receive(&sim.host[0]);
		offer(&c, &left);
		output(&sim.host[0], true);
		carry(0);
		receive(&sim.host[1]);
		output(&sim.host[1], false);
		carry(1);
		sim.now_us += 100;
		for (int k = 0; k < 2; k++)
			lcore_set_clock(sim.host[k].lc, sim.now_us, sim.now_us);
	}
	tcp_abort(sim.host[0].lc, c.tc);
	sim_run(&sim, 100 * MS);
	return sim_close(&sim) == 0 && s.got == BYTES;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int
main(void)
{
	static const char *const names[ROWS] = { "all by us", "checksums by the device",
		"segments by the device" };

	setenv("SIM_TSO", "44", 1);
	if (sim_start() < 0)
		return 1;
	for (int row = 0; row < ROWS; row++) {
		double per_kb[ROUNDS];

		for (int i = 0; i < ROUNDS; i++) {
			if (!download(row)) {
				fprintf(stderr, "%s: it failed: %s\n", names[row], sim.why);
				return 1;
			}
			per_kb[i] = (double)cycles / (BYTES / 1024);
		}
		qsort(per_kb, ROUNDS, sizeof(per_kb[0]), by_value);
		printf("%-24s cycles_per_kib=%.1f min=%.1f max=%.1f cycles_per_segment=%.0f\n", names[row],
			per_kb[ROUNDS / 2], per_kb[0], per_kb[ROUNDS - 1],
			per_kb[ROUNDS / 2] * (BYTES / 1024) / (double)segments);
	}
	sim_stop();
	return 0;
}
