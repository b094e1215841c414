// SPDX-License-Identifier: BSD-3-Clause
/*
 * SYN cookies (RFC 4987 3.6): what they keep, when they count, what forged ones get.
 */
#include "tests/sim/peer.h"

static struct sim sim;
static struct tcp_conf conf;

static int
reset_conf(void **state)
{
	(void)state;
	sim_conf(&conf);
	conf.cookies = TCP_COOKIES_ALWAYS;
	return 0;
}

/* A SYN from cport; its answer is in p->in, and p may acknowledge it. */
static void
syn(struct pup *p, uint16_t cport, uint8_t opts, uint16_t mss, uint8_t wscale, bool v6)
{
	pup_init(p, &sim, 80, cport, v6);
	p->out.s.mss = mss;
	p->out.s.opts = opts;
	p->out.s.wscale = wscale;
	pup_send(p, F_SYN, 0);
	pup_expect(p, F_SYN | F_ACK, 0, 10 * MS);
	assert_int_equal(p->in.s.ack, p->seq);
	p->ack = p->in.s.seq + 1;
	p->ts = (p->in.s.opts & TCP_OPT_TS) != 0;
	p->tsval++;
}

static uint64_t
sent(void)
{
	return sim_stat(&sim, 0, STAT_TCP_COOKIES);
}

static uint64_t
opened(void)
{
	return sim_stat(&sim, 0, STAT_TCP_COOKIES_OK);
}

/* From three quarters of the table on nothing is kept, and clients get in all the same. */
static void
test_threshold(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	conf.cookies = TCP_COOKIES_AUTO;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	for (uint16_t i = 0; i < 100; i++)
		syn(&p, (uint16_t)(20000 + i), 0, 1460, 0, false);
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 12);
	assert_int_equal(sent(), 88);
	assert_int_equal(sim_tcp(&sim, 0)->conns.used, 0);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_NO_MEM), 0);
	pup_send(&p, F_ACK, 0);
	assert_true(s.accepted);
	assert_int_equal(opened(), 1);
	// entries of the cache still complete as well
	s = (struct ep){ .sim = &sim };
	pup_init(&p, &sim, 80, 20003, false);
	p.out.s.mss = 1460;
	pup_send(&p, F_SYN, 0);
	pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	p.ack = p.in.s.seq + 1;
	pup_send(&p, F_ACK, 0);
	assert_true(s.accepted);
	assert_int_equal(opened(), 1);
	case_close(&sim);
}

/* And from the first level of pressure on, however empty the table is. */
static void
test_pressure(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	conf.cookies = TCP_COOKIES_AUTO;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	sim.host[0].lc->pressure = PRESSURE_COOKIES;
	syn(&p, 20000, 0, 1460, 0, false);
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 0);
	assert_int_equal(sent(), 1);
	pup_send(&p, F_ACK, 0);
	assert_true(s.accepted);
	sim.host[0].lc->pressure = PRESSURE_NONE;
	syn(&p, 20001, 0, 1460, 0, false);
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 1);
	assert_int_equal(sent(), 1);
	case_close(&sim);
}

/* What the SYN offered holds for the connection: MSS, window scale, SACK, timestamps. */
static void
test_options(void **state)
{
	static const struct {
		int line;
		bool v6;
		uint8_t opts;
		uint8_t wscale;
		uint16_t option;
		uint32_t mss, scale;
	} row[] = {
		{ __LINE__, false, 0, 0, 1460, 1460, 0 },
		{ __LINE__, false, 0, 0, 0, 536, 0 },
		{ __LINE__, true, 0, 0, 0, 1220, 0 },
		{ __LINE__, false, 0, 0, 1459, 1452, 0 },
		{ __LINE__, false, 0, 0, 100, 88, 0 },
		{ __LINE__, false, 0, 0, 40, 88, 0 },
		{ __LINE__, false, 0, 0, 9000, 1460, 0 },
		{ __LINE__, true, 0, 0, 1440, 1440, 0 },
		{ __LINE__, false, TCP_OPT_SACK_OK, 0, 1400, 1400, 0 },
		{ __LINE__, false, TCP_OPT_WSCALE, 7, 1460, 1460, 7 },
		{ __LINE__, false, TCP_OPT_WSCALE, 8, 1460, 1460, 8 },
		{ __LINE__, false, TCP_OPT_WSCALE, 0, 1460, 1460, 0 },
		// no index: the next lower one
		{ __LINE__, false, TCP_OPT_WSCALE, 5, 1460, 1460, 4 },
		{ __LINE__, false, TCP_OPT_WSCALE, 14, 1460, 1460, 10 },
		// timestamps carry it exactly
		{ __LINE__, false, TCP_OPT_TS | TCP_OPT_WSCALE, 5, 1460, 1448, 5 },
		{ __LINE__, false, TCP_OPT_TS | TCP_OPT_WSCALE, 14, 1460, 1448, 14 },
		{ __LINE__, false, TCP_OPT_TS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK, 9, 1452, 1440,
			9 },
		{ __LINE__, false, TCP_OPT_TS, 0, 1460, 1448, 0 },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(row); i++) {
		struct ep s = { 0 };
		struct pup p;
		uint32_t flags;

		case_open(&sim, &conf);
		ep_listen(&sim, 0, 80, row[i].v6, &s);
		syn(&p, 4000, row[i].opts, row[i].option, row[i].wscale, row[i].v6);
		assert_int_equal(p.in.s.opts, row[i].opts | TCP_OPT_MSS);
		p.wnd = 1000;
		pup_send(&p, F_ACK, 0);
		if (s.tc == NULL)
			fail_msg("line %d: refused", row[i].line);
		flags = (row[i].opts & TCP_OPT_TS ? TF_TS : 0) |
			(row[i].opts & TCP_OPT_SACK_OK ? TF_SACK : 0) |
			(row[i].opts & TCP_OPT_WSCALE ? TF_WSCALE : 0);
		if (s.tc->mss != row[i].mss || s.tc->snd_scale != row[i].scale ||
			(s.tc->flags & (TF_TS | TF_SACK | TF_WSCALE)) != flags ||
			s.tc->snd_wnd != 1000u << row[i].scale)
			fail_msg("line %d: mss %u scale %u flags %x", row[i].line, s.tc->mss,
				s.tc->snd_scale, s.tc->flags);
		assert_int_equal(sent(), 1);
		assert_int_equal(opened(), 1);
		// both directions work
		pup_send(&p, F_ACK, 50);
		assert_int_equal(s.got, 50);
		assert_false(s.wrong);
		ep_send(&s, 60);
		pup_expect(&p, F_ACK, 60, 10 * MS);
		case_close(&sim);
	}
}

/* The bare ACK was lost: the first data brings the cookie too. */
static void
test_data_brings_it(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	syn(&p, 4000, TCP_OPT_TS | TCP_OPT_SACK_OK, 1460, 0, false);
	pup_send(&p, F_ACK | F_FIN, 100);
	assert_true(s.accepted);
	assert_int_equal(s.got, 100);
	assert_false(s.wrong);
	assert_int_equal(s.events & (TCP_EV_CONNECTED | TCP_EV_READABLE | TCP_EV_EOF),
		TCP_EV_CONNECTED | TCP_EV_READABLE | TCP_EV_EOF);
	case_close(&sim);
}

/* Data that overtakes the segment with the cookie is dropped; an RST would end the client's connection. */
static void
test_overtaken(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	syn(&p, 4000, 0, 1460, 0, false);
	pup_send_at(&p, p.seq + 1000, F_ACK, 500);
	pup_send_at(&p, p.seq + 1500, F_ACK | F_FIN, 0);
	pup_silence(&p, 10 * MS);
	assert_false(s.accepted);
	pup_send(&p, F_ACK, 1000);
	pup_send(&p, F_ACK, 500);
	assert_int_equal(s.got, 1500);
	assert_false(s.wrong);
	// to a port that nobody listens on there is an RST all the same
	p.out.s.key.rport = 81;
	pup_send(&p, F_ACK, 10);
	while (pup_next(&p, 0) && !(p.in.s.flags & F_RST)) {}
	assert_true(p.in.s.flags & F_RST);
	case_close(&sim);
}

/* Nothing but the very numbers counts; all else gets no answer and leaves nothing. */
static void
test_forged(void **state)
{
	struct ep s = { 0 };
	struct pup p;
	uint32_t ack, seq;
	uint64_t bad = 0;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	syn(&p, 4000, 0, 1460, 0, false);
	ack = p.ack;
	seq = p.seq;
	for (uint32_t bit = 0; bit < 32; bit++) {
		p.ack = ((ack - 1) ^ 1u << bit) + 1;
		pup_send_at(&p, seq, F_ACK, 0);
		pup_silence(&p, 1 * MS);
		assert_int_equal(sim_stat(&sim, 0, STAT_TCP_COOKIES_BAD), ++bad);
	}
	p.ack = ack;
	pup_send_at(&p, seq + 1, F_ACK, 0); // another number of the peer
	pup_silence(&p, 1 * MS);
	p.out.s.key.lport = 4001; // another port
	pup_send_at(&p, seq, F_ACK, 0);
	pup_silence(&p, 1 * MS);
	p.out.s.key.lport = 4000;
	assert_int_equal(sim_tcp(&sim, 0)->conns.used, 0);
	pup_send_at(&p, seq, F_ACK | F_RST, 0);
	assert_int_equal(sim_tcp(&sim, 0)->conns.used, 0);
	assert_false(s.accepted);
	pup_send_at(&p, seq, F_ACK, 0); // the real one
	assert_true(s.accepted);
	case_close(&sim);
}

/* A guess is right once in 2^24. */
static void
test_guessing(void **state)
{
	struct ep s = { 0 };
	struct pup p;
	struct tcp_seg seg;
	struct tcp_conn *tc;
	uint32_t hits = 0;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	syn(&p, 4000, 0, 1460, 0, false);
	seg = p.out.s;
	seg.flags = F_ACK;
	seg.seq = p.seq;
	// as the receiver sees the tuple
	memcpy(seg.key.l, p.out.s.key.r, 16);
	memcpy(seg.key.r, p.out.s.key.l, 16);
	seg.key.lport = 80;
	for (uint32_t i = 0; i < 200000; i++) {
		seg.key.rport = (uint16_t)(10000 + i % 50000);
		seg.ack = (uint32_t)hash_mix(i) + 1;
		hits += tcp_cookie_input(sim.host[0].lc, &seg, &tc);
	}
	assert_int_equal(hits, 0);
	case_close(&sim);
}

/* A cookie counts in its epoch and the next one, not longer. */
static void
test_age(void **state)
{
	static const struct {
		uint64_t us;
		bool good;
	} row[] = { { 1 * SEC, true }, { 30 * SEC, true }, { 68 * SEC, false }, { 134 * SEC, false } };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(row); i++) {
		struct ep s = { 0 };
		struct pup p, other;

		case_open(&sim, &conf);
		ep_listen(&sim, 0, 80, false, &s);
		syn(&p, 4000, TCP_OPT_TS, 1460, 0, false);
		sim.steal = false;
		run(&sim, row[i].us - 100 * MS);
		// another SYN keeps cookies in use: the age alone decides
		syn(&other, 4001, 0, 1460, 0, false);
		pup_send(&p, F_ACK, 0);
		assert_int_equal(s.accepted, row[i].good);
		if (!row[i].good)
			assert_int_equal(sim_stat(&sim, 0, STAT_TCP_COOKIES_BAD), 1);
		case_close(&sim);
	}
}

/* No cookie was sent for long: acknowledgements are not even looked at. */
static void
test_unused(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	conf.cookies = TCP_COOKIES_AUTO;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_init(&p, &sim, 80, 4000, false);
	p.ack = 12345;
	pup_send(&p, F_ACK, 0);
	pup_expect(&p, F_RST, 0, 10 * MS);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_COOKIES_BAD), 0);
	case_close(&sim);
}

/* Keys differ with the secret and from epoch to epoch; cookies with tuple and number. */
static void
test_keyed(void **state)
{
	struct ep s = { 0 };
	struct pup p;
	uint32_t iss[5];

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	syn(&p, 4000, 0, 1460, 0, false);
	iss[0] = p.in.s.seq;
	syn(&p, 4000, 0, 1460, 0, false); // the same once more
	assert_int_equal(p.in.s.seq, iss[0]);
	syn(&p, 4001, 0, 1460, 0, false);
	iss[1] = p.in.s.seq;
	pup_init(&p, &sim, 80, 4000, false);
	p.out.s.mss = 1460;
	p.seq++;
	pup_send(&p, F_SYN, 0);
	pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	iss[2] = p.in.s.seq;
	sim_tcp(&sim, 0)->secret[0] ^= 1;
	sim_tcp(&sim, 0)->cookies.epoch = 0; // keys are made anew
	syn(&p, 4000, 0, 1460, 0, false);
	iss[3] = p.in.s.seq;
	sim.steal = false;
	run(&sim, 68 * SEC); // the same parity
	syn(&p, 4000, 0, 1460, 0, false);
	iss[4] = p.in.s.seq;
	for (int i = 0; i < 5; i++) {
		for (int k = 0; k < i; k++)
			assert_int_not_equal(iss[i] >> 8, iss[k] >> 8);
	}
	case_close(&sim);
}

/* No TCB free: the ACK is dropped, a later segment opens the connection. */
static void
test_conns_full(void **state)
{
	struct ep s = { 0 }, fill[4] = { 0 };
	struct pup p;

	(void)state;
	conf.max_conns = 4;
	case_open(&sim, &conf);
	sim.down = true;
	for (int i = 0; i < 4; i++)
		assert_int_equal(ep_connect(&sim, 0, 90, false, &fill[i]), 0);
	run(&sim, 1 * MS);
	sim.down = false;
	ep_listen(&sim, 0, 80, false, &s);
	syn(&p, 4000, 0, 1460, 0, false);
	pup_send(&p, F_ACK, 0);
	pup_silence(&p, 10 * MS);
	assert_false(s.accepted);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_MAXCONN), 1);
	for (int i = 0; i < 4; i++)
		ep_abort(&fill[i]);
	run(&sim, 1 * MS);
	pup_send(&p, F_ACK, 100);
	assert_true(s.accepted);
	assert_int_equal(s.got, 100);
	case_close(&sim);
}

/* No listener any more, or none at all: RST. */
static void
test_no_listener(void **state)
{
	struct ip_port at = { .ip = { .family = ADDR_V4 }, .port = 80 };
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	syn(&p, 4000, 0, 1460, 0, false);
	assert_int_equal(tcp_unlisten(sim.host[0].lc, &at), 0);
	pup_send_at(&p, p.seq, F_ACK, 0);
	pup_expect(&p, F_RST, 0, 10 * MS);
	ep_listen(&sim, 0, 80, false, &s);
	sim.host[0].lc->stopping = true;
	pup_send_at(&p, p.seq, F_ACK, 0);
	pup_expect(&p, F_RST, 0, 10 * MS);
	sim.host[0].lc->stopping = false;
	assert_false(s.accepted);
	case_close(&sim);
}

/* The timestamp that carries the scale is never ahead of those that follow. */
static void
test_timestamp_order(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	for (uint16_t i = 0; i < 20; i++) {
		uint32_t first;

		case_open(&sim, &conf);
		ep_listen(&sim, 0, 80, false, &s);
		run(&sim, i * MS);
		syn(&p, 4000, TCP_OPT_TS | TCP_OPT_WSCALE, 1460, 14, false);
		first = p.in.s.tsval;
		pup_send(&p, F_ACK, 1460);
		pup_send(&p, F_ACK, 1460);
		pup_expect(&p, F_ACK, 0, 10 * MS);
		assert_true(seq_leq(first, p.in.s.tsval));
		assert_in_range(p.in.s.tsval - first, 0, 40);
		case_close(&sim);
		s = (struct ep){ 0 };
	}
}

/* A tuple in TIME_WAIT goes on above its old numbers, which a cookie cannot promise: the cache. */
static void
test_timewait_reuse(void **state)
{
	struct ep s = { 0 };
	struct pup p;
	uint32_t last;

	(void)state;
	conf.timewait_ms = 20000;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	syn(&p, 4000, 0, 1460, 0, false);
	pup_send(&p, F_ACK, 0);
	ep_close(&s);
	pup_expect(&p, F_ACK | F_FIN, 0, 10 * MS);
	last = p.in.s.seq;
	p.ack = last + 1;
	pup_send(&p, F_ACK | F_FIN, 0);
	pup_expect(&p, F_ACK, 0, 10 * MS);
	assert_int_equal(sim_tcp(&sim, 0)->tws.used, 1);
	p.seq += 1000;
	p.out.s.mss = 1460;
	pup_send(&p, F_SYN, 0);
	pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	assert_true(seq_gt(p.in.s.seq, last));
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 1);
	assert_int_equal(sent(), 1);
	case_close(&sim);
}

/* No buffer for the answer: as if it had been lost. */
static void
test_no_buffer(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_init(&p, &sim, 80, 4000, false);
	p.out.s.mss = 1460;
	lcore_mbuf_fail_in(sim.host[0].lc, 1);
	pup_send(&p, F_SYN, 0);
	pup_silence(&p, 10 * MS);
	assert_int_equal(sent(), 0);
	syn(&p, 4000, 0, 1460, 0, false);
	// no room for the connection in the table of flows either
	sim_tcp(&sim, 0)->conns.fail_in = 1;
	pup_send_at(&p, p.seq, F_ACK, 0);
	assert_false(s.accepted);
	pup_send(&p, F_ACK, 0);
	assert_true(s.accepted);
	case_close(&sim);
}

#define T(f) cmocka_unit_test_setup(f, reset_conf)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_threshold),
		T(test_pressure),
		T(test_options),
		T(test_data_brings_it),
		T(test_overtaken),
		T(test_forged),
		T(test_guessing),
		T(test_age),
		T(test_unused),
		T(test_keyed),
		T(test_conns_full),
		T(test_no_listener),
		T(test_timestamp_order),
		T(test_timewait_reuse),
		T(test_no_buffer),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
