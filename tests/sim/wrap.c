// SPDX-License-Identifier: BSD-3-Clause
/*
 * Numbers that wrap: sequence numbers at 2^32, the clock of ticks after 49.7 days, timestamps.
 */
#include "tests/sim/peer.h"

#define TICK_WRAP_US ((1ull << 32) * 1000)
#define DAY          (86400 * SEC)

static struct sim sim;
static struct tcp_conf conf;

static int
reset(void **state)
{
	(void)state;
	sim_conf(&conf);
	sim_begin_us = 100 * SEC;
	return 0;
}

/* Waits in long steps. */
static void
wait_long(uint64_t us)
{
	uint64_t end = sim.now_us + us;

	while (sim.now_us < end) {
		sim.until_us = end;
		if (sim_step(&sim) < 0)
			fail_msg("%s", sim.why);
	}
	sim.until_us = 0;
}

/* Our numbers wrap in mid-stream, with losses around it. */
static void
test_send_sequence(void **state)
{
	(void)state;
	for (uint32_t before = 0; before < 40000; before += 1700) {
		struct ep c = { 0 }, s = { 0 };

		case_open(&sim, &conf);
		ep_listen(&sim, 1, 80, false, &s);
		assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
		c.tc->snd_una = UINT32_MAX - before;
		c.tc->snd_nxt = c.tc->snd_end = c.tc->snd_una + 1;
		run(&sim, 100 * MS);
		assert_int_equal(tcp_get_state(c.tc), TCP_ESTABLISHED);
		sim.link[0].loss_ppm = sim.link[1].loss_ppm = 50000;
		ep_send(&c, 100000);
		run(&sim, 10 * SEC);
		assert_int_equal(s.got, 100000);
		assert_false(s.wrong);
		assert_true(c.tc->snd_una < 200000);
		case_close(&sim);
	}
}

/* The peer's numbers wrap: in order, out of order, in SACK blocks, at the window's edge. */
static void
test_receive_sequence(void **state)
{
	struct ep s = { 0 };
	struct pup p;
	uint32_t first;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_init(&p, &sim, 80, 4000, false);
	p.out.s.mss = 1460;
	p.out.s.opts = TCP_OPT_SACK_OK;
	first = p.seq = UINT32_MAX - 250;
	pup_send(&p, F_SYN, 0);
	pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	p.ack = p.in.s.seq + 1;
	pup_send(&p, F_ACK, 0);
	pup_send_at(&p, p.seq + 100, F_ACK, 300); // across 0
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, first + 1);
	assert_int_equal(p.in.s.sack[0].from, first + 101);
	assert_int_equal(p.in.s.sack[0].to, first + 401);
	pup_send_at(&p, p.seq + 500, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.nsack, 2);
	pup_send(&p, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, first + 401);
	p.seq = first + 401;
	pup_send(&p, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, first + 601);
	assert_int_equal(s.got, 600);
	// old and far segments around the wrap are neither taken nor mistaken
	pup_send_at(&p, first - 5000, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	pup_send_at(&p, first + (1u << 31), F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, first + 601);
	assert_int_equal(s.got, 600);
	case_close(&sim);
}

/* A retransmission timer that is set before the clock's wrap and due after it. */
static void
test_timer_across_wrap(void **state)
{
	(void)state;
	for (uint64_t early = 0; early < 400 * MS; early += 37 * MS) {
		struct ep c = { 0 }, s = { 0 };

		sim_begin_us = TICK_WRAP_US - 10 * SEC;
		case_open(&sim, &conf);
		pair(&sim, false, &c, &s);
		run(&sim, TICK_WRAP_US - early - sim.now_us);
		sim.down = true;
		ep_send(&c, 5000);
		run(&sim, 100 * MS);
		sim.down = false;
		run(&sim, 2 * SEC);
		assert_int_equal(s.got, 5000);
		assert_non_null(c.tc);
		ep_close(&c);
		ep_close(&s);
		run(&sim, 10 * SEC);
		assert_int_equal(sim_tcp(&sim, 0)->conns.used + sim_tcp(&sim, 0)->tws.used, 0);
		case_close(&sim);
	}
}

/* 30 days of silence across the clock's wrap: keepalive goes on, then data flows. */
static void
test_thirty_days(void **state)
{
	static const struct tcp_keepalive k = { 0 };
	struct ep c = { 0 }, s = { 0 };
	uint64_t probes;

	(void)state;
	sim_begin_us = TICK_WRAP_US - 15 * DAY;
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
	tcp_set_keepalive(sim.host[0].lc, c.tc, &k);
	wait_long(30 * DAY);
	assert_non_null(c.tc);
	assert_non_null(s.tc);
	probes = sim_stat(&sim, 0, STAT_TCP_KEEP_PROBES);
	assert_in_range(probes, 30 * 12 - 2, 30 * 12 + 2);
	ep_send(&c, 30000);
	ep_send(&s, 30000);
	run(&sim, 1 * SEC);
	assert_int_equal(s.got, 30000);
	assert_int_equal(c.got, 30000);
	ep_close(&c);
	ep_close(&s);
	run(&sim, 10 * SEC);
	assert_int_equal(sim_tcp(&sim, 0)->conns.used + sim_tcp(&sim, 1)->conns.used, 0);
	case_close(&sim);
}

/* The same without keepalive, and without a word: nothing times out by itself. */
static void
test_thirty_days_idle(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	sim_begin_us = TICK_WRAP_US - 3 * DAY;
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
	wait_long(30 * DAY);
	ep_send(&c, 30000);
	ep_send(&s, 30000);
	run(&sim, 2 * SEC);
	assert_int_equal(s.got, 30000);
	assert_int_equal(c.got, 30000);
	case_close(&sim);
}

/* RFC 7323 5.5: after 24 days an older timestamp is no reason to refuse; before, it is. */
static void
test_paws_24_days(void **state)
{
	(void)state;
	for (int late = 0; late < 2; late++) {
		struct ep s = { 0 };
		struct pup p;

		case_passive(&sim, &conf, &s, &p, TCP_OPT_TS);
		sim.steal = false;
		wait_long(late ? 25 * DAY : 20 * DAY);
		sim.steal = true;
		p.tsval -= 4000;
		pup_send(&p, F_ACK, 100);
		assert_int_equal(s.got, late ? 100 : 0);
		assert_int_equal(sim_drop(&sim, 0, DROP_TCP_PAWS), late ? 0 : 1);
		if (late) { // it counts from there again
			pup_expect(&p, F_ACK, 0, 100 * MS);
			p.tsval++;
			pup_send(&p, F_ACK, 100);
			p.tsval -= 2;
			pup_send_at(&p, p.seq, F_ACK, 100);
			assert_int_equal(s.got, 200);
			assert_int_equal(sim_drop(&sim, 0, DROP_TCP_PAWS), 1);
		}
		case_close(&sim);
	}
}

/* The peer's timestamps wrap. */
static void
test_timestamp_wrap(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_init(&p, &sim, 80, 4000, false);
	p.out.s.mss = 1460;
	p.out.s.opts = TCP_OPT_TS;
	p.tsval = UINT32_MAX - 1;
	pup_send(&p, F_SYN, 0);
	pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	p.ack = p.in.s.seq + 1;
	p.ts = true;
	for (int i = 0; i < 4; i++) {
		p.tsval++;
		pup_send(&p, F_ACK, 100);
		pup_expect(&p, F_ACK, 0, 100 * MS);
		assert_int_equal(p.in.s.tsecr, p.tsval);
	}
	assert_int_equal(s.got, 400);
	assert_int_equal(s.tc->ts_recent, 2);
	p.tsval = UINT32_MAX - 1; // old by then
	pup_send_at(&p, p.seq, F_ACK, 100);
	assert_int_equal(s.got, 400);
	case_close(&sim);
}

#define T(f) cmocka_unit_test_setup(f, reset)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_send_sequence),
		T(test_receive_sequence),
		T(test_timer_across_wrap),
		T(test_thirty_days),
		T(test_thirty_days_idle),
		T(test_paws_24_days),
		T(test_timestamp_wrap),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
