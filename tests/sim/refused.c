// SPDX-License-Identifier: BSD-3-Clause
/*
 * Segments that are refused or challenged: old timestamps, blind SYNs, RSTs and ACKs.
 */
#include "tests/sim/case.h"

/* RFC 7323: old timestamps are refused and answered; missing ones are dropped. */
static void
test_paws(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_passive(&sim, &conf, &s, &p, TCP_OPT_TS);
	pup_send(&p, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 100 * MS);
	assert_int_equal(p.in.s.tsecr, p.tsval);
	p.tsval -= 2;
	pup_send_at(&p, p.seq, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, p.seq);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_PAWS), 1);
	p.tsval += 2;
	p.ts = false;
	pup_send_at(&p, p.seq, F_ACK, 100);
	pup_silence(&p, 100 * MS);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_PAWS), 2);
	assert_int_equal(s.got, 100);
	// out of order with a newer timestamp: not echoed before the hole is filled (4.3)
	p.ts = true;
	p.tsval += 10;
	pup_send_at(&p, p.seq + 100, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.tsecr, p.tsval - 10);
	p.tsval += 1;
	pup_send(&p, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.tsecr, p.tsval);
	case_close(&sim);
}

/* RFC 5961: SYN, inexact RST and implausible ACKs are challenged; the exact RST resets. */
static void
test_challenge(void **state)
{
	struct ep s = { 0 };
	struct pup p;
	uint64_t n;

	(void)state;
	case_passive(&sim, &conf, &s, &p, 0);
	n = sim_stat(&sim, 0, STAT_TCP_CHALLENGE);
	pup_send_at(&p, p.seq, F_SYN, 0);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	pup_send_at(&p, p.seq + 1, F_RST, 0);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	p.ack += 10000; // never sent
	pup_send_at(&p, p.seq, F_ACK, 10);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	p.ack -= 10000 + 200000; // far below
	pup_send_at(&p, p.seq, F_ACK, 10);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	p.ack += 200000;
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_CHALLENGE), n + 4);
	assert_int_equal(s.got, 0);
	assert_non_null(s.tc);
	// an RST outside of the window is no news at all
	pup_send_at(&p, p.seq - 1, F_RST, 0);
	pup_silence(&p, 50 * MS);
	// no ACK bit, impossible flags
	pup_send_at(&p, p.seq, F_FIN, 0);
	pup_send_at(&p, p.seq, F_FIN | F_RST | F_ACK, 0);
	pup_silence(&p, 50 * MS);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_BAD_FLAGS), 2);
	pup_send_at(&p, p.seq, F_RST, 0);
	assert_null(s.tc);
	assert_int_equal(s.err, ECONNRESET);
	case_close(&sim);
}

/* The limit is per second and not a constant. */
static void
test_challenge_limit(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_passive(&sim, &conf, &s, &p, 0);
	p.out.s.seq = p.seq + 1;
	p.out.s.flags = F_RST;
	for (int i = 0; i < 1900; i++) // in one moment
		sim_inject(&sim, 1, &p.out);
	run(&sim, 10 * MS);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_BAD_RST), 1900);
	assert_in_range(sim_stat(&sim, 0, STAT_TCP_CHALLENGE), 500, 1500);
	case_close(&sim);
}

static uint32_t crossed;

static bool
count(struct sim *s, int from, const struct sim_pkt *p)
{
	(void)s;
	(void)from;
	(void)p;
	crossed++;
	return true;
}

/*
 * Bytes that the peer never sent were taken for his. Now each side's ACK is out of place for the other, and
 * is answered; the answers end.
 */
static void
test_ack_loop(void **state)
{
	(void)state;
	for (uint8_t ts = 0; ts < 2; ts++) {
		struct ep c = { 0 }, s = { 0 };
		struct sim_pkt p = { 0 };

		conf.timestamps = ts;
		case_open(&sim, &conf);
		pair(&sim, false, &c, &s);
		p.s.key = s.tc->key;
		p.s.flags = F_ACK;
		p.s.seq = c.tc->rcv_nxt;
		p.s.ack = c.tc->snd_una;
		p.s.wnd = 1000;
		p.s.len = 100;
		p.s.opts = ts ? TCP_OPT_TS : 0;
		p.s.tsval = c.tc->ts_recent;
		sim.tap = count;
		crossed = 0;
		sim_inject(&sim, 1, &p);
		run(&sim, 10 * SEC);
		assert_int_equal(c.got, 100);
		assert_in_range(crossed, 2, 6);
		case_close(&sim);
	}
}

/* What asks for an ACK gets it: a probe a second, each repetition of data; but not one for each of many. */
static void
test_answers_out_of_place(void **state)
{
	struct ep s = { 0 };
	struct pup p;
	uint32_t n = 0;

	(void)state;
	case_passive(&sim, &conf, &s, &p, TCP_OPT_TS);
	for (int i = 0; i < 5; i++) {
		pup_send_at(&p, p.seq - 1, F_ACK, 0);
		pup_expect(&p, F_ACK, 0, 1 * MS);
		run(&sim, 1 * SEC);
	}
	for (int i = 0; i < 5; i++) {
		pup_send_at(&p, p.seq - 1, F_ACK, 1);
		pup_expect(&p, F_ACK, 0, 1 * MS);
	}
	for (int i = 0; i < 100; i++)
		pup_send_at(&p, p.seq - 1, F_ACK, 0);
	p.tsval -= 10; // an old timestamp as well
	for (int i = 0; i < 100; i++)
		pup_send_at(&p, p.seq, F_ACK, 0);
	while (pup_next(&p, 1 * MS))
		n++;
	assert_int_equal(n, 1);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_ACK_SPARED), 199);
	case_close(&sim);
}

/* In TIME_WAIT too: there nobody would end it for a minute. */
static void
test_answers_in_timewait(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	conf.timewait_ms = 60000;
	case_passive(&sim, &conf, &s, &p, 0);
	ep_shutdown(&s);
	pup_expect(&p, F_FIN | F_ACK, 0, 10 * MS);
	p.ack++;
	pup_send(&p, F_FIN | F_ACK, 0);
	pup_expect(&p, F_ACK, 0, 10 * MS);
	assert_int_equal(sim_tcp(&sim, 0)->tws.used, 1);
	for (int i = 0; i < 3; i++) {
		uint32_t n = 0;

		for (int k = 0; k < 50; k++)
			pup_send_at(&p, p.seq - 9, F_ACK, 0);
		while (pup_next(&p, 1 * MS))
			n++;
		assert_int_equal(n, 1);
		run(&sim, 1 * SEC);
	}
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_ACK_SPARED), 3 * 49);
	// what asks for more is answered each time
	pup_send_at(&p, p.seq - 1, F_FIN | F_ACK, 0);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	pup_send_at(&p, p.seq - 9, F_ACK, 5);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	case_close(&sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_paws),
		T(test_challenge),
		T(test_challenge_limit),
		T(test_ack_loop),
		T(test_answers_out_of_place),
		T(test_answers_in_timewait),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
