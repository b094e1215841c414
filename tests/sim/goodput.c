// SPDX-License-Identifier: BSD-3-Clause
/*
 * How fast long streams are over paths that lose, reorder, duplicate or queue, against what theory says,
 * and how much is sent in vain for it. All by seed and in virtual time.
 *
 * usage: sim_goodput, or sim_goodput --figures for the table of docs/tcp.md.
 *
 * Where losses are random, the window of NewReno is 1.2 / sqrt(p) segments (Mathis et al. 1997), that
 * of CUBIC the same in its Reno-friendly region. A stream far below has a fault in its recovery; one far
 * above does not take losses for what they are.
 */
#include "tests/sim/peer.h"

#include <stdlib.h>

#define MB   (1u << 20)

static struct sim sim;
static uint32_t to_send;
static struct ep client, server;

static bool waits; // for being told that there is room, as the proxy does

/* Keeps the send queue full. */
static void
feed(struct sim *s, int host)
{
	uint32_t n;

	(void)s;
	if (host != 0 || client.tc == NULL || to_send == 0 ||
		(waits && client.sent > 0 && !(client.events & TCP_EV_WRITABLE)))
		return;
	client.events &= ~(uint32_t)TCP_EV_WRITABLE;
	n = tcp_send_space(client.tc) / tcp_mss(client.tc) * tcp_mss(client.tc);
	n = sl_min(n, to_send);
	if (n > 0 && ep_send(&client, n) == 0)
		to_send -= n;
}

struct figures {
	double mbit;
	uint64_t lost, retrans, rto;
};

static struct figures
stream(enum tcp_cc_id cc, const struct sim_link *link, uint32_t bytes, uint64_t seed, uint32_t buf)
{
	struct tcp_conf conf;
	struct figures f;
	uint64_t t0;

	sim_conf(&conf);
	conf.rcv_buf = conf.snd_buf = buf;
	conf.cc = cc;
	case_open_seed(&sim, seed, &conf);
	client = server = (struct ep){ 0 };
	sim.link[0].delay_us = sim.link[1].delay_us = link->delay_us;
	pair(&sim, false, &client, &server);
	sim.app = feed;
	sim.link[0] = sim.link[1] = *link;
	to_send = bytes;
	t0 = sim.now_us;
	while (server.got < bytes && sim.now_us - t0 < 300 * SEC)
		assert_int_equal(sim_step(&sim), 0);
	assert_int_equal(server.got, bytes);
	assert_false(server.wrong);
	f = (struct figures){ .mbit = bytes * 8.0 / (double)(sim.now_us - t0),
		.lost = sim.link[0].lost + sim.link[0].overflow,
		.retrans = sim_stat(&sim, 0, STAT_TCP_RETRANS),
		.rto = sim_stat(&sim, 0, STAT_TCP_RTO) };
	sim.link[0] = sim.link[1] = (struct sim_link){ .delay_us = 1000 };
	sim.app = NULL;
	case_close(&sim);
	return f;
}

/* Round trip 20 ms; window and buffers 1 MiB, so 420 Mbit/s at the most. */
static const struct path {
	const char *name;
	struct sim_link link;
	uint32_t needless; // retransmissions per thousand segments beyond what was lost
	struct {
		double least, most; // Mbit/s
	} cc[TCP_CC_NR];
} paths[] = {
	// newreno, westwood, cubic, bbr
	{ "clean", { .delay_us = 10000 }, 0,
		{ { 190, 420 }, { 190, 420 }, { 190, 420 }, { 190, 420 } } },
	{ "0.1 % loss", { .delay_us = 10000, .loss_ppm = 1000 }, 1,
		{ { 11, 45 }, { 40, 420 }, { 11, 60 }, { 130, 420 } } },
	{ "1 % loss", { .delay_us = 10000, .loss_ppm = 10000 }, 2,
		{ { 3.5, 14 }, { 20, 420 }, { 3.5, 14 }, { 90, 420 } } },
	{ "3 % loss", { .delay_us = 10000, .loss_ppm = 30000 }, 2,
		{ { 1.8, 8 }, { 20, 420 }, { 1.8, 8 }, { 80, 420 } } },
	{ "5 % loss", { .delay_us = 10000, .loss_ppm = 50000 }, 2,
		{ { 1.2, 6 }, { 15, 420 }, { 1.2, 6 }, { 60, 420 } } },
	{ "5 % reordered", { .delay_us = 10000, .reorder_ppm = 50000, .reorder_us = 6000 }, 1,
		{ { 150, 420 }, { 150, 420 }, { 150, 420 }, { 150, 420 } } },
	// where a retransmission fills a hole, PAWS takes late originals behind it for old ones
	{ "1 % loss, 5 % reordered",
		{ .delay_us = 10000, .loss_ppm = 10000, .reorder_ppm = 50000, .reorder_us = 6000 }, 12,
		{ { 3.5, 20 }, { 40, 420 }, { 3.5, 20 }, { 65, 420 } } },
	{ "2 % duplicated", { .delay_us = 10000, .dup_ppm = 20000 }, 1,
		{ { 150, 420 }, { 150, 420 }, { 150, 420 }, { 150, 420 } } },
	{ "20 Mbit/s, queue 40 ms", { .delay_us = 10000, .mbit = 20, .queue_us = 40000 }, 1,
		{ { 16, 20 }, { 16, 20 }, { 16, 20 }, { 16, 20 } } },
};

static void
test_goodput(void **state)
{
	bool bad = false;

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(paths); i++) {
		const struct path *p = &paths[i];

		for (uint32_t cc = 0; cc < TCP_CC_NR; cc++) {
			struct figures f = stream(cc, &p->link, 8 * MB, 1, MB);
			uint64_t most = f.lost + 8 * MB / 1428 * p->needless / 1000;

			if (f.mbit >= p->cc[cc].least && f.mbit <= p->cc[cc].most &&
				f.retrans <= most + f.rto)
				continue;
			print_error("%s, %s: %.1f Mbit/s, not %.1f to %.1f; %llu sent again, not %llu\n",
				p->name, tcp_cc_algos[cc]->name, f.mbit, p->cc[cc].least,
				p->cc[cc].most, (unsigned long long)f.retrans,
				(unsigned long long)most);
			bad = true;
		}
	}
	assert_false(bad);
}

/*
 * How many of short streams are slow? Where BBR meets losses before it has found the path's rate, it must
 * not take a round in which it held back for the path's answer.
 */
static const struct spread {
	const char *name;
	uint32_t loss_ppm, bytes;
	double least, tenth, median; // Mbit/s
} spreads[] = {
	{ "2 % loss", 20000, 3 * MB, 25, 29.5, 34 },
	{ "5 % loss", 50000, 2 * MB, 12, 18.3, 22.5 },
};

#define SEEDS 60

static int
by_rate(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
test_spread(void **state)
{
	(void)state;
	waits = true;
	for (size_t i = 0; i < SL_ARRAY_SIZE(spreads); i++) {
		const struct spread *s = &spreads[i];
		struct sim_link link = { .delay_us = 25000, .loss_ppm = s->loss_ppm };
		double mbit[SEEDS];

		for (uint64_t seed = 0; seed < SEEDS; seed++)
			mbit[seed] = stream(TCP_CC_BBR, &link, s->bytes, seed + 1, 2 * MB).mbit;
		qsort(mbit, SEEDS, sizeof(mbit[0]), by_rate);
		print_message("%s: the slowest %.1f, a tenth below %.1f, half below %.1f Mbit/s\n", s->name,
			mbit[0], mbit[SEEDS / 10], mbit[SEEDS / 2]);
		assert_true(mbit[0] >= s->least);
		assert_true(mbit[SEEDS / 10] >= s->tenth);
		assert_true(mbit[SEEDS / 2] >= s->median);
	}
	waits = false;
}

static int
figures(void)
{
	if (group_start(NULL) != 0)
		return 1;
	for (size_t i = 0; i < SL_ARRAY_SIZE(paths); i++) {
		for (uint32_t cc = 0; cc < TCP_CC_NR; cc++) {
			struct figures f = stream(cc, &paths[i].link, 8 * MB, 1, MB);
			printf("%-24s %-9s %6.1f Mbit/s, lost %llu, sent again %llu, timeouts %llu\n",
				paths[i].name, tcp_cc_algos[cc]->name, f.mbit,
				(unsigned long long)f.lost, (unsigned long long)f.retrans,
				(unsigned long long)f.rto);
		}
	}
	return group_stop(NULL);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goodput),
		cmocka_unit_test(test_spread),
	};

	if (argc > 1 && strcmp(argv[1], "--figures") == 0)
		return figures();
	return cmocka_run_group_tests(tests, group_start, group_stop);
}
