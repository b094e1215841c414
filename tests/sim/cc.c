// SPDX-License-Identifier: BSD-3-Clause
/*
 * Congestion control: slow start and HyStart++, CUBIC's curve, what a loss costs, PRR, undo.
 */
#include "tests/sim/peer.h"

#define MSS 1460u

static struct sim sim;
static struct tcp_conf conf;

static int
reset_conf(void **state)
{
	(void)state;
	sim_conf(&conf);
	conf.rcv_buf = conf.snd_buf = 2 << 20;
	conf.cc = TCP_CC_CUBIC;
	return 0;
}

static uint32_t flight; // segments that the puppet has seen and not acknowledged

/* Host 0 sends to a puppet; scale 7, so that its window is no limit. */
static void
start(struct pup *p, struct ep *c, uint8_t opts)
{
	case_open(&sim, &conf);
	*c = (struct ep){ 0 };
	assert_int_equal(ep_connect(&sim, 0, 80, false, c), 0);
	pup_accept(p, &sim, TCP_OPT_SACK_OK | opts, MSS);
	c->tc->snd_wnd = 1 << 22; // as if scaled
	c->tc->snd_scale = 7;
	c->tc->srtt = 40000 << 3; // of earlier data: no probe while the test waits
	c->tc->rttvar = 10000 << 2;
	flight = 0;
}

/* Takes n full segments. */
static void
take(struct pup *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		pup_expect(p, F_ACK, MSS, 10 * MS);
}

/* A round trip of so long, every segment acknowledged by an ACK of its own. */
static void
round_trip(struct pup *p, struct ep *c, uint64_t us)
{
	uint32_t n = c->tc->cwnd / MSS;

	ep_send(c, n * MSS);
	take(p, n);
	run(&sim, us);
	for (uint32_t i = 0; i < n; i++) {
		p->ack += MSS;
		pup_send(p, F_ACK, 0);
	}
}

static void
look(struct pup *p)
{
	while (pup_next(p, 0)) {
		assert_int_equal(p->in.s.len, MSS);
		flight++;
	}
}

/* The same while there is always more to send; each ACK acknowledges `per` segments. */
static void
flow(struct pup *p, struct ep *c, uint64_t us, uint32_t per)
{
	uint32_t n;

	while (tcp_send_queued(c->tc) < 2 * c->tc->cwnd + 40 * MSS)
		ep_send(c, 10 * MSS);
	run(&sim, 0);
	look(p);
	n = flight;
	flight = 0;
	run(&sim, us);
	for (uint32_t i = 0; i < n; i += per) {
		p->ack += sl_min(per, n - i) * MSS;
		pup_send(p, F_ACK, 0);
		look(p);
	}
}

/* Each round doubles the window. */
static void
test_slow_start(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t before;

	(void)state;
	for (uint32_t cc = 0; cc < TCP_CC_NR; cc++) {
		conf.cc = cc;
		start(&p, &c, 0);
		assert_int_equal(c.tc->cwnd / MSS, 10);
		ep_send(&c, MSS);
		pup_expect(&p, F_ACK, MSS, 10 * MS);
		flight = 1;
		flow(&p, &c, 50 * MS, 10); // one segment: it is not the limit yet
		before = c.tc->cwnd;
		assert_in_range(before, 10 * MSS, 11 * MSS);
		flow(&p, &c, 50 * MS, 10);
		assert_in_range(c.tc->cwnd, 2 * before - 2 * MSS, 2 * before);
		before = c.tc->cwnd;
		flow(&p, &c, 50 * MS, 10);
		// what is paced did not leave at once
		assert_in_range(c.tc->cwnd, tcp_cc_algos[cc]->paced ? before : 2 * before - 2 * MSS,
			2 * before);
		case_close(&sim);
	}
}

/* No growth while the window is not used (RFC 7661's reason). */
static void
test_app_limited(void **state)
{
	struct ep c;
	struct pup p;

	(void)state;
	for (uint32_t cc = 0; cc < TCP_CC_NR; cc++) {
		conf.cc = cc;
		start(&p, &c, 0);
		for (int i = 0; i < 20; i++) {
			ep_send(&c, 2 * MSS);
			take(&p, 2);
			p.ack += 2 * MSS;
			pup_send(&p, F_ACK, 0);
		}
		assert_int_equal(c.tc->cwnd, 10 * MSS);
		case_close(&sim);
	}
}

/* RFC 9406: the round trip grows by more than an eighth: slow start slows down, and ends. */
static void
test_hystart(void **state)
{
	struct ep c;
	struct pup p;
	struct tcp_rec *r;
	uint32_t before;

	(void)state;
	start(&p, &c, 0);
	flow(&p, &c, 40 * MS, 2);
	flow(&p, &c, 40 * MS, 2);
	r = tcp_rec(sim_tcp(&sim, 0), c.tc);
	assert_non_null(r);
	assert_int_equal(r->hy.base, 0);
	for (int i = 0; i < 3 && r->hy.base == 0; i++)
		flow(&p, &c, 160 * MS, 2);
	assert_true(r->hy.base >= 150000);
	assert_int_equal(c.tc->ssthresh, TCP_SSTHRESH_NONE);
	before = c.tc->cwnd;
	flow(&p, &c, 160 * MS, 2);
	// a quarter of the growth
	assert_in_range(c.tc->cwnd - before, before / 8, before / 3);
	for (int i = 0; i < 6 && c.tc->ssthresh == TCP_SSTHRESH_NONE; i++)
		flow(&p, &c, 160 * MS, 4);
	assert_int_not_equal(c.tc->ssthresh, TCP_SSTHRESH_NONE); // congestion avoidance
	case_close(&sim);
}

/* A round of eight samples: what was sent until the one before it ended is acknowledged. */
static void
hystart_round(struct tcp_conn *tc, struct tcp_rec *r, uint32_t rtt_us)
{
	tc->snd_una = r->hy.end;
	tc->snd_nxt += 20 * MSS;
	for (int i = 0; i < 8; i++)
		tcp_hystart_sample(tc, r, rtt_us);
}

/* RFC 9406 4.2: five rounds, of which the first is what was left of the one in which it began. */
static void
test_hystart_rounds(void **state)
{
	struct tcp_conn tc = { .ssthresh = TCP_SSTHRESH_NONE, .cwnd = 40 * MSS };
	struct tcp_rec r = { 0 };
	uint32_t ended = 0;

	(void)state;
	tcp_hystart_init(&tc, &r);
	hystart_round(&tc, &r, 40000);
	assert_int_equal(r.hy.base, 0);
	hystart_round(&tc, &r, 60000); // its eighth sample says so
	assert_int_equal(r.hy.base, 60000);
	while (tc.ssthresh == TCP_SSTHRESH_NONE && ended < 10) {
		hystart_round(&tc, &r, 60000); // with its first sample the one before it has ended
		ended++;
	}
	assert_int_equal(ended, 5);
	assert_int_equal(tc.ssthresh, tc.cwnd);
}

/* ... and goes on in full if the round trip came down again. */
static void
test_hystart_jitter(void **state)
{
	struct ep c;
	struct pup p;
	struct tcp_rec *r;

	(void)state;
	start(&p, &c, 0);
	flow(&p, &c, 40 * MS, 2);
	flow(&p, &c, 40 * MS, 2);
	flow(&p, &c, 40 * MS, 2);
	r = tcp_rec(sim_tcp(&sim, 0), c.tc);
	for (int i = 0; i < 3 && r->hy.base == 0; i++)
		flow(&p, &c, 160 * MS, 2);
	assert_true(r->hy.base != 0);
	for (int i = 0; i < 2 && r->hy.base != 0; i++)
		flow(&p, &c, 20 * MS, 8);
	assert_int_equal(r->hy.base, 0);
	assert_int_equal(c.tc->ssthresh, TCP_SSTHRESH_NONE);
	case_close(&sim);
}

/* The hole at the front of a flight of n; returns its first number. */
static uint32_t
lose_first(struct pup *p, struct ep *c, uint32_t n)
{
	uint32_t base = p->ack;

	c->tc->cwnd = n * MSS;
	ep_send(c, n * MSS);
	take(p, n);
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

/* What a loss costs: CUBIC 3/10, NewReno half; recovery ends at ssthresh. */
static void
test_loss(void **state)
{
	static const struct {
		uint32_t cc, ssthresh;
	} row[] = { { TCP_CC_NEWRENO, 10 }, { TCP_CC_CUBIC, 14 } };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(row); i++) {
		struct ep c;
		struct pup p;
		uint32_t base;

		conf.cc = row[i].cc;
		start(&p, &c, 0);
		round_trip(&p, &c, 40 * MS);
		base = lose_first(&p, &c, 20);
		sack(&p, base + MSS, base + 4 * MSS);
		assert_true(c.tc->flags & TF_RECOVERY);
		assert_int_equal(c.tc->ssthresh, row[i].ssthresh * MSS);
		pup_expect(&p, F_ACK, MSS, 10 * MS);
		assert_int_equal(p.in.s.seq, base);
		p.ack = base + 20 * MSS;
		pup_send(&p, F_ACK, 0);
		assert_false(c.tc->flags & TF_RECOVERY);
		assert_int_equal(c.tc->cwnd, row[i].ssthresh * MSS);
		case_close(&sim);
	}
}

/* RFC 6937: during recovery CUBIC sends seven segments for ten that arrive, no burst, no silence. */
static void
test_prr(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base, sent = 0;

	(void)state;
	start(&p, &c, 0);
	round_trip(&p, &c, 40 * MS);
	base = lose_first(&p, &c, 20);
	ep_send(&c, 40 * MSS); // waits for its turn
	for (uint32_t i = 1; i < 20; i++) {
		sack(&p, base + MSS, base + (i + 1) * MSS);
		while (pup_next(&p, 0))
			sent++;
		if (i >= 3) {
			// CEIL(delivered * 14 / 20), the limited transmit before included
			uint32_t due = ((i - 0) * 14 + 19) / 20;
			assert_in_range(sent, due > 1 ? due - 1 : 1, due + 2);
		}
	}
	assert_in_range(sent, 12, 15);
	assert_true(tcp_pipe(c.tc) <= 15 * MSS);
	case_close(&sim);
}

/* The whole flight but two is lost: the window is rebuilt by what arrives, and one more per ACK. */
static void
test_prr_heavy_loss(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base, n;

	(void)state;
	start(&p, &c, 0);
	round_trip(&p, &c, 40 * MS);
	base = lose_first(&p, &c, 20);
	sack(&p, base + 17 * MSS, base + 20 * MSS);
	for (n = 0; pup_next(&p, 0); n++) {}
	assert_in_range(n, 1, 4); // three arrived: no burst of 14
	// the peer's own data says nothing of ours: it lets nothing out
	for (int i = 0; i < 10; i++) {
		pup_send(&p, F_ACK, 100);
		while (pup_next(&p, 0))
			assert_int_equal(p.in.s.len, 0);
	}
	p.ack = base + MSS;
	sack(&p, base + 17 * MSS, base + 20 * MSS);
	for (n = 0; pup_next(&p, 0); n++) {}
	assert_in_range(n, 1, 2); // one arrived, and went forward: two
	case_close(&sim);
}

/* RFC 9438 4: after a loss the window comes back to W_max after K, flat around it, then grows. */
static void
test_cubic_curve(void **state)
{
	struct ep c;
	struct pup p;
	struct tcp_rec *r;
	uint32_t base;
	uint64_t t0;

	(void)state;
	start(&p, &c, 0);
	round_trip(&p, &c, 40 * MS);
	base = lose_first(&p, &c, 100);
	sack(&p, base + MSS, base + 4 * MSS);
	while (pup_next(&p, 0)) {}
	p.ack = base + 100 * MSS;
	pup_send(&p, F_ACK, 0);
	r = tcp_rec(sim_tcp(&sim, 0), c.tc);
	assert_int_equal(c.tc->cwnd, 70 * MSS);
	assert_int_equal(r->cu.w_max, 100 * MSS);
	flow(&p, &c, 100 * MS, 10); // the epoch begins with the first growth
	while (r->cu.epoch == TICK_NONE)
		flow(&p, &c, 100 * MS, 10);
	t0 = (uint64_t)r->cu.epoch * 1000;
	// K = cbrt(30 / 0.4) = 4.217 s
	assert_in_range(r->cu.k_ms, 4216, 4218);
	for (uint32_t i = 0; i < 70; i++) {
		uint32_t before = c.tc->cwnd;
		double t, want;

		flow(&p, &c, 100 * MS, 10);
		t = (double)(sim.now_us - t0) / 1e6 - 4.217;
		want = 0.4 * t * t * t + 100;
		assert_true(c.tc->cwnd >= before);
		if ((double)c.tc->cwnd / MSS < want - 5 || (double)c.tc->cwnd / MSS > want + 5)
			fail_msg("%.3f s: %u, not %.1f", t + 4.217, c.tc->cwnd / MSS, want);
	}
	assert_true(c.tc->cwnd > 110 * MSS);
	case_close(&sim);
}

/* 4.3: on a short path CUBIC is not slower than Reno with the same beta. */
static void
test_cubic_reno_friendly(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;

	(void)state;
	start(&p, &c, 0);
	round_trip(&p, &c, 2 * MS);
	c.tc->cwnd = 20 * MSS;
	base = p.ack;
	ep_send(&c, 20 * MSS);
	take(&p, 20);
	run(&sim, 2 * MS);
	sack(&p, base + MSS, base + 4 * MSS);
	while (pup_next(&p, 0)) {}
	p.ack = base + 20 * MSS;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(c.tc->cwnd, 14 * MSS);
	for (int i = 0; i < 11; i++)
		flow(&p, &c, 2 * MS, 5);
	// ten round trips at 9/17 of a segment; the cube alone would have added nothing to speak of
	assert_in_range(c.tc->cwnd / MSS, 18, 20);
	case_close(&sim);
}

/* 4.7: a second loss below W_max lowers it further. */
static void
test_fast_convergence(void **state)
{
	struct ep c;
	struct pup p;
	struct tcp_rec *r;

	(void)state;
	start(&p, &c, 0);
	round_trip(&p, &c, 40 * MS);
	for (int i = 0; i < 2; i++) {
		uint32_t base = lose_first(&p, &c, i == 0 ? 40 : 28);
		sack(&p, base + MSS, base + 4 * MSS);
		while (pup_next(&p, 0)) {}
		p.ack = base + (i == 0 ? 40 : 28) * MSS;
		pup_send(&p, F_ACK, 0);
		r = tcp_rec(sim_tcp(&sim, 0), c.tc);
		assert_int_equal(r->cu.w_max, i == 0 ? 40 * MSS : 28 * MSS * 17 / 20);
	}
	case_close(&sim);
}

/* A timeout: one segment, then slow start to ssthresh. */
static void
test_rto_window(void **state)
{
	struct ep c;
	struct pup p;

	(void)state;
	for (uint32_t cc = 0; cc < TCP_CC_NR; cc++) {
		uint32_t base;

		conf.cc = cc;
		start(&p, &c, 0);
		round_trip(&p, &c, 40 * MS);
		base = lose_first(&p, &c, 20);
		while (pup_next(&p, 400 * MS) && sim_stat(&sim, 0, STAT_TCP_RTO) == 0) {}
		assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RTO), 1);
		assert_int_equal(c.tc->cwnd, MSS);
		assert_int_equal(p.in.s.seq, base);
		if (!tcp_cc_algos[cc]->paced) // else there is none
			assert_true(c.tc->ssthresh >= 2 * MSS && c.tc->ssthresh <= 40 * MSS);
		// one segment per ACK while what was lost is repaired
		for (int i = 0; i < 3; i++) {
			uint32_t before = c.tc->cwnd;
			p.ack += MSS;
			pup_send(&p, F_ACK, 0);
			if (!tcp_cc_algos[cc]->paced) // BBR: four at least
				assert_true(c.tc->cwnd <= before + MSS);
			assert_true(c.tc->cwnd <= sl_max(before + MSS, 4 * MSS));
			while (pup_next(&p, 0)) {}
		}
		case_close(&sim);
	}
}

/* D-SACK (RFC 2883, 3708): all retransmissions were needless: the window is as before. */
static void
test_undo(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base, before;

	(void)state;
	start(&p, &c, 0);
	round_trip(&p, &c, 40 * MS);
	base = lose_first(&p, &c, 20);
	before = c.tc->cwnd;
	sack(&p, base + MSS, base + 4 * MSS);
	pup_expect(&p, F_ACK, MSS, 10 * MS);
	p.ack = base + 20 * MSS; // the original came
	pup_send(&p, F_ACK, 0);
	assert_int_equal(c.tc->cwnd, 14 * MSS);
	sack(&p, base, base + MSS); // and so did the retransmission
	assert_true(c.tc->cwnd >= before);
	assert_int_equal(c.tc->ssthresh, TCP_SSTHRESH_NONE);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_UNDO), 1);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_DSACK_IN), 1);
	sack(&p, base, base + MSS); // told again: nothing more to undo
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_UNDO), 1);
	case_close(&sim);
}

/* The ACK before it was lost: the same ACK covers the segment for the first time, and tells of it twice. */
static void
test_undo_by_first_ack(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base, before;

	(void)state;
	start(&p, &c, 0);
	round_trip(&p, &c, 40 * MS);
	base = lose_first(&p, &c, 20);
	before = c.tc->cwnd;
	p.out.s.sack[1] = (struct tcp_sack){ base + MSS, base + 2 * MSS };
	p.out.s.sack[0] = (struct tcp_sack){ base + 3 * MSS, base + 12 * MSS };
	p.out.s.nsack = 2;
	pup_send(&p, F_ACK, 0);
	for (uint32_t i = 0; i < 2; i++) {
		pup_expect(&p, F_ACK, MSS, 10 * MS);
		assert_int_equal(p.in.s.seq, base + i * 2 * MSS);
	}
	p.ack = base + 20 * MSS; // both originals came, then both retransmissions
	sack(&p, base + 2 * MSS, base + 3 * MSS);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_DSACK_IN), 1);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_UNDO), 0);
	sack(&p, base, base + MSS);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_DSACK_IN), 2);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_UNDO), 1);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_SACK_BAD), 0);
	assert_true(c.tc->cwnd >= before);
	case_close(&sim);
}

/* Timestamps say the same at once (RFC 3522): recovery is over, what was marked lost is not. */
static void
test_undo_by_timestamp(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base, tsecr, before, unit = MSS - 12;

	(void)state;
	start(&p, &c, TCP_OPT_TS);
	c.tc->cwnd = 20 * unit;
	c.tc->srtt = 40000 << 3;
	base = p.ack;
	ep_send(&c, 20 * unit);
	for (int i = 0; i < 20; i++)
		pup_expect(&p, F_ACK, unit, 10 * MS);
	tsecr = p.tsecr;
	run(&sim, 40 * MS);
	before = c.tc->cwnd;
	sack(&p, base + unit, base + 4 * unit);
	pup_expect(&p, F_ACK, unit, 10 * MS);
	assert_true(c.tc->flags & TF_RECOVERY);
	p.tsecr = tsecr; // of the original
	p.ack = base + 4 * unit;
	pup_send(&p, F_ACK, 0);
	assert_false(c.tc->flags & TF_RECOVERY);
	assert_true(c.tc->cwnd >= before);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_UNDO), 1);
	case_close(&sim);
}

/* One of two retransmissions was needless, the other was not: the loss counts. */
static void
test_no_undo_beside_a_loss(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base, tsecr, before, unit = MSS - 12;

	(void)state;
	start(&p, &c, TCP_OPT_TS);
	c.tc->cwnd = 20 * unit;
	c.tc->srtt = 40000 << 3;
	base = p.ack;
	ep_send(&c, 20 * unit);
	for (int i = 0; i < 20; i++)
		pup_expect(&p, F_ACK, unit, 10 * MS);
	tsecr = p.tsecr;
	run(&sim, 40 * MS);
	before = c.tc->cwnd;
	sack(&p, base + 2 * unit, base + 8 * unit);
	pup_expect(&p, F_ACK, unit, 10 * MS);
	pup_expect(&p, F_ACK, unit, 10 * MS);
	p.tsecr = tsecr; // the first was only late
	p.ack = base + unit;
	pup_send(&p, F_ACK, 0);
	run(&sim, 1 * MS);
	assert_true(c.tc->flags & TF_RECOVERY);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_UNDO), 0);
	p.tsecr = tsecr + 45; // and this is the retransmission of the second
	p.ack = base + 20 * unit;
	pup_send(&p, F_ACK, 0);
	run(&sim, 1 * MS);
	assert_true(c.tc->cwnd < before);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_UNDO), 0);
	case_close(&sim);
}

/* RFC 3042: the first two duplicates each let a new segment out. */
static void
test_limited_transmit(void **state)
{
	struct ep c;
	struct pup p;
	uint32_t base;

	(void)state;
	start(&p, &c, 0);
	round_trip(&p, &c, 40 * MS);
	c.tc->srtt = 400000 << 3; // the reordering window is long enough to stay out of this
	base = lose_first(&p, &c, 6);
	ep_send(&c, 4 * MSS);
	for (uint32_t i = 1; i <= 2; i++) {
		sack(&p, base + MSS, base + (i + 1) * MSS);
		pup_expect(&p, F_ACK, MSS, 1 * MS);
		assert_int_equal(p.in.s.seq, base + (5 + i) * MSS);
		pup_silence(&p, 1 * MS);
	}
	assert_false(c.tc->flags & TF_RECOVERY);
	sack(&p, base + MSS, base + 4 * MSS);
	pup_expect(&p, F_ACK, MSS, 1 * MS);
	assert_int_equal(p.in.s.seq, base);
	case_close(&sim);
}

/* The pool of blocks is empty: everything still works, as RFC 5681 and 6675 have it. */
static void
test_no_block(void **state)
{
	(void)state;
	for (uint32_t cc = 0; cc < TCP_CC_NR; cc++) {
		struct ep c;
		struct pup p;
		uint32_t base;

		conf.cc = cc;
		start(&p, &c, 0);
		sim_tcp(&sim, 0)->recs.free_head = POOL_NONE;
		round_trip(&p, &c, 40 * MS);
		assert_true(c.tc->cwnd >= 10 * MSS);
		base = lose_first(&p, &c, 20);
		sack(&p, base + MSS, base + 4 * MSS);
		pup_expect(&p, F_ACK, MSS, 10 * MS);
		assert_int_equal(p.in.s.seq, base);
		assert_true(c.tc->cwnd >= 10 * MSS && c.tc->cwnd <= 14 * MSS);
		p.ack = base + 20 * MSS;
		pup_send(&p, F_ACK, 0);
		assert_false(c.tc->flags & TF_RECOVERY);
		flow(&p, &c, 40 * MS, 1);
		base = c.tc->cwnd;
		flow(&p, &c, 40 * MS, 1); // about a segment more
		assert_in_range(c.tc->cwnd - base, 1000, 2 * MSS);
		assert_int_equal(c.tc->rec, TCP_NONE);
		// the damage to the pool is undone
		sim_tcp(&sim, 0)->recs.free_head = 0;
		case_close(&sim);
	}
}

/* Who gets a block gives it back. */
static void
test_block_returned(void **state)
{
	struct ep c;
	struct pup p;

	(void)state;
	start(&p, &c, 0);
	round_trip(&p, &c, 40 * MS);
	assert_int_equal(sim_tcp(&sim, 0)->recs.used, 1);
	pup_send(&p, F_RST, 0);
	run(&sim, 1 * MS);
	assert_int_equal(sim_tcp(&sim, 0)->recs.used, 0);
	case_close(&sim);
}

/* A bulk transfer over a path with 1 % loss: every row gets it there. */
static void
test_all_rows_transfer(void **state)
{
	(void)state;
	for (uint32_t cc = 0; cc < TCP_CC_NR; cc++) {
		struct ep c = { 0 }, s = { 0 };

		conf.cc = cc;
		case_open(&sim, &conf);
		pair(&sim, false, &c, &s);
		sim.link[0].loss_ppm = 10000;
		for (int i = 0; i < 10; i++) {
			ep_send(&c, 100000);
			run(&sim, 200 * MS);
		}
		run(&sim, 5 * SEC);
		assert_int_equal(s.got, 1000000);
		assert_false(s.wrong);
		case_close(&sim);
	}
}

#define T(f) cmocka_unit_test_setup(f, reset_conf)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_slow_start),
		T(test_app_limited),
		T(test_hystart),
		T(test_hystart_rounds),
		T(test_hystart_jitter),
		T(test_loss),
		T(test_prr),
		T(test_prr_heavy_loss),
		T(test_cubic_curve),
		T(test_cubic_reno_friendly),
		T(test_fast_convergence),
		T(test_rto_window),
		T(test_undo),
		T(test_undo_by_first_ack),
		T(test_undo_by_timestamp),
		T(test_no_undo_beside_a_loss),
		T(test_limited_transmit),
		T(test_no_block),
		T(test_block_returned),
		T(test_all_rows_transfer),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
