// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bytes: acknowledgements, losses, holes, windows, timers, budgets.
 */
#include "tests/sim/peer.h"

static struct sim sim;
static struct tcp_conf conf;

/* What crossed the wire, by sender. */
static struct {
	uint32_t segs[2], pure[2];
	uint32_t edge[2]; // right edge of the receive window, per sender of ACKs
	bool has_edge[2], shrank;
	uint8_t scale[2];
	uint32_t drop_nth, nth, drop_count; // of host 0's data segments
	uint32_t data;
} seen;

static bool
watch(struct sim *s, int from, const struct sim_pkt *p)
{
	uint32_t edge = p->s.ack + ((uint32_t)p->s.wnd << seen.scale[from]);

	(void)s;
	seen.segs[from]++;
	seen.pure[from] += p->s.len == 0;
	if (seen.has_edge[from] && seq_lt(edge, seen.edge[from]))
		seen.shrank = true;
	if (!seen.has_edge[from] || seq_gt(edge, seen.edge[from]))
		seen.edge[from] = edge;
	seen.has_edge[from] = true;
	if (from == 0 && p->s.len > 0) {
		seen.data++;
		if (seen.drop_nth != 0 && ++seen.nth >= seen.drop_nth && seen.drop_count > 0) {
			seen.drop_count--;
			return false;
		}
	}
	return true;
}

static void
start(struct ep *c, struct ep *s)
{
	case_open(&sim, &conf);
	pair(&sim, false, c, s);
	memset(&seen, 0, sizeof(seen));
	seen.scale[0] = c->tc->rcv_scale;
	seen.scale[1] = s->tc->rcv_scale;
	sim.tap = watch;
}

static int
reset_conf(void **state)
{
	(void)state;
	sim_conf(&conf);
	return 0;
}

/* 2 packets in, 2 packets out per request and answer: acknowledgements ride. */
static void
test_ack_rides(void **state)
{
	struct ep c = { 0 }, s = { .echo = true };

	(void)state;
	start(&c, &s);
	for (uint32_t i = 1; i <= 20; i++) {
		ep_send(&c, 100);
		run(&sim, 15 * MS); // a round trip and less than the delay
		assert_int_equal(c.got, i * 100);
	}
	assert_int_equal(seen.segs[0], 20);
	assert_int_equal(seen.segs[1], 20);
	assert_int_equal(seen.pure[0] + seen.pure[1], 0);
	// the last answer is acknowledged after 40 ms
	run(&sim, 100 * MS);
	assert_int_equal(seen.pure[0], 1);
	assert_true(s.events & TCP_EV_ACKED);
	case_close(&sim);
}

/* When an acknowledgement may wait, and when not. */
static void
test_delack(void **state)
{
	struct ep s = { 0 };
	struct pup p;
	uint64_t t0;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, 0, 1460);
	t0 = sim.now_us;
	pup_send(&p, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 100 * MS);
	assert_in_range(sim.now_us - t0, 39 * MS, 43 * MS);
	// the second full segment
	pup_send(&p, F_ACK, 1448);
	pup_silence(&p, 20 * MS);
	pup_send(&p, F_ACK, 1448);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, p.seq);
	// out of order, then the gap filled
	pup_send_at(&p, p.seq + 100, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, p.seq);
	pup_send(&p, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	p.seq += 100;
	assert_int_equal(p.in.s.ack, p.seq);
	// old data
	pup_send_at(&p, p.seq - 50, F_ACK, 50);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	// FIN
	pup_send(&p, F_ACK | F_FIN, 0);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, p.seq);
	assert_int_equal(s.got, 100 + 2 * 1448 + 200);
	assert_false(s.wrong);
	case_close(&sim);
}

/* One segment of a flight is lost: sent again after three duplicates, no timeout. */
static void
fast_retransmit(bool sack)
{
	struct ep c = { 0 }, s = { 0 };

	conf.sack = sack;
	start(&c, &s);
	seen.drop_nth = 3;
	seen.drop_count = 1;
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

/* Three of ten lost: with SACK exactly those go again. */
static void
test_sack_holes(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t base, mss = 1460;

	(void)state;
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_accept(&p, &sim, TCP_OPT_SACK_OK, 1460);
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
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_accept(&p, &sim, TCP_OPT_SACK_OK, 1460);
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
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, TCP_OPT_SACK_OK, 1460);
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

/* Two neighbours change places: no retransmission. */
static void
test_reorder(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	start(&c, &s);
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
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_accept(&p, &sim, TCP_OPT_SACK_OK | TCP_OPT_TS, 1460);
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
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_accept(&p, &sim, TCP_OPT_SACK_OK, 1460);
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
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_accept(&p, &sim, TCP_OPT_SACK_OK | TCP_OPT_TS, 1460);
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
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_accept(&p, &sim, TCP_OPT_TS, 1460);
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

/* The reader sleeps: the window closes and never shrinks, probes go on, nothing is lost. */
static void
test_zero_window(void **state)
{
	struct ep c = { 0 }, s = { .hold = true };
	uint64_t probes;

	(void)state;
	start(&c, &s);
	ep_send(&c, 400000);
	run(&sim, 10 * SEC);
	assert_int_equal(s.got, 0);
	assert_int_equal(c.tc->snd_wnd, 0);
	assert_int_equal(c.tc->tmode, TM_PERSIST);
	assert_in_range(tcp_rx(s.tc)->len, 60000, 131072);
	probes = sim_stat(&sim, 0, STAT_TCP_PROBES);
	assert_in_range(probes, 3, 7); // 0.2, 0.6, 1.4, 3, 6.2 s
	run(&sim, 120 * SEC);
	assert_in_range(
		sim_stat(&sim, 0, STAT_TCP_PROBES) - probes, 2, 6); // at most a minute apart
	assert_non_null(c.tc); // never gives up while the peer answers
	s.hold = false;
	ep_read(&s);
	run(&sim, 5 * SEC);
	assert_int_equal(s.got, 400000);
	assert_false(s.wrong);
	assert_false(seen.shrank);
	assert_true(c.events & TCP_EV_WRITABLE);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RETRANS), 0);
	case_close(&sim);
}

/* A window of a few bytes: silly segments wait for the override timeout. */
static void
test_silly_window(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint64_t t0;

	(void)state;
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_accept(&p, &sim, 0, 1460);
	ep_send(&c, 1460);
	pup_expect(&p, F_ACK, 1460, 10 * MS);
	p.ack += 1460;
	p.wnd = 100;
	pup_send(&p, F_ACK, 0);
	t0 = sim.now_us;
	ep_send(&c, 1460);
	pup_expect(&p, F_ACK, 100, 5 * SEC);
	assert_true(sim.now_us - t0 >= 190 * MS);
	// half of the largest window seen is enough at once
	p.ack += 100;
	p.wnd = 40000;
	pup_send(&p, F_ACK, 0);
	pup_expect(&p, F_ACK, 1360, 10 * MS);
	case_close(&sim);
}

/* The receiver's side: no update for a few bytes. */
static void
test_window_update(void **state)
{
	struct ep s = { .hold = true };
	struct pup p;
	uint32_t left;
	struct lcore *lc;

	(void)state;
	conf.rcv_buf = 16384;
	case_open(&sim, &conf);
	lc = sim.host[0].lc;
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, 0, 1460);
	left = 16384;
	while (left > 0 && sim.nstolen < 200) {
		uint32_t n = sl_min(left, 1024u);
		pup_send(&p, F_ACK, n);
		left -= n;
	}
	while (pup_next(&p, 100 * MS)) {}
	assert_int_equal(p.in.s.wnd, 0);
	assert_int_equal(p.in.s.ack, p.seq);
	// what comes now does not fit: an ACK says so, and its own ACK field still counts
	pup_send_at(&p, p.seq, F_ACK, 1);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, p.seq);
	tcp_rx_drop(lc, s.tc, 500);
	pup_silence(&p, 100 * MS);
	tcp_rx_drop(lc, s.tc, 12000);
	pup_expect(&p, F_ACK, 0, 5 * MS);
	assert_true(p.in.s.wnd >= 2 * 1428);
	case_close(&sim);
}

/* RFC 7323: old timestamps are refused and answered; missing ones are dropped. */
static void
test_paws(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, TCP_OPT_TS, 1460);
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
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, 0, 1460);
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
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, 0, 1460);
	p.out.s.seq = p.seq + 1;
	p.out.s.flags = F_RST;
	for (int i = 0; i < 1900; i++) // in one moment
		sim_inject(&sim, 1, &p.out);
	run(&sim, 10 * MS);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_BAD_RST), 1900);
	assert_in_range(sim_stat(&sim, 0, STAT_TCP_CHALLENGE), 500, 1500);
	case_close(&sim);
}

/* RFC 6928: ten segments before the first acknowledgement; then two for each. */
static void
test_initial_window(void **state)
{
	struct ep c = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_accept(&p, &sim, 0, 1460);
	ep_send(&c, 40 * 1460);
	for (int i = 0; i < 10; i++)
		pup_expect(&p, F_ACK, 1460, 10 * MS);
	pup_silence(&p, 100 * MS);
	p.ack += 2 * 1460;
	pup_send(&p, F_ACK, 0);
	for (int i = 0; i < 4; i++)
		pup_expect(&p, F_ACK, 1460, 10 * MS);
	pup_silence(&p, 10 * MS);
	case_close(&sim);
}

/* After an idle time the window is the initial one again. */
static void
test_idle(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	start(&c, &s);
	ep_send(&c, 120000);
	run(&sim, 1 * SEC);
	assert_true(c.tc->cwnd > 20u * tcp_mss(c.tc));
	ep_send(&c, 1000);
	run(&sim, 1 * MS);
	assert_int_equal(c.tc->cwnd, 10 * tcp_mss(c.tc));
	case_close(&sim);
}

/* The worker's budget: payload is refused, acknowledgements are not; then it goes on. */
static void
test_rx_budget(void **state)
{
	struct ep c = { 0 }, s = { .hold = true };

	(void)state;
	start(&c, &s);
	sim.host[1].lc->retain_max = 20 * CHAIN_TRUESIZE;
	ep_send(&c, 100000);
	run(&sim, 3 * SEC);
	assert_true(sim_drop(&sim, 1, DROP_RX_BUDGET) > 0);
	assert_true(sim.host[1].lc->retained <= 20 * CHAIN_TRUESIZE);
	ep_send(&s, 1000); // our side still sends and is acknowledged
	run(&sim, 1 * SEC);
	assert_int_equal(c.got, 1000);
	assert_int_equal(tcp_send_queued(s.tc), 0);
	s.hold = false;
	ep_read(&s);
	run(&sim, 60 * SEC);
	assert_int_equal(s.got, 100000);
	assert_false(s.wrong);
	case_close(&sim);
}

/* Who does not read holds little; who has a long path may hold what it needs. */
static void
test_send_queue(void **state)
{
	struct ep c = { 0 }, s = { .hold = true };
	uint32_t queued = 0, most;

	(void)state;
	conf.rcv_buf = 64 * 1024;
	conf.snd_buf = 1 << 20;
	start(&c, &s);
	for (int i = 0; i < 100; i++) {
		uint32_t n = tcp_send_space(c.tc) / tcp_mss(c.tc) * tcp_mss(c.tc);
		if (n > 0)
			ep_send(&c, n);
		run(&sim, 10 * MS);
	}
	queued = tcp_send_queued(c.tc);
	assert_in_range(queued, 100 * 1024, 170 * 1024);
	s.hold = false;
	ep_read(&s);
	run(&sim, 10 * SEC);
	case_close(&sim);
	conf.rcv_buf = 1 << 20;
	s = c = (struct ep){ 0 };
	start(&c, &s);
	most = 0;
	for (int i = 0; i < 40; i++) {
		uint32_t n = tcp_send_space(c.tc) / tcp_mss(c.tc) * tcp_mss(c.tc);
		if (n > 0)
			ep_send(&c, n);
		most = sl_max(most, tcp_send_queued(c.tc));
		run(&sim, 10 * MS);
	}
	assert_true(most > 900 * 1024);
	run(&sim, 5 * SEC);
	assert_int_equal(s.got, c.sent);
	assert_false(s.wrong);
	case_close(&sim);
}

/* Pieces of a few bytes share buffers: a slow writer does not pin one per byte. */
static void
test_small_pieces(void **state)
{
	struct ep s = { .hold = true };
	struct pup p;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, 0, 1460);
	for (int i = 0; i < 1000; i++) {
		pup_send(&p, F_ACK, 3);
		sim.nstolen = 0;
	}
	assert_int_equal(tcp_rx(s.tc)->len, 3000);
	assert_in_range(tcp_rx(s.tc)->segs, 2, 4);
	assert_int_equal(sim.host[0].lc->retained, tcp_rx(s.tc)->segs * CHAIN_TRUESIZE);
	ep_read(&s);
	assert_false(s.wrong);
	case_close(&sim);
}

/* Segments out of order are bounded by buffers, not only by bytes. */
static void
test_ooo_bound(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	conf.rcv_buf = 32768;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, TCP_OPT_SACK_OK, 1460);
	for (uint32_t i = 1; i < 200; i++) {
		pup_send_at(&p, p.seq + i * 4, F_ACK, 2);
		sim.nstolen = 0;
	}
	assert_in_range(s.tc->ooo_segs, 20, 2 * 32768 / CHAIN_TRUESIZE);
	assert_true(sim_drop(&sim, 0, DROP_TCP_OOO_FULL) > 100);
	case_close(&sim);
}

/* A FIN ahead of its data holds a buffer too, though it has no byte. */
static void
test_ooo_fin_bound(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	conf.rcv_buf = 32768;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, TCP_OPT_SACK_OK, 1460);
	for (uint32_t i = 1; i < 200; i++) {
		pup_send_at(&p, p.seq + i * 4, F_ACK | F_FIN, 0);
		sim.nstolen = 0;
	}
	assert_in_range(s.tc->ooo_segs, 1, 2 * 32768 / CHAIN_TRUESIZE);
	assert_true(sim_drop(&sim, 0, DROP_TCP_OOO_FULL) > 100);
	case_close(&sim);
}

/* "Fragmentation needed": smaller segments from there on, the lost one again. */
static void
test_too_big(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	struct net_icmp_error icmp = { .kind = NET_ICMP_TOO_BIG, .mtu = 1000 };
	struct ip_port l, r;

	(void)state;
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_accept(&p, &sim, 0, 1460);
	ep_send(&c, 1460);
	pup_expect(&p, F_ACK, 1460, 10 * MS);
	tcp_get_addrs(c.tc, &l, &r);
	icmp.laddr = l.ip;
	icmp.raddr = r.ip;
	icmp.lport = l.port;
	icmp.rport = r.port;
	icmp.seq = p.in.s.seq;
	tcp_icmp(sim.host[0].lc, &icmp);
	assert_int_equal(tcp_mss(c.tc), 960);
	pup_expect(&p, F_ACK, 960, 10 * MS);
	pup_expect(&p, F_ACK, 500, 10 * MS);
	case_close(&sim);
}

/* The driver still holds the buffer when it is due again: its headers are not touched, a copy goes. */
static void
test_shared_retransmit(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	struct rte_mbuf *m;
	uint8_t before[256];

	(void)state;
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_accept(&p, &sim, TCP_OPT_TS, 1460);
	ep_send(&c, 100);
	pup_expect(&p, F_ACK, 100, 10 * MS);
	m = c.tc->sndq;
	assert_int_equal(rte_mbuf_refcnt_read(m), 1); // the queue's alone, so far
	rte_mbuf_refcnt_update(m, 1);
	memcpy(before, (char *)m->buf_addr + m->data_off, m->data_len);
	pup_expect(&p, F_ACK, 100, 1 * SEC);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RETRANS), 1);
	assert_memory_equal(before, (char *)m->buf_addr + m->data_off, m->data_len);
	assert_int_equal(rte_mbuf_refcnt_read(m), 2);
	// acknowledged: the queue lets go, the driver's reference is the last
	p.ack = p.in.s.seq + 100;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(tcp_send_queued(c.tc), 0);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	rte_pktmbuf_free(m);
	case_close(&sim);
}

/* The payload that came in leaves in the same buffer, also a second time. */
static void
test_moved(void **state)
{
	struct ep c = { 0 }, s = { .echo = true };

	(void)state;
	start(&c, &s);
	ep_send(&c, 20 * tcp_mss(c.tc));
	run(&sim, 1 * SEC);
	assert_int_equal(c.got, 20 * tcp_mss(c.tc));
	assert_false(c.wrong);
	assert_int_equal(sim_stat(&sim, 1, STAT_TCP_MOVED), 20);
	assert_int_equal(sim_stat(&sim, 1, STAT_TCP_REPACK), 0);
	case_close(&sim);
}

#define T(f) cmocka_unit_test_setup(f, reset_conf)
int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ack_rides),
		T(test_delack),
		T(test_fast_retransmit),
		T(test_sack_holes),
		T(test_sack_attack),
		T(test_sack_blocks),
		T(test_reorder),
		T(test_backoff),
		T(test_zero_window),
		T(test_silly_window),
		T(test_window_update),
		T(test_paws),
		T(test_challenge),
		T(test_challenge_limit),
		T(test_initial_window),
		T(test_idle),
		T(test_rx_budget),
		T(test_send_queue),
		T(test_small_pieces),
		T(test_ooo_bound),
		T(test_ooo_fin_bound),
		T(test_too_big),
		T(test_moved),
		T(test_shared_retransmit),
		T(test_reorder_window),
		T(test_lost_retransmission),
		T(test_karn),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
