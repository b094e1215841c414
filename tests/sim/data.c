// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bytes: when they are acknowledged, in which buffers they stand, and how many may.
 */
#include "tests/sim/case.h"

/* What crossed the wire, by sender. */
static uint32_t segs[2], pure[2];

static bool
watch(struct sim *s, int from, const struct sim_pkt *p)
{
	(void)s;
	segs[from]++;
	pure[from] += p->s.len == 0;
	return true;
}

/* 2 packets in, 2 packets out per request and answer: acknowledgements ride. */
static void
test_ack_rides(void **state)
{
	struct ep c = { 0 }, s = { .echo = true };

	(void)state;
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
	memset(segs, 0, sizeof(segs));
	memset(pure, 0, sizeof(pure));
	sim.tap = watch;
	for (uint32_t i = 1; i <= 20; i++) {
		ep_send(&c, 100);
		run(&sim, 15 * MS); // a round trip and less than the delay
		assert_int_equal(c.got, i * 100);
	}
	assert_int_equal(segs[0], 20);
	assert_int_equal(segs[1], 20);
	assert_int_equal(pure[0] + pure[1], 0);
	// the last answer is acknowledged after 40 ms
	run(&sim, 100 * MS);
	assert_int_equal(pure[0], 1);
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
	case_passive(&sim, &conf, &s, &p, 0);
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

/* The worker's budget: payload is refused, acknowledgements are not; then it goes on. */
static void
test_rx_budget(void **state)
{
	struct ep c = { 0 }, s = { .hold = true };

	(void)state;
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
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
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
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
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
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
	case_passive(&sim, &conf, &s, &p, 0);
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
	case_passive(&sim, &conf, &s, &p, TCP_OPT_SACK_OK);
	for (uint32_t i = 1; i < 200; i++) {
		pup_send_at(&p, p.seq + i * 4, F_ACK, 2);
		sim.nstolen = 0;
	}
	assert_in_range(s.tc->ooo_segs, 20, 2 * 32768 / CHAIN_TRUESIZE);
	assert_true(sim_drop(&sim, 0, DROP_TCP_OOO_FULL) > 100);
	case_close(&sim);
}

/* Gaps are bounded, for each costs work with each segment; pieces that follow each other are not. */
static void
test_ooo_runs(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	conf.rcv_buf = 2 << 20;
	case_passive(&sim, &conf, &s, &p, TCP_OPT_SACK_OK);
	for (uint32_t i = 0; i < 600; i++) {
		pup_send_at(&p, p.seq + 4 + i * 4, F_ACK, 1);
		sim.nstolen = 0;
	}
	assert_int_equal(s.tc->ooo_segs, 256);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_OOO_FULL), 344);
	// what fills a gap, or goes on, is no new one; the first block is the newest
	pup_send_at(&p, p.seq + 5, F_ACK, 3);
	assert_true(pup_next(&p, 1 * MS));
	assert_int_equal(p.in.s.sack[0].from, p.seq + 4);
	assert_int_equal(p.in.s.sack[0].to, p.seq + 9);
	assert_int_equal(s.tc->ooo_segs, 257);
	pup_send_at(&p, p.seq + 4 + 599 * 4, F_ACK, 1); // and so there is room for one
	assert_int_equal(s.tc->ooo_segs, 258);
	sim.nstolen = 0;
	for (uint32_t i = 0; i < 2; i++)
		pup_send(&p, F_ACK, 2 + 300 * 4);
	sim.nstolen = 0;
	assert_int_equal(s.tc->ooo_segs, 0);
	assert_int_equal(s.got, 4 + 600 * 4);
	// a whole flight behind one hole
	for (uint32_t i = 1; i < 600; i++) {
		pup_send_at(&p, p.seq + i * 100, F_ACK, 100);
		sim.nstolen = 0;
	}
	assert_int_equal(s.tc->ooo_segs, 599);
	pup_send_at(&p, p.seq + 100, F_ACK, 100); // twice, within the run
	while (sim.nstolen > 1)
		assert_true(pup_next(&p, 0));
	assert_true(pup_next(&p, 1 * MS));
	assert_int_equal(p.in.s.sack[p.in.s.nsack - 1].from, p.seq + 100);
	assert_int_equal(p.in.s.sack[p.in.s.nsack - 1].to, p.seq + 60000);
	pup_send(&p, F_ACK, 100);
	assert_int_equal(s.got, 4 + 600 * 4 + 60000);
	assert_false(s.wrong);
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
	case_passive(&sim, &conf, &s, &p, TCP_OPT_SACK_OK);
	for (uint32_t i = 1; i < 200; i++) {
		pup_send_at(&p, p.seq + i * 4, F_ACK | F_FIN, 0);
		sim.nstolen = 0;
	}
	assert_in_range(s.tc->ooo_segs, 1, 2 * 32768 / CHAIN_TRUESIZE);
	assert_true(sim_drop(&sim, 0, DROP_TCP_OOO_FULL) > 100);
	case_close(&sim);
}

/* The payload that came in leaves in the same buffer, also a second time. */
static void
test_moved(void **state)
{
	struct ep c = { 0 }, s = { .echo = true };

	(void)state;
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
	ep_send(&c, 20 * tcp_mss(c.tc));
	run(&sim, 1 * SEC);
	assert_int_equal(c.got, 20 * tcp_mss(c.tc));
	assert_false(c.wrong);
	assert_int_equal(sim_stat(&sim, 1, STAT_TCP_MOVED), 20);
	assert_int_equal(sim_stat(&sim, 1, STAT_TCP_REPACK), 0);
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
	case_active(&sim, &conf, &c, &p, TCP_OPT_TS);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ack_rides),
		T(test_delack),
		T(test_rx_budget),
		T(test_send_queue),
		T(test_small_pieces),
		T(test_ooo_bound),
		T(test_ooo_runs),
		T(test_ooo_fin_bound),
		T(test_moved),
		T(test_shared_retransmit),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
