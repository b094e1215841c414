// SPDX-License-Identifier: BSD-3-Clause
/*
 * SACK blocks, sent and received: what they say, what they must not do.
 */
#include "tests/sim/case.h"

/* Three of ten lost: with SACK exactly those go again. */
static void
test_sack_holes(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t base, mss = 1460;

	(void)state;
	case_active(&sim, &conf, &c, &p, TCP_OPT_SACK_OK);
	base = p.ack;
	ep_send(&c, 10 * mss);
	for (int i = 0; i < 10; i++)
		pup_expect(&p, F_ACK, mss, 10 * MS);
	c.tc->srtt = 80000 << 3; // two reports below DupThresh wait for a quarter of it
	// 0, 2 and 4 are missing; the newest block first
	p.ack = base;
	p.out.s.sack[0] = (struct tcp_sack){ base + mss, base + 2 * mss };
	p.out.s.nsack = 1;
	pup_send(&p, F_ACK, 0);
	p.out.s.sack[0] = (struct tcp_sack){ base + 3 * mss, base + 4 * mss };
	p.out.s.sack[1] = (struct tcp_sack){ base + mss, base + 2 * mss };
	p.out.s.nsack = 2;
	pup_send(&p, F_ACK, 0);
	pup_silence(&p, 10 * MS);
	p.out.s.sack[0] = (struct tcp_sack){ base + 5 * mss, base + 10 * mss };
	p.out.s.sack[1] = (struct tcp_sack){ base + 3 * mss, base + 4 * mss };
	p.out.s.sack[2] = (struct tcp_sack){ base + mss, base + 2 * mss };
	p.out.s.nsack = 3;
	pup_send(&p, F_ACK, 0);
	for (uint32_t i = 0; i < 3; i++) {
		pup_expect(&p, F_ACK, mss, 10 * MS);
		assert_int_equal(p.in.s.seq, base + 2 * i * mss);
	}
	pup_silence(&p, 50 * MS);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_FAST_RETRANS), 1);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RETRANS), 3);
	p.ack = base + 10 * mss;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(tcp_send_queued(c.tc), 0);
	assert_int_equal(c.tc->sacked + c.tc->lost, 0);
	case_close(&sim);
}

/* Blocks that mean nothing or want work are ignored. */
static void
test_sack_attack(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t base;

	(void)state;
	case_active(&sim, &conf, &c, &p, TCP_OPT_SACK_OK);
	base = p.ack;
	ep_send(&c, 10 * 1460);
	for (int i = 0; i < 10; i++)
		pup_expect(&p, F_ACK, 1460, 10 * MS);
	p.ack = base;
	p.out.s.sack[0] = (struct tcp_sack){ base + 20 * 1460, base + 21 * 1460 }; // never sent
	p.out.s.sack[1] = (struct tcp_sack){ base - 1000, base + 1460 };           // D-SACK
	p.out.s.sack[2] = (struct tcp_sack){ base + 2920, base + 1460 };           // backwards
	p.out.s.sack[3] = (struct tcp_sack){ base + 1461, base + 2919 };           // covers nothing
	p.out.s.nsack = 4;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(c.tc->sacked, 0);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_SACK_BAD), 2); // no receiver says the first and the third
	// reneging: what was reported is taken back, the timeout sends everything again
	p.out.s.sack[0] = (struct tcp_sack){ base + 1460, base + 10 * 1460 };
	p.out.s.nsack = 1;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(c.tc->sacked, 9 * 1460);
	pup_expect(&p, F_ACK, 1460, 10 * MS);
	p.ack = base + 1460;
	pup_send(&p, F_ACK, 0);
	pup_expect(&p, F_ACK, 1460, 5 * SEC);
	assert_int_equal(p.in.s.seq, base + 1460);
	assert_int_equal(c.tc->sacked, 0);
	p.ack = base + 10 * 1460;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(tcp_send_queued(c.tc), 0);
	case_close(&sim);
}

/* The receiver's blocks: newest first, as many as fit, gone when filled. */
static void
test_sack_blocks(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_passive(&sim, &conf, &s, &p, TCP_OPT_SACK_OK);
	for (uint32_t i = 1; i <= 5; i++) {
		pup_send_at(&p, p.seq + i * 200, F_ACK, 100);
		pup_expect(&p, F_ACK, 0, 1 * MS);
		assert_int_equal(p.in.s.nsack, sl_min(i, 4u));
		assert_int_equal(p.in.s.sack[0].from, p.seq + i * 200);
		assert_int_equal(p.in.s.sack[0].to, p.seq + i * 200 + 100);
	}
	// joins two blocks: the joint one is the newest
	pup_send_at(&p, p.seq + 300, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.sack[0].from, p.seq + 200);
	assert_int_equal(p.in.s.sack[0].to, p.seq + 500);
	// overlaps on both sides and covers others wholly
	pup_send_at(&p, p.seq + 250, F_ACK, 900);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.nsack, 1);
	assert_int_equal(p.in.s.sack[0].from, p.seq + 200);
	assert_int_equal(p.in.s.sack[0].to, p.seq + 1150);
	pup_send(&p, F_ACK, 200);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, p.seq + 950);
	assert_int_equal(p.in.s.nsack, 0);
	assert_int_equal(s.got, 1150);
	assert_false(s.wrong);
	// a FIN out of order waits for its place
	p.seq += 950;
	pup_send_at(&p, p.seq + 100, F_ACK | F_FIN, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_false(s.events & TCP_EV_EOF);
	pup_send(&p, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, p.seq + 101);
	assert_true(s.events & TCP_EV_EOF);
	assert_int_equal(s.got, 1350);
	assert_false(s.wrong);
	case_close(&sim);
}

/* A FIN behind a hole is reported as what it is: one number more. */
static void
test_sack_fin(void **state)
{
	for (int alone = 0; alone < 3; alone++) {
		struct ep s = { 0 };
		struct pup p;
		uint32_t at;

		(void)state;
		case_passive(&sim, &conf, &s, &p, TCP_OPT_SACK_OK);
		at = p.seq + 100;
		if (alone == 0) { // on the last data
			pup_send_at(&p, at, F_ACK | F_FIN, 100);
			pup_expect(&p, F_ACK, 0, 1 * MS);
		} else { // behind it, or behind what is missing too
			if (alone == 1) {
				pup_send_at(&p, at, F_ACK, 100);
				pup_expect(&p, F_ACK, 0, 1 * MS);
				assert_int_equal(p.in.s.sack[0].to, at + 100);
			}
			pup_send_at(&p, at + 100, F_ACK | F_FIN, 0);
			pup_expect(&p, F_ACK, 0, 1 * MS);
		}
		assert_int_equal(p.in.s.nsack, 1);
		assert_int_equal(p.in.s.sack[0].from, alone == 2 ? at + 100 : at);
		assert_int_equal(p.in.s.sack[0].to, at + 101);
		assert_int_equal(p.in.s.ack, p.seq);
		pup_send(&p, F_ACK, alone == 2 ? 200 : 100);
		pup_expect(&p, F_ACK, 0, 1 * MS);
		assert_int_equal(p.in.s.ack, at + 101);
		assert_int_equal(p.in.s.nsack, 0);
		assert_true(s.events & TCP_EV_EOF);
		assert_int_equal(s.got, 200);
		case_close(&sim);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_sack_holes),
		T(test_sack_attack),
		T(test_sack_blocks),
		T(test_sack_fin),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
