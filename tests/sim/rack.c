// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loss by time (RFC 8985): RACK and its reordering window, tail loss probes, D-SACK on both sides.
 */
#include "tests/sim/case.h"

#define MSS 1460u


static uint64_t
stat(enum lc_stat s)
{
	return sim_stat(&sim, 0, s);
}

/* Host 0 sends to a puppet at the end of a path of 40 ms. */
static void
start(struct pup *p, struct ep *c, uint8_t opts)
{
	case_open(&sim, &conf);
	*c = (struct ep){ 0 };
	assert_int_equal(ep_connect(&sim, 0, 80, false, c), 0);
	pup_accept(p, &sim, opts, MSS);
	c->tc->srtt = 40000 << 3;
	c->tc->rttvar = 5000 << 2;
	c->tc->cwnd = 100 * MSS;
}

/* n full segments leave; the puppet has them 40 ms later. */
static uint32_t
send_flight(struct pup *p, struct ep *c, uint32_t n)
{
	uint32_t base = p->ack;

	c->tc->cwnd = 100 * MSS; // whatever earlier losses made of it
	ep_send(c, n * MSS);
	for (uint32_t i = 0; i < n; i++)
		pup_expect(p, F_ACK, MSS, 1 * MS);
	run(&sim, 40 * MS);
	return base;
}

static void
sack(struct pup *p, uint32_t from, uint32_t to)
{
	p->out.s.sack[0] = (struct tcp_sack){ from, to };
	p->out.s.nsack = 1;
	pup_send(p, F_ACK, 0);
}

static struct tcp_rec *
rec(const struct ep *c)
{
	return tcp_rec(sim_tcp(&sim, 0), c->tc);
}

/* One report, and nothing known of the path: a quarter of the least round trip, then it is lost. */
static void
test_one_report(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;
	uint64_t t0;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	base = send_flight(&p, &c, 3);
	t0 = sim.now_us;
	sack(&p, base + MSS, base + 2 * MSS);
	pup_expect(&p, F_ACK, MSS, 30 * MS);
	assert_int_equal(p.in.s.seq, base);
	assert_in_range(sim.now_us - t0, 9 * MS, 13 * MS);
	assert_int_equal(stat(STAT_TCP_RTO), 0);
	case_close(&sim);
}

/* Three reports: at once (RFC 8985 6.2 step 4, as RFC 6675 would). */
static void
test_three_reports(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	base = send_flight(&p, &c, 5);
	sack(&p, base + MSS, base + 4 * MSS);
	pup_expect(&p, F_ACK, MSS, 1 * MS);
	assert_int_equal(p.in.s.seq, base);
	case_close(&sim);
}

/* What was sent after the newest segment that arrived is not lost, whatever is missing. */
static void
test_sent_later(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	base = send_flight(&p, &c, 5);
	ep_send(&c, 3 * MSS);
	for (int i = 0; i < 3; i++)
		pup_expect(&p, F_ACK, MSS, 1 * MS);
	sack(&p, base + MSS, base + 5 * MSS);
	pup_expect(&p, F_ACK, MSS, 1 * MS);
	assert_int_equal(p.in.s.seq, base);
	p.ack = base + 5 * MSS;
	pup_send(&p, F_ACK, 0);
	pup_silence(&p, 30 * MS); // the last three are on their way
	assert_int_equal(stat(STAT_TCP_RETRANS), 1);
	case_close(&sim);
}

/* Below what arrived before: the path reorders. From then on reports have to wait. */
static void
test_reordering_seen(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;
	uint64_t t0;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	base = send_flight(&p, &c, 5);
	sack(&p, base + 2 * MSS, base + 3 * MSS);
	assert_false(rec(&c)->reord);
	sack(&p, base + MSS, base + 3 * MSS);
	assert_true(rec(&c)->reord);
	p.ack = base + 5 * MSS;
	pup_send(&p, F_ACK, 0);
	base = send_flight(&p, &c, 8);
	t0 = sim.now_us;
	sack(&p, base + MSS, base + 8 * MSS);
	pup_expect(&p, F_ACK, MSS, 30 * MS);
	assert_in_range(sim.now_us - t0, 8 * MS, 14 * MS);
	case_close(&sim);
}

/* D-SACKs widen the window by a quarter each, once a round trip, up to SRTT; 16 recoveries narrow it. */
static void
test_window_adapts(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base, i;
	struct tcp_rec *r;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	for (i = 1; i <= 6; i++) {
		base = send_flight(&p, &c, 4);
		p.ack = base + 2 * MSS;
		sack(&p, base, base + MSS);
		sack(&p, base, base + MSS); // of the same round
		assert_int_equal(rec(&c)->reo_mult, 1 + i);
		p.ack = base + 4 * MSS;
		pup_send(&p, F_ACK, 0);
	}
	r = rec(&c);
	assert_int_equal(r->reo_persist, 16);
	for (i = 0; i < 16; i++) {
		assert_int_equal(r->reo_mult, 7);
		base = send_flight(&p, &c, 6);
		sack(&p, base + MSS, base + 6 * MSS);
		while (pup_next(&p, 0)) {}
		p.ack = base + 6 * MSS;
		pup_send(&p, F_ACK, 0);
	}
	assert_int_equal(r->reo_mult, 1);
	case_close(&sim);
}

/* An ACK too early for the retransmission is the original's: it says nothing of what was sent later. */
static void
test_too_early(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	base = send_flight(&p, &c, 6);
	sack(&p, base + MSS, base + 4 * MSS); // 0 is lost, it seems
	pup_expect(&p, F_ACK, MSS, 1 * MS);
	assert_int_equal(p.in.s.seq, base);
	p.ack = base + 4 * MSS; // at once: the original
	pup_send(&p, F_ACK, 0);
	// 4 and 5 were sent before the retransmission; they are not lost for its sake
	pup_silence(&p, 30 * MS);
	assert_int_equal(stat(STAT_TCP_RETRANS), 1);
	case_close(&sim);
}

/* The timeout declares lost what is old, not what has just been sent (6.3). */
static void
test_rto_spares_new(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	base = send_flight(&p, &c, 3);
	sack(&p, base + 2 * MSS, base + 3 * MSS); // no probe now; 0 follows
	pup_expect(&p, F_ACK, MSS, 20 * MS);
	while (tick_remain(sim.host[0].lc->now, c.tc->rtx_at) > 15)
		run(&sim, 1 * MS);
	c.tc->cwnd = 100 * MSS;
	ep_send(&c, 2 * MSS);
	while (stat(STAT_TCP_RTO) == 0)
		pup_next(&p, 10 * MS);
	// 0 again, but not the two new ones
	assert_true(c.tc->lost <= MSS);
	assert_true(tcp_pipe(c.tc) >= 2 * MSS);
	case_close(&sim);
}

/* RFC 8985 7: two round trips after the last ACK the tail is probed by its last segment. */
static void
test_tlp(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;
	uint64_t t0;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	base = p.ack;
	ep_send(&c, 5 * MSS);
	for (int i = 0; i < 5; i++)
		pup_expect(&p, F_ACK, MSS, 1 * MS);
	t0 = sim.now_us;
	pup_expect(&p, F_ACK, MSS, 120 * MS);
	assert_in_range(sim.now_us - t0, 79 * MS, 83 * MS);
	assert_int_equal(p.in.s.seq, base + 4 * MSS);
	assert_int_equal(stat(STAT_TCP_TLP), 1);
	// it arrived: the report starts recovery without a timeout
	run(&sim, 40 * MS);
	p.ack = base + 2 * MSS;
	sack(&p, base + 4 * MSS, base + 5 * MSS);
	pup_expect(&p, F_ACK, MSS, 1 * MS + 20 * MS);
	assert_int_equal(p.in.s.seq, base + 2 * MSS);
	assert_int_equal(stat(STAT_TCP_RTO), 0);
	case_close(&sim);
}

/* One probe; if that too is lost, the retransmission timeout. */
static void
test_tlp_once(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	base = p.ack;
	ep_send(&c, 3 * MSS);
	for (int i = 0; i < 4; i++)
		pup_expect(&p, F_ACK, MSS, 120 * MS);
	assert_int_equal(p.in.s.seq, base + 2 * MSS);
	pup_silence(&p, 180 * MS);
	pup_expect(&p, F_ACK, MSS, 100 * MS);
	assert_int_equal(p.in.s.seq, base);
	assert_int_equal(stat(STAT_TCP_TLP), 1);
	assert_int_equal(stat(STAT_TCP_RTO), 1);
	case_close(&sim);
}

/* New data is the better probe, even beyond the congestion window. */
static void
test_tlp_new_data(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	c.tc->cwnd = 3 * MSS;
	base = p.ack;
	ep_send(&c, 5 * MSS);
	for (int i = 0; i < 3; i++)
		pup_expect(&p, F_ACK, MSS, 1 * MS);
	pup_expect(&p, F_ACK, MSS, 120 * MS);
	assert_int_equal(p.in.s.seq, base + 3 * MSS);
	assert_int_equal(stat(STAT_TCP_RETRANS), 0);
	pup_silence(&p, 100 * MS); // one
	case_close(&sim);
}

/* A lone segment: its ACK may be delayed, and the RTO is as near. No probe. */
static void
test_tlp_lone_segment(void **state)
{
	struct ep c;
	struct pup p;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	ep_send(&c, 100);
	pup_expect(&p, F_ACK, 100, 1 * MS);
	pup_silence(&p, 190 * MS);
	pup_expect(&p, F_ACK, 100, 50 * MS);
	assert_int_equal(stat(STAT_TCP_TLP), 0);
	assert_int_equal(stat(STAT_TCP_RTO), 1);
	case_close(&sim);
}

/* Without SACK nothing can be learnt from a probe. */
static void
test_tlp_needs_sack(void **state)
{
	struct ep c;
	struct pup p;

	(void)state;
	start(&p, &c, 0);
	ep_send(&c, 3 * MSS);
	for (int i = 0; i < 3; i++)
		pup_expect(&p, F_ACK, MSS, 1 * MS);
	pup_silence(&p, 190 * MS);
	assert_int_equal(stat(STAT_TCP_TLP), 0);
	case_close(&sim);
}

/* 7.4: the probe itself repaired the loss: that counts as one. Told by D-SACK: it does not. */
static void
test_tlp_repairs(void **state)
{
	(void)state;
	for (int needless = 0; needless < 2; needless++) {
		struct ep c;
		struct pup p;
		uint32_t base, before;

		start(&p, &c, TCP_OPT_SACK_OK);
		base = p.ack;
		ep_send(&c, 3 * MSS);
		for (int i = 0; i < 4; i++)
			pup_expect(&p, F_ACK, MSS, 120 * MS);
		run(&sim, 40 * MS);
		before = c.tc->cwnd;
		p.ack = base + 3 * MSS;
		pup_send(&p, F_ACK, 0);
		assert_int_equal(c.tc->cwnd, before);
		if (needless)
			sack(&p, base + 2 * MSS, base + 3 * MSS);
		assert_int_equal(stat(STAT_TCP_DSACK_IN), needless);
		assert_int_equal(rec(&c)->reo_mult, 1); // and of reordering it says nothing
		ep_send(&c, MSS);
		pup_expect(&p, F_ACK, MSS, 1 * MS);
		p.ack += MSS;
		pup_send(&p, F_ACK, 0);
		if (needless)
			assert_true(c.tc->cwnd >= before);
		else
			assert_true(c.tc->cwnd < before);
		assert_false(rec(&c)->tlp);
		case_close(&sim);
	}
}

/* The original's ACK was only late: its echo is older than the probe, but nothing was reordered. */
static void
test_tlp_late_ack(void **state)
{
	uint32_t base, tsecr, unit = MSS - 12;
	struct ep c;
	struct pup p;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK | TCP_OPT_TS);
	base = p.ack;
	ep_send(&c, 3 * unit);
	for (int i = 0; i < 3; i++)
		pup_expect(&p, F_ACK, unit, 10 * MS);
	tsecr = p.tsecr;
	pup_expect(&p, F_ACK, unit, 120 * MS); // the probe
	p.tsecr = tsecr;
	p.ack = base + 2 * unit;
	pup_send(&p, F_ACK, 0);
	p.ack = base + 3 * unit;
	pup_send(&p, F_ACK, 0);
	assert_false(rec(&c)->reord);
	assert_int_equal(rec(&c)->reo_mult, 1);
	case_close(&sim);
}

/* One ACK for two holes echoes what filled the first, which left before the other's retransmission. */
static void
test_two_holes_one_ack(void **state)
{
	uint32_t base, tsecr, unit = MSS - 12;
	struct ep c;
	struct pup p;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK | TCP_OPT_TS);
	base = p.ack;
	ep_send(&c, 20 * unit);
	for (int i = 0; i < 20; i++)
		pup_expect(&p, F_ACK, unit, 10 * MS);
	run(&sim, 40 * MS);
	sack(&p, base + unit, base + 6 * unit); // the first is lost
	pup_expect(&p, F_ACK, unit, 10 * MS);
	assert_int_equal(p.in.s.seq, base);
	tsecr = p.tsecr;
	run(&sim, 5 * MS);
	sack(&p, base + 7 * unit, base + 15 * unit); // and another
	pup_expect(&p, F_ACK, unit, 10 * MS);
	assert_int_equal(p.in.s.seq, base + 6 * unit);
	run(&sim, 30 * MS);
	p.tsecr = tsecr;
	p.ack = base + 20 * unit;
	pup_send(&p, F_ACK, 0);
	assert_false(rec(&c)->reord);
	assert_int_equal(stat(STAT_TCP_UNDO), 0);
	case_close(&sim);
}

/* More data before the probe is due moves the date. */
static void
test_tlp_moves(void **state)
{
	struct ep c;
	struct pup p;

	(void)state;
	start(&p, &c, TCP_OPT_SACK_OK);
	ep_send(&c, 2 * MSS);
	pup_expect(&p, F_ACK, MSS, 1 * MS);
	pup_expect(&p, F_ACK, MSS, 1 * MS);
	run(&sim, 60 * MS);
	ep_send(&c, MSS);
	pup_expect(&p, F_ACK, MSS, 1 * MS);
	pup_silence(&p, 70 * MS);
	pup_expect(&p, F_ACK, MSS, 20 * MS);
	assert_int_equal(stat(STAT_TCP_TLP), 1);
	case_close(&sim);
}

/* The tail of a transfer between two stacks is lost: no timeout. */
static void
test_tail_loss(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
	ep_send(&c, 8 * MSS);
	run(&sim, 100 * MS);
	ep_send(&c, 6 * MSS);
	sim.link[0].loss_ppm = 1000000;
	run(&sim, 2 * MS); // all six
	sim.link[0].loss_ppm = 0;
	run(&sim, 150 * MS);
	assert_int_equal(s.got, 14 * MSS);
	assert_int_equal(stat(STAT_TCP_RTO), 0);
	assert_int_equal(stat(STAT_TCP_TLP), 1);
	case_close(&sim);
}

/* As receiver, RFC 2883 4: the first block names what came twice, below and above the ACK. */
static void
test_dsack_sent(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_passive(&sim, &conf, &s, &p, TCP_OPT_SACK_OK);
	pup_send(&p, F_ACK, 200);
	pup_send_at(&p, p.seq - 200, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, p.seq);
	assert_int_equal(p.in.s.nsack, 1);
	assert_int_equal(p.in.s.sack[0].from, p.seq - 200);
	assert_int_equal(p.in.s.sack[0].to, p.seq - 100);
	// partly old: the old part is reported
	pup_send_at(&p, p.seq - 50, F_ACK, 150);
	p.seq += 100;
	pup_expect(&p, F_ACK, 0, 50 * MS);
	assert_int_equal(p.in.s.ack, p.seq);
	assert_int_equal(p.in.s.sack[0].from, p.seq - 150);
	assert_int_equal(p.in.s.sack[0].to, p.seq - 100);
	// out of order twice: the duplicate, then the block it lies in
	pup_send_at(&p, p.seq + 100, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.nsack, 1);
	pup_send_at(&p, p.seq + 200, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	pup_send_at(&p, p.seq + 100, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.nsack, 2);
	assert_int_equal(p.in.s.sack[0].from, p.seq + 100);
	assert_int_equal(p.in.s.sack[0].to, p.seq + 200);
	assert_int_equal(p.in.s.sack[1].from, p.seq + 100);
	assert_int_equal(p.in.s.sack[1].to, p.seq + 300);
	// several in one burst: what goes on is one block, what does not is told of by itself
	p.out.s.len = 50;
	for (p.out.s.seq = p.seq - 200; p.out.s.seq != p.seq - 100; p.out.s.seq += 50)
		sim_inject(&sim, 1, &p.out);
	pup_send_at(&p, p.seq - 50, F_ACK, 50);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.sack[0].from, p.seq - 200);
	assert_int_equal(p.in.s.sack[0].to, p.seq - 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.sack[0].from, p.seq - 50);
	assert_int_equal(p.in.s.sack[0].to, p.seq);
	// once each
	pup_send(&p, F_ACK, 50);
	pup_send(&p, F_ACK, 50);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	while (pup_next(&p, 0)) {}
	assert_int_equal(p.in.s.nsack, 0);
	assert_int_equal(s.got, 600);
	assert_false(s.wrong);
	case_close(&sim);
}

/* Not without SACK. */
/* An ACK that another overtook moves nothing; what it says by SACK is news. */
static void
test_overtaken_ack(void **state)
{
	(void)state;
	for (int ts = 0; ts < 2; ts++) {
		struct ep c;
		struct pup p;
		uint32_t base, late, unit = ts ? MSS - 12 : MSS;

		start(&p, &c, TCP_OPT_SACK_OK | (ts ? TCP_OPT_TS : 0));
		base = p.ack;
		ep_send(&c, 12 * unit);
		for (uint32_t i = 0; i < 12; i++)
			pup_expect(&p, F_ACK, unit, 1 * MS);
		run(&sim, 40 * MS);
		late = p.tsval;
		p.tsval += 10;
		p.ack = base + 2 * unit;
		pup_send(&p, F_ACK, 0);
		run(&sim, 1 * MS);
		assert_int_equal(c.tc->snd_una, base + 2 * unit);
		// with timestamps PAWS looks first, and lets it pass if it moves nothing
		p.tsval = late;
		p.ack = base + (ts ? 2u : 1u) * unit;
		sack(&p, base + 8 * unit, base + 9 * unit);
		run(&sim, 1 * MS);
		assert_int_equal(c.tc->sacked, unit);
		assert_int_equal(c.tc->snd_una, base + 2 * unit);
		assert_int_equal(c.tc->dupacks, ts ? 1 : 0);
		case_close(&sim);
	}
}

static void
test_dsack_needs_sack(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_passive(&sim, &conf, &s, &p, 0);
	pup_send(&p, F_ACK, 200);
	pup_send_at(&p, p.seq - 200, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.nsack, 0);
	case_close(&sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_one_report),
		T(test_three_reports),
		T(test_sent_later),
		T(test_reordering_seen),
		T(test_window_adapts),
		T(test_too_early),
		T(test_rto_spares_new),
		T(test_tlp),
		T(test_tlp_once),
		T(test_tlp_new_data),
		T(test_tlp_lone_segment),
		T(test_tlp_needs_sack),
		T(test_tlp_repairs),
		T(test_tlp_late_ack),
		T(test_two_holes_one_ack),
		T(test_tlp_moves),
		T(test_tail_loss),
		T(test_dsack_sent),
		T(test_dsack_needs_sack),
		T(test_overtaken_ack),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
