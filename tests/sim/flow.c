// SPDX-License-Identifier: BSD-3-Clause
/*
 * How much may be on its way: windows that close, silly ones, the first and the one after idle time.
 */
#include "tests/sim/case.h"

/* Host 1's window: its right edge never moves back. */
static uint32_t edge;
static bool has_edge, shrank;
static uint8_t scale;

static bool
watch(struct sim *s, int from, const struct sim_pkt *p)
{
	uint32_t at = p->s.ack + ((uint32_t)p->s.wnd << scale);

	(void)s;
	if (from == 1) {
		shrank |= has_edge && seq_lt(at, edge);
		edge = has_edge ? seq_max(edge, at) : at;
		has_edge = true;
	}
	return true;
}

/* The reader sleeps: the window closes and never shrinks, probes go on, nothing is lost. */
static void
test_zero_window(void **state)
{
	struct ep c = { 0 }, s = { .hold = true };
	uint64_t probes;

	(void)state;
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
	has_edge = shrank = false;
	scale = s.tc->rcv_scale;
	sim.tap = watch;
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
	assert_false(shrank);
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
	case_active(&sim, &conf, &c, &p, 0);
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
	case_passive(&sim, &conf, &s, &p, 0);
	lc = sim.host[0].lc;
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

/* RFC 6928: ten segments before the first acknowledgement; then two for each. */
static void
test_initial_window(void **state)
{
	struct ep c = { 0 };
	struct pup p;

	(void)state;
	case_active(&sim, &conf, &c, &p, 0);
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
	case_open(&sim, &conf);
	pair(&sim, false, &c, &s);
	ep_send(&c, 120000);
	run(&sim, 1 * SEC);
	assert_true(c.tc->cwnd > 20u * tcp_mss(c.tc));
	ep_send(&c, 1000);
	run(&sim, 1 * MS);
	assert_int_equal(c.tc->cwnd, 10 * tcp_mss(c.tc));
	case_close(&sim);
}

/*
 * A peer that takes window back, by ACKs with the numbers of the last one (RFC 9293 3.10.7.4, 3.8.6): nothing
 * new goes beyond it, what is behind it is tried by the timer alone, and that for as long as the peer answers.
 */
static void
test_shrunk_window(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t base;

	(void)state;
	case_active(&sim, &conf, &c, &p, 0);
	base = p.ack;
	ep_send(&c, 20 * 1460);
	for (int i = 0; i < 10; i++)
		pup_expect(&p, F_ACK, 1460, 10 * MS);
	p.wnd = 16000;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(c.tc->snd_wnd, 16000);
	p.wnd = 1000;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(c.tc->snd_wnd, 1000);
	p.wnd = 0;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(c.tc->snd_wnd, 0);
	// one segment a timeout, ever later; more of them than tries for a peer that is silent
	for (uint32_t i = 0; i < 2 * sim_tcp(&sim, 0)->conf.data_retries; i++) {
		if (!pup_next(&p, 130 * SEC))
			fail_msg("given up after %u answers", i);
		assert_int_equal(p.in.s.seq, base);
		pup_send(&p, F_ACK, 0);
		pup_silence(&p, 150 * MS);
	}
	assert_non_null(c.tc);
	// room again: at once, not when the timer comes
	p.wnd = 65535;
	pup_send(&p, F_ACK, 0);
	for (uint32_t sent = 0; sent < 20; sent++) {
		pup_expect(&p, F_ACK, 1460, 10 * MS);
		assert_int_equal(p.in.s.seq, base + sent * 1460);
		p.ack += 1460;
		pup_send(&p, F_ACK, 0);
	}
	assert_int_equal(tcp_send_queued(c.tc), 0);
	assert_false(c.tc->flags & TF_SHRUNK);
	// nobody waits with it when its user is gone
	ep_send(&c, 5 * 1460);
	ep_close(&c);
	for (int i = 0; i < 5; i++)
		assert_true(pup_next(&p, 10 * MS));
	p.wnd = 0;
	for (int i = 0; i < 50 && sim_tcp(&sim, 0)->conns.used > 0; i++) {
		pup_send(&p, F_ACK, 0);
		pup_next(&p, 130 * SEC);
	}
	assert_int_equal(sim_tcp(&sim, 0)->conns.used, 0);
	case_close(&sim);
}

/* The same numbers in another order: a timestamp tells which window is the older. */
static void
test_overtaken_window(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	uint32_t base;

	(void)state;
	case_active(&sim, &conf, &c, &p, TCP_OPT_TS | TCP_OPT_SACK_OK);
	base = p.ack;
	ep_send(&c, 4 * 1448);
	for (int i = 0; i < 4; i++)
		pup_expect(&p, F_ACK, 1448, 10 * MS);
	p.tsval += 20;
	p.wnd = 40000;
	p.out.s.sack[0] = (struct tcp_sack){ base + 1448, base + 3 * 1448 };
	p.out.s.nsack = 1;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(c.tc->snd_wnd, 40000);
	p.tsval -= 10;
	p.wnd = 100;
	p.out.s.sack[0] = (struct tcp_sack){ base + 1448, base + 2 * 1448 };
	p.out.s.nsack = 1;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(c.tc->snd_wnd, 40000);
	case_close(&sim);
}

static uint8_t
byte_at(uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8));
}

/* In buffers as a server's segments fill them, whatever this peer's MSS is. */
static void
send_full_buffers(struct ep *e, uint32_t n)
{
	struct lcore *lc = sim.host[0].lc;
	uint8_t b[1448];
	struct chain c;

	chain_init(&c);
	for (uint32_t at = 0; at < n; at += sizeof(b)) {
		for (uint32_t i = 0; i < sizeof(b); i++)
			b[i] = byte_at(at + i);
		assert_int_equal(chain_copy_in_mss(lc, &c, b, sl_min(n - at, (uint32_t)sizeof(b)), 1448),
			0);
	}
	assert_int_equal(tcp_send(lc, e->tc, &c), 0);
}

/* Takes what came next, which is what follows byte *got; false: nothing came. */
static bool
take_bytes(struct pup *p, uint32_t *got, uint64_t us)
{
	if (!pup_next(p, us))
		return false;
	if (p->in.s.seq == p->ack) {
		for (uint32_t i = 0; i < p->in.s.len; i++)
			assert_int_equal(p->in.payload[i], byte_at(*got + i));
		*got += p->in.s.len;
		p->ack += p->in.s.len;
	}
	return true;
}

/*
 * The least MSS, a large window, and then silence: full buffers are cut at 88 bytes, and each piece takes one
 * of the pool. What the connection and the worker may hold bounds that, and the bytes arrive all the same.
 */
static void
test_tiny_segments(void **state)
{
	const uint32_t total = 45 * 1448;

	(void)state;
	for (int worker = 0; worker < 2; worker++) {
		struct ep s = { 0 };
		struct pup p;
		struct lcore *lc;
		uint32_t most, got = 0;

		case_open(&sim, &conf);
		ep_listen(&sim, 0, 80, false, &s);
		pup_connect(&p, &sim, 80, 4000, 0, 88);
		lc = sim.host[0].lc;
		s.tc->cwnd = 1 << 20; // it grew, before the peer fell silent
		send_full_buffers(&s, total);
		most = 3 * conf.snd_buf;
		if (worker) // of which others hold all but nothing
			lc->retain_max = most = lc->retained;
		most += 5 * CHAIN_TRUESIZE; // the front is cut by halves
		for (int i = 0; i < 40; i++) {
			run(&sim, 50 * MS);
			sim.nstolen = 0;
			assert_in_range(lc->retained, CHAIN_TRUESIZE, most);
		}
		assert_true(sim_stat(&sim, 0, STAT_TCP_CUT_HELD) > 0);
		assert_true(tcp_send_queued(s.tc) == total);
		// it speaks again
		for (uint32_t i = 0; i < 5000 && got < total; i++) {
			if (!take_bytes(&p, &got, 2 * SEC))
				fail_msg("nothing came behind %u bytes", got);
			assert_in_range(lc->retained, 0, most);
			if (sim.nstolen == 0)
				pup_send(&p, F_ACK, 0);
		}
		assert_int_equal(got, total);
		run(&sim, 10 * MS);
		assert_int_equal(tcp_send_queued(s.tc), 0);
		case_close(&sim);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_zero_window),
		T(test_silly_window),
		T(test_window_update),
		T(test_initial_window),
		T(test_idle),
		T(test_shrunk_window),
		T(test_overtaken_window),
		T(test_tiny_segments),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
