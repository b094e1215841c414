// SPDX-License-Identifier: BSD-3-Clause
/*
 * Single lines of the RFCs that no other file's subject covers: small segments at once, a closed
 * window's input, timestamps on everything, what restarts a timer, what a retransmission hides.
 */
#include "tests/sim/case.h"

static void
acked(struct pup *p, uint32_t seq)
{
	p->ack = seq;
	pup_send(p, F_ACK, 0);
}

/* RFC 9293 3.7.4: Nagle's algorithm is off; a small segment does not wait for the one before. */
static void
test_no_nagle(void **state)
{
	struct ep c = { 0 };
	struct pup p;

	(void)state;
	case_active(&sim, &conf, &c, &p, 0);
	for (uint32_t i = 0; i < 5; i++) {
		ep_send(&c, 10);
		pup_expect(&p, F_ACK, 10, 2 * MS);
	}
	assert_int_equal(c.tc->snd_nxt - c.tc->snd_una, 50);
	case_close(&sim);
}

/* RFC 9293 3.10.7.4 first: with our window closed bytes are refused and answered, an ACK counts. */
static void
test_closed_window_input(void **state)
{
	struct ep s = { .hold = true };
	struct pup p;
	uint32_t had;

	(void)state;
	conf.rcv_buf = 4096;
	case_passive(&sim, &conf, &s, &p, 0);
	for (int i = 0; i < 4; i++)
		pup_send(&p, F_ACK, 1024);
	while (pup_next(&p, 100 * MS))
		;
	assert_int_equal(p.in.s.wnd, 0);
	had = tcp_rx(s.tc)->len;
	assert_int_equal(had, 4096);
	// a probe of one byte
	pup_send_at(&p, p.seq, F_ACK, 1);
	pup_expect(&p, F_ACK, 0, 10 * MS);
	assert_int_equal(p.in.s.ack, p.seq);
	assert_int_equal(p.in.s.wnd, 0);
	assert_int_equal(tcp_rx(s.tc)->len, had);
	// what it says of our bytes holds all the same
	ep_send(&s, 500);
	pup_expect(&p, F_ACK, 500, 10 * MS);
	acked(&p, p.in.s.seq + 500);
	run(&sim, 10 * MS);
	assert_int_equal(tcp_send_queued(s.tc), 0);
	// and so does a reset at its place
	pup_send_at(&p, p.seq, F_RST, 0);
	run(&sim, 10 * MS);
	assert_null(s.tc);
	assert_int_equal(s.err, ECONNRESET);
	case_close(&sim);
}

/* RFC 7323 3.2: once agreed, every segment of ours has them, a reset too. */
static void
test_timestamps_on_all(void **state)
{
	(void)state;
	for (int end = 0; end < 2; end++) {
		struct ep s = { 0 };
		struct pup p;
		uint32_t n = 0;

		case_passive(&sim, &conf, &s, &p, TCP_OPT_TS);
		assert_true(p.in.s.opts & TCP_OPT_TS);
		ep_send(&s, 100);
		pup_send(&p, F_ACK, 100);
		pup_send_at(&p, p.seq + 200, F_ACK, 100); // an ACK at once
		if (end == 0)
			ep_shutdown(&s);
		else
			ep_abort(&s);
		while (pup_next(&p, 50 * MS)) {
			if (!(p.in.s.opts & TCP_OPT_TS))
				fail_msg("flags %x, %u bytes: no timestamp", p.in.s.flags,
					p.in.s.len);
			n++;
		}
		assert_true(n >= 3);
		assert_true(p.in.s.flags & (F_FIN | F_RST) || end == 0);
		case_close(&sim);
	}
}

/* RFC 7323 5.2: an RST is not asked for its timestamp. */
static void
test_reset_with_old_timestamp(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_passive(&sim, &conf, &s, &p, TCP_OPT_TS);
	p.tsval -= 1000;
	pup_send_at(&p, p.seq, F_RST, 0);
	run(&sim, 1 * MS);
	assert_null(s.tc);
	assert_int_equal(s.err, ECONNRESET);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_PAWS), 0);
	case_close(&sim);
}

/* RFC 7323 4.1: only what acknowledges new bytes is a sample. */
static void
test_no_sample_of_old_acks(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t srtt, old;

	(void)state;
	case_active(&sim, &conf, &c, &p, TCP_OPT_TS);
	ep_send(&c, 100);
	pup_expect(&p, F_ACK, 100, 10 * MS);
	old = p.tsecr;
	acked(&p, p.in.s.seq + 100);
	srtt = tcp_srtt_us(c.tc);
	run(&sim, 30 * SEC);
	ep_send(&c, 100); // something is outstanding
	pup_expect(&p, F_ACK, 100, 10 * MS);
	p.tsecr = old;
	for (int i = 0; i < 2; i++) {
		pup_send(
			&p, F_ACK, 0); // nothing new in it, and it echoes what is half a minute old
		assert_int_equal(tcp_srtt_us(c.tc), srtt);
	}
	// nor do bytes of the peer's make it one
	pup_send(&p, F_ACK, 100);
	assert_int_equal(tcp_srtt_us(c.tc), srtt);
	case_close(&sim);
}

/*
 * RFC 7323 3.2: an echo of what was never sent is no sample: not of the future, not of last month, and not
 * where its age in microseconds would wrap into a fine round trip.
 */
static void
test_echo_of_nothing(void **state)
{
	static const uint32_t ago[] = { UINT32_MAX - 999, 1u << 31, 60000, 4294968 };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(ago); i++) {
		struct ep c = { 0 }, s = { 0 };
		struct pup p;

		case_open(&sim, &conf); // in the answer to a SYN
		assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
		pup_syn(&p, &sim);
		p.out.s.opts = TCP_OPT_TS;
		p.out.s.mss = 1460;
		p.tsecr -= ago[i];
		pup_send(&p, F_SYN | F_ACK, 0);
		pup_expect(&p, F_ACK, 0, 100 * MS);
		assert_int_equal(tcp_srtt_us(c.tc), 0);
		p.ts = true;
		ep_send(&c, 100); // of a retransmission
		pup_expect(&p, F_ACK, 100, 10 * MS);
		pup_expect(&p, F_ACK, 100, 2 * SEC);
		p.tsecr -= ago[i];
		acked(&p, p.in.s.seq + 100);
		assert_int_equal(tcp_send_queued(c.tc), 0);
		assert_int_equal(tcp_srtt_us(c.tc), 0);
		case_close(&sim);

		case_open(&sim, &conf); // in the third segment
		ep_listen(&sim, 0, 80, false, &s);
		pup_init(&p, &sim, 80, 4000, false);
		p.out.s.opts = TCP_OPT_TS;
		p.out.s.mss = 1460;
		pup_send(&p, F_SYN, 0);
		pup_expect(&p, F_SYN | F_ACK, 0, 100 * MS);
		p.ts = true;
		p.tsecr -= ago[i];
		acked(&p, p.in.s.seq + 1);
		assert_non_null(s.tc);
		assert_int_equal(tcp_srtt_us(s.tc), 0);
		case_close(&sim);
	}
}

/* RFC 6298 5.3: an ACK of new bytes starts the timer anew for what is left. */
static void
test_timer_restarts(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t first;
	uint64_t at;

	(void)state;
	case_active(&sim, &conf, &c, &p, 0); // without SACK there are no probes
	ep_send(&c, 100);
	pup_expect(&p, F_ACK, 100, 10 * MS);
	first = p.in.s.seq;
	ep_send(&c, 100);
	pup_expect(&p, F_ACK, 100, 10 * MS);
	run(&sim, 120 * MS);
	acked(&p, first + 100);
	at = sim.now_us;
	pup_expect(&p, F_ACK, 100, 2 * SEC); // the second one again
	assert_int_equal(p.in.s.seq, first + 100);
	// measured from the ACK (200 ms is the least), not from when it was sent
	assert_true(sim.now_us - at >= 195 * MS);
	case_close(&sim);
}

/* RFC 6298 2.5, 5.5: back-off stops growing at the maximum. */
static void
test_timer_is_capped(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint64_t last, gap = 0;

	(void)state;
	case_active(&sim, &conf, &c, &p, 0);
	ep_send(&c, 100);
	pup_expect(&p, F_ACK, 100, 10 * MS);
	last = sim.now_us;
	for (int i = 0; i < 12; i++) {
		pup_expect(&p, F_ACK, 100, 70 * SEC);
		gap = sim.now_us - last;
		last = sim.now_us;
		assert_true(gap <= 61 * SEC);
	}
	assert_true(gap >= 59 * SEC);
	case_close(&sim);
}

/* RFC 9293 3.8.1: a FIN rides on the last bytes. */
static void
test_fin_rides(void **state)
{
	struct ep c = { 0 };
	struct pup p;

	(void)state;
	case_active(&sim, &conf, &c, &p, 0);
	ep_send(&c, 100);
	ep_shutdown(&c);
	pup_expect(&p, F_FIN | F_ACK, 100, 10 * MS);
	pup_silence(&p, 100 * MS);
	// and comes again with them
	pup_expect(&p, F_FIN | F_ACK, 100, 2 * SEC);
	acked(&p, p.in.s.seq + 101);
	assert_int_equal(tcp_get_state(c.tc), TCP_FIN_WAIT_2);
	case_close(&sim);
}

/* RFC 6582 3.2 step 3: without SACK each partial ACK sends the next hole, without a timeout. */
static void
test_partial_acks(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t seq[10], mss;

	(void)state;
	conf.cc = TCP_CC_NEWRENO;
	case_active(&sim, &conf, &c, &p, 0);
	mss = tcp_mss(c.tc);
	ep_send(&c, 10 * mss);
	for (int i = 0; i < 10; i++) {
		pup_expect(&p, F_ACK, mss, 10 * MS);
		seq[i] = p.in.s.seq;
	}
	// 0, 3 and 6 are lost
	p.ack = seq[0];
	for (int i = 0; i < 7; i++)
		pup_send(&p, F_ACK, 0);
	pup_expect(&p, F_ACK, mss, 10 * MS);
	assert_int_equal(p.in.s.seq, seq[0]);
	for (int hole = 3; hole <= 6; hole += 3) {
		acked(&p, seq[hole]);
		pup_expect(&p, F_ACK, mss, 10 * MS);
		assert_int_equal(p.in.s.seq, seq[hole]);
		assert_true(c.tc->flags & TF_RECOVERY);
	}
	acked(&p, seq[9] + mss);
	assert_false(c.tc->flags & TF_RECOVERY);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RTO), 0);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RETRANS), 3);
	case_close(&sim);
}

/* RFC 5681 3.1: however much is lost, the window is a segment at least. */
static void
test_window_of_one(void **state)
{
	(void)state;
	for (uint8_t cc = 0; cc < TCP_CC_NR; cc++) {
		struct ep c = { 0 };
		struct pup p;

		conf.cc = cc;
		case_active(&sim, &conf, &c, &p, 0);
		ep_send(&c, 5 * tcp_mss(c.tc));
		for (int rto = 0; rto < 4;) {
			assert_true(pup_next(&p, 30 * SEC));
			rto = (int)sim_stat(&sim, 0, STAT_TCP_RTO);
			assert_true(c.tc->cwnd >= c.tc->mss);
		}
		case_close(&sim);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_no_nagle),
		T(test_closed_window_input),
		T(test_timestamps_on_all),
		T(test_reset_with_old_timestamp),
		T(test_no_sample_of_old_acks),
		T(test_echo_of_nothing),
		T(test_timer_restarts),
		T(test_timer_is_capped),
		T(test_fin_rides),
		T(test_partial_acks),
		T(test_window_of_one),
	};
	return cmocka_run_group_tests(tests, group_start, group_stop);
}
