// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is lost: duplicates, the retransmission timer, losses of retransmissions; what only came late.
 */
#include "tests/sim/case.h"

static uint32_t to_drop; // the n-th of host 0's data segments from now on; 0: none

static bool
drop_one(struct sim *s, int from, const struct sim_pkt *p)
{
	(void)s;
	return from != 0 || p->s.len == 0 || to_drop == 0 || --to_drop > 0;
}

/* One segment of a flight is lost: sent again after three duplicates, no timeout. */
static void
fast_retransmit(bool sack)
{
	struct ep c = { 0 }, s = { 0 };

	conf.sack = sack;
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
	to_drop = 3;
	sim.tap = drop_one;
	ep_send(&c, 10 * tcp_mss(c.tc));
	run(&sim, 100 * MS);
	assert_int_equal(s.got, 10 * tcp_mss(c.tc));
	assert_false(s.wrong);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_FAST_RETRANS), 1);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RETRANS), 1);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RTO), 0);
	assert_int_equal(sim_stat(&sim, 1, STAT_TCP_OOO), 7);
	assert_int_equal(c.tc->flags & TF_RECOVERY, 0);
	assert_true(c.tc->ssthresh <= 5u * tcp_mss(c.tc) || conf.cc != TCP_CC_NEWRENO);
	case_close(&sim);
}

static void
test_fast_retransmit(void **state)
{
	(void)state;
	for (uint8_t cc = 0; cc < TCP_CC_NR; cc++) {
		conf.cc = cc;
		fast_retransmit(true);
		fast_retransmit(false);
	}
}

/* Two neighbours change places: no retransmission. */
static void
test_reorder(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
	sim.link[0].reorder_ppm = 100000;
	sim.link[0].reorder_us = 50; // by about one or two segments of one burst
	for (int i = 0; i < 40; i++) {
		ep_send(&c, 5000);
		run(&sim, 20 * MS);
	}
	run(&sim, 1 * SEC);
	assert_int_equal(s.got, 200000);
	assert_false(s.wrong);
	assert_true(sim.link[0].reordered > 5);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RTO), 0);
	case_close(&sim);
}

static void
sack_one(struct pup *p, uint32_t from, uint32_t to)
{
	p->out.s.sack[0] = (struct tcp_sack){ from, to };
	p->out.s.nsack = 1;
	pup_send(p, F_ACK, 0);
}

/* RFC 8985: once a path was seen to reorder, a hole gets a quarter of the round trip. */
static void
test_reorder_window(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t base;

	(void)state;
	case_active(&sim, &conf, &c, &p, TCP_OPT_SACK_OK | TCP_OPT_TS);
	for (int flight = 0; flight < 2; flight++) {
		for (int i = 0; i < 40; i++) { // round trips of 40 ms
			ep_send(&c, 100);
			pup_expect(&p, F_ACK, 100, 10 * MS);
			run(&sim, 40 * MS);
			p.ack += 100;
			pup_send(&p, F_ACK, 0);
		}
		base = p.ack;
		c.tc->cwnd = 8 * 1448;
		ep_send(&c, 8 * 1448);
		for (int i = 0; i < 8; i++)
			pup_expect(&p, F_ACK, 1448, 10 * MS);
		run(&sim, 40 * MS);
		sack_one(&p, base + 1448, base + 8 * 1448);
		if (flight == 0) { // nothing known yet: three segments above are enough
			pup_expect(&p, F_ACK, 1448, 1 * MS);
			assert_int_equal(p.in.s.seq, base);
			// the original arrives after all; its timestamp says so
			p.tsecr -= 30;
		} else {
			pup_silence(&p, 4 * MS); // it arrives late
		}
		p.ack = base + 8 * 1448;
		pup_send(&p, F_ACK, 0);
		assert_int_equal(tcp_send_queued(c.tc), 0);
		assert_true(tcp_rec(sim_tcp(&sim, 0), c.tc)->reord);
	}
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RETRANS), 1);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_FAST_RETRANS), 1);
	// the window is no amnesty: what does not come is sent again, long before the RTO
	base = p.ack;
	c.tc->cwnd = 8 * 1448;
	ep_send(&c, 8 * 1448);
	for (int i = 0; i < 8; i++)
		pup_expect(&p, F_ACK, 1448, 10 * MS);
	sack_one(&p, base + 1448, base + 8 * 1448);
	pup_expect(&p, F_ACK, 1448, 100 * MS);
	assert_int_equal(p.in.s.seq, base);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RTO), 0);
	case_close(&sim);
}

/* The retransmission is lost too: later segments that arrive tell, without a timeout. */
static void
test_lost_retransmission(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t base;

	(void)state;
	case_active(&sim, &conf, &c, &p, TCP_OPT_SACK_OK);
	base = p.ack;
	ep_send(&c, 1460);
	pup_expect(&p, F_ACK, 1460, 10 * MS);
	run(&sim, 20 * MS);
	p.ack = base = base + 1460;
	pup_send(&p, F_ACK, 0);
	c.tc->cwnd = 11 * 1460;
	ep_send(&c, 20 * 1460);
	for (int i = 0; i < 11; i++)
		pup_expect(&p, F_ACK, 1460, 10 * MS);
	run(&sim, 20 * MS);
	sack_one(&p, base + 1460, base + 11 * 1460);
	pup_expect(&p, F_ACK, 1460, 1 * MS);
	assert_int_equal(p.in.s.seq, base);
	run(&sim, 20 * MS);
	while (pup_next(&p, 0)) { // new data that followed
	}
	assert_true(seq_gt(p.in.s.seq, base + 10 * 1460));
	run(&sim, 20 * MS);
	sack_one(&p, base + 1460, base + 12 * 1460);
	pup_expect(&p, F_ACK, 1460, 10 * MS);
	assert_int_equal(p.in.s.seq, base);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RTO), 0);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_FAST_RETRANS), 1);
	case_close(&sim);
}

/* Karn: after a timeout only an echo of the retransmission is a sample and ends the back-off. */
static void
test_karn(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t first, srtt;

	(void)state;
	case_active(&sim, &conf, &c, &p, TCP_OPT_SACK_OK | TCP_OPT_TS);
	srtt = tcp_srtt_us(c.tc);
	for (int echo_new = 0; echo_new < 2; echo_new++) {
		ep_send(&c, 100);
		pup_expect(&p, F_ACK, 100, 10 * MS);
		first = p.tsecr;
		pup_expect(&p, F_ACK, 100, 2 * SEC);
		assert_int_equal(c.tc->backoff, 1 + echo_new);
		if (!echo_new)
			p.tsecr = first; // the ACK of the first one was lost
		p.ack = p.in.s.seq + 100;
		pup_send(&p, F_ACK, 0);
		assert_int_equal(tcp_send_queued(c.tc), 0);
		assert_int_equal(c.tc->backoff, echo_new ? 0 : 1);
		assert_true(tcp_srtt_us(c.tc) <= srtt + 2000);
	}
	case_close(&sim);
}

/* The path goes dark: 1, 2, 4 … times the RTO, then ETIMEDOUT. */
static void
test_backoff(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint64_t last, gap, want;

	(void)state;
	conf.data_retries = 5;
	case_active(&sim, &conf, &c, &p, TCP_OPT_TS);
	ep_send(&c, 100);
	pup_expect(&p, F_ACK, 100, 10 * MS);
	last = sim.now_us;
	want = tcp_rto_ms(sim_tcp(&sim, 0), c.tc) * MS;
	assert_in_range(want, 200 * MS, 250 * MS);
	for (int i = 0; i < 5; i++) {
		pup_expect(&p, F_ACK, 100, 60 * SEC);
		gap = sim.now_us - last;
		assert_in_range(gap, want - 2 * MS, want + 5 * MS);
		last = sim.now_us;
		want *= 2;
	}
	assert_int_equal(c.tc->cwnd, c.tc->mss);
	pup_silence(&p, 60 * SEC);
	assert_null(c.tc);
	assert_int_equal(c.err, ETIMEDOUT);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RTO), 5);
	case_close(&sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_fast_retransmit),
		T(test_reorder),
		T(test_reorder_window),
		T(test_lost_retransmission),
		T(test_karn),
		T(test_backoff),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
