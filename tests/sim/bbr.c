// SPDX-License-Identifier: BSD-3-Clause
/*
 * BBR and pacing: what the model learns of a path, and what follows from it.
 */
#include "tests/sim/peer.h"

static struct sim sim;
static struct tcp_conf conf;
static struct ep client, server;
static uint32_t keep; // bytes that the writer keeps queued; 0: none

static void
feed(struct sim *s, int host)
{
	uint32_t mss;

	(void)s;
	if (host != 0 || client.tc == NULL || keep == 0)
		return;
	mss = tcp_mss(client.tc);
	for (uint32_t q = tcp_send_queued(client.tc);
		q + mss <= keep && tcp_send_space(client.tc) >= mss; q += mss)
		ep_send(&client, mss);
}

/* A path of 20 ms and a line of so many Mbit/s (0: none) in front of a queue of so many ms. */
static void
start(uint32_t mbit, uint32_t queue_ms, uint32_t loss_ppm)
{
	sim_conf(&conf);
	conf.rcv_buf = conf.snd_buf = 1 << 20;
	conf.cc = TCP_CC_BBR;
	case_open(&sim, &conf);
	client = server = (struct ep){ 0 };
	sim.link[0].delay_us = sim.link[1].delay_us = 10000;
	pair(&sim, false, &client, &server);
	for (int i = 0; i < 2; i++)
		sim.link[i] = (struct sim_link){ .delay_us = 10000,
			.mbit = mbit,
			.queue_us = queue_ms * 1000,
			.loss_ppm = loss_ppm };
	sim.app = feed;
	keep = 1 << 20;
}

static void
stop(void)
{
	keep = 0;
	for (int i = 0; i < 2; i++)
		sim.link[i] = (struct sim_link){ .delay_us = 1000 };
	run(&sim, 3 * SEC);
	assert_false(server.wrong);
	assert_int_equal(server.got, client.sent);
	case_close(&sim);
}

static const struct tcp_rec *
rec(void)
{
	const struct tcp_rec *r = tcp_rec(sim_tcp(&sim, 0), client.tc);

	assert_non_null(r);
	return r;
}

/* Payload of the line's rate, bytes/s: frames are 1500 + 14 + 24 bytes for 1416 of payload. */
static uint32_t
line(uint32_t mbit)
{
	return (uint32_t)((uint64_t)mbit * 125000 * 1416 / 1538 / 100 * 100);
}

/* Mbit/s that arrive in so long. */
static double
goodput(uint64_t us)
{
	uint64_t got = server.got;

	run(&sim, us);
	return (double)(server.got - got) * 8 / (double)us;
}

/* It finds the rate of the line, fills it, and leaves the queue short. */
static void
test_finds_the_rate(void **state)
{
	(void)state;
	for (uint32_t mbit = 5; mbit <= 80; mbit *= 4) {
		start(mbit, 200, 0);
		run(&sim, 2 * SEC);
		assert_true(rec()->bbr.full);
		assert_in_range(
			rec()->bbr.bw[0], line(mbit) * 95ull / 100, line(mbit) * 108ull / 100);
		assert_in_range(rec()->bbr.min_rtt, 20000, 24000);
		assert_true(goodput(2 * SEC) > mbit * 0.85);
		// CUBIC would fill the 200 ms
		assert_true(client.tc->srtt >> 3 < 45000);
		stop();
	}
}

/* The line gets slower, and faster: the model follows within some ten round trips. */
static void
test_follows_the_rate(void **state)
{
	(void)state;
	start(40, 100, 0);
	run(&sim, 2 * SEC);
	sim.link[0].mbit = 10;
	run(&sim, 3 * SEC);
	assert_in_range(rec()->bbr.bw[0], line(10) * 90ull / 100, line(10) * 115ull / 100);
	sim.link[0].mbit = 40;
	run(&sim, 4 * SEC);
	assert_in_range(rec()->bbr.bw[0], line(40) * 90ull / 100, line(40) * 115ull / 100);
	stop();
}

/* Random losses do not slow it down. */
static void
test_random_loss(void **state)
{
	static const uint32_t loss[] = { 10000, 30000, 50000 };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(loss); i++) {
		start(20, 100, loss[i]);
		run(&sim, 2 * SEC);
		assert_true(goodput(4 * SEC) > 20 * 0.75);
		stop();
	}
}

/* Nothing is acknowledged any more: two products of rate and round trip are on their way, no more. */
static void
test_flight_bounded(void **state)
{
	uint64_t product = line(20) * 22 / 1000; // 20 ms, and a little queue

	(void)state;
	start(20, 200, 0);
	run(&sim, 2 * SEC);
	sim.down = true;
	run(&sim, 170 * MS);
	assert_true(client.tc->snd_nxt - client.tc->snd_una <= 5 * product / 2);
	sim.down = false;
	run(&sim, 1 * SEC);
	stop();
}

/* A queue that is shorter than its bursts would be: pacing keeps what it loses small. */
static void
test_short_queue(void **state)
{
	uint64_t lost;

	(void)state;
	start(40, 15, 0);
	run(&sim, 2 * SEC);
	lost = sim.link[0].overflow;
	assert_true(goodput(4 * SEC) > 40 * 0.8);
	assert_true(sim.link[0].overflow - lost < 4 * line(40) / 1416 / 20); // a twentieth
	stop();
}

static uint64_t sent_at, burst, burst_most; // of the running tick

static bool
count_bursts(struct sim *s, int from, const struct sim_pkt *p)
{
	if (from != 0)
		return true;
	if (s->now_us / 1000 != sent_at)
		burst = 0;
	sent_at = s->now_us / 1000;
	burst += p->s.len;
	burst_most = sl_max(burst_most, burst);
	return true;
}

/* What leaves in a millisecond is no more than two of the rate, and two segments. */
static void
test_paced(void **state)
{
	(void)state;
	start(40, 100, 0);
	run(&sim, 2 * SEC);
	burst_most = 0;
	sim.tap = count_bursts;
	run(&sim, 2 * SEC);
	sim.tap = NULL;
	assert_true(burst_most > 1000);
	// 5/4 of the rate while it probes
	assert_true(burst_most <= line(40) / 1000 * 2 * 5 / 4 + 2 * 1416);
	stop();
}

/* A worker that gets the CPU late makes up for it: its own absence is not the path's rate. */
static void
test_late_worker(void **state)
{
	(void)state;
	start(40, 100, 0);
	run(&sim, 2 * SEC);
	sim.host[0].away_us = 8000;
	run(&sim, 4 * SEC);
	assert_true(goodput(4 * SEC) > 40 * 0.75);
	sim.host[0].away_us = 0;
	stop();
}

/* Nor is one that is away for longer, on a path that is longer still. */
static void
test_later_worker(void **state)
{
	(void)state;
	start(40, 200, 0);
	for (int i = 0; i < 2; i++)
		sim.link[i].delay_us = 25000;
	run(&sim, 2 * SEC);
	sim.host[0].away_us = 35000;
	run(&sim, 6 * SEC);
	assert_true(goodput(6 * SEC) > 10); // 0.7 where what it missed was forgotten
	sim.host[0].away_us = 0;
	stop();
}

/* Every ten seconds the window goes down to four segments, to see the path without a queue. */
static void
test_probe_rtt(void **state)
{
	uint32_t least = UINT32_MAX;
	double before;

	(void)state;
	start(20, 100, 0);
	run(&sim, 2 * SEC);
	before = goodput(2 * SEC);
	sim.link[0].delay_us = 15000; // the shortest round trip is never seen again
	for (uint64_t t = 0; t < 11 * SEC; t += 50 * MS) {
		run(&sim, 50 * MS);
		least = sl_min(least, client.tc->cwnd);
	}
	assert_true(least <= 4u * tcp_mss(client.tc));
	assert_in_range(rec()->bbr.min_rtt, 25000, 28000);
	assert_true(goodput(2 * SEC) > before * 0.9);
	stop();
}

/* A writer with little to say does not make the path look slow. */
static void
test_app_limited(void **state)
{
	uint32_t bw;

	(void)state;
	start(40, 100, 0);
	run(&sim, 2 * SEC);
	bw = rec()->bbr.bw[0];
	keep = 0;
	run(&sim, 1 * SEC);
	for (int i = 0; i < 100; i++) {
		ep_send(&client, 2 * tcp_mss(client.tc));
		run(&sim, 25 * MS);
	}
	assert_true(rec()->bbr.bw[0] >= bw / 10 * 9);
	stop();
}

/* A timeout: one segment, and when that is repaired the old window at the old rate. */
static void
test_timeout(void **state)
{
	uint32_t before;

	(void)state;
	start(20, 100, 0);
	run(&sim, 2 * SEC);
	before = client.tc->cwnd;
	sim.down = true;
	run(&sim, 500 * MS);
	assert_true(sim_stat(&sim, 0, STAT_TCP_RTO) >= 1);
	assert_true(client.tc->cwnd <= 4u * tcp_mss(client.tc));
	sim.down = false;
	run(&sim, 2 * SEC);
	assert_true(client.tc->cwnd >= before / 2);
	assert_true(goodput(2 * SEC) > 20 * 0.8);
	stop();
}

/* What never fills its window costs no block. */
static void
test_short_flows_need_none(void **state)
{
	(void)state;
	start(0, 0, 0);
	keep = 0;
	ep_send(&client, 4 * tcp_mss(client.tc));
	run(&sim, 1 * SEC);
	assert_int_equal(client.tc->rec, TCP_NONE); // no block, and no pacing
	assert_false(client.tc->flags & TF_PACED);
	stop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_the_rate),
		cmocka_unit_test(test_follows_the_rate),
		cmocka_unit_test(test_random_loss),
		cmocka_unit_test(test_flight_bounded),
		cmocka_unit_test(test_short_queue),
		cmocka_unit_test(test_paced),
		cmocka_unit_test(test_late_worker),
		cmocka_unit_test(test_later_worker),
		cmocka_unit_test(test_probe_rtt),
		cmocka_unit_test(test_app_limited),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_short_flows_need_none),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
