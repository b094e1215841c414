// SPDX-License-Identifier: BSD-3-Clause
/*
 * Opening: both families, options taken and declined, refusals, losses, the SYN cache.
 */
#include "tests/sim/peer.h"

static struct sim sim;

static void
establish(bool v6)
{
	struct ep c = { 0 }, s = { 0 };

	case_open(&sim, NULL);
	pair(&sim, v6, &c, &s);
	assert_true(c.events & TCP_EV_CONNECTED);
	assert_true(s.events & TCP_EV_CONNECTED);
	assert_int_equal(c.tc->flags & (TF_TS | TF_SACK | TF_WSCALE), TF_TS | TF_SACK | TF_WSCALE);
	assert_int_equal(s.tc->flags & (TF_TS | TF_SACK | TF_WSCALE), TF_TS | TF_SACK | TF_WSCALE);
	assert_int_equal(c.tc->snd_scale, 2); // 128 KB
	assert_int_equal(tcp_mss(c.tc), tcp_payload_unit(sim.host[0].lc) - 12);
	assert_int_equal(c.tc->cwnd, 10 * tcp_mss(c.tc));
	assert_int_equal(sim_tcp(&sim, 1)->halfs.used, 0);
	// a round trip of 10 ms was measured on both sides
	assert_in_range(tcp_srtt_us(c.tc), 9000, 12000);
	assert_in_range(tcp_srtt_us(s.tc), 9000, 12000);
	ep_send(&c, 1000);
	run(&sim, 100 * MS);
	assert_int_equal(s.got, 1000);
	assert_false(s.wrong);
	ep_close(&c);
	run(&sim, 100 * MS);
	assert_true(s.events & TCP_EV_EOF);
	ep_close(&s);
	run(&sim, 5 * SEC);
	assert_int_equal(sim_tcp(&sim, 0)->conns.used + sim_tcp(&sim, 1)->conns.used, 0);
	case_close(&sim);
}

static void
test_v4(void **state)
{
	(void)state;
	establish(false);
}

static void
test_v6(void **state)
{
	(void)state;
	establish(true);
}

static void
test_declined(void **state)
{
	struct tcp_conf conf[2];
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	sim_conf(&conf[0]);
	conf[1] = conf[0];
	conf[1].sack = conf[1].timestamps = conf[1].wscale = false;
	assert_int_equal(sim_open(&sim, 2, conf), 0);
	pair(&sim, false, &c, &s);
	assert_int_equal(c.tc->flags & (TF_TS | TF_SACK | TF_WSCALE), 0);
	assert_int_equal(s.tc->flags & (TF_TS | TF_SACK | TF_WSCALE), 0);
	assert_int_equal(c.tc->snd_scale, 0);
	assert_int_equal(c.tc->rcv_scale, 0);
	assert_int_equal(tcp_mss(c.tc), tcp_payload_unit(sim.host[0].lc));
	ep_send(&c, 300000); // far beyond an unscaled window
	run(&sim, 5 * SEC);
	assert_int_equal(s.got, 300000);
	assert_false(s.wrong);
	case_close(&sim);
}

static void
test_closed_port(void **state)
{
	struct ep c = { 0 };
	uint64_t before;

	(void)state;
	case_open(&sim, NULL);
	before = sim_drop(&sim, 1, DROP_TCP_NO_LISTENER);
	assert_int_equal(ep_connect(&sim, 0, 81, false, &c), 0);
	run(&sim, 100 * MS);
	assert_null(c.tc);
	assert_int_equal(c.err, ECONNREFUSED);
	assert_int_equal(c.events, TCP_EV_CLOSED);
	assert_int_equal(sim_drop(&sim, 1, DROP_TCP_NO_LISTENER), before + 1);
	case_close(&sim);
}

static void
test_port_zero(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, NULL);
	for (int v6 = 0; v6 < 2; v6++) {
		ep_listen(&sim, 0, 80, v6, &s);
		pup_init(&p, &sim, 80, 0, v6);
		pup_send(&p, F_SYN, 0);
		pup_silence(&p, 10 * MS);
		assert_int_equal(sim_drop(&sim, 0, DROP_TCP_PORT_ZERO), v6 + 1);
	}
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 0);
	case_close(&sim);
}

static void
test_refused_by_accept(void **state)
{
	struct ep c = { 0 }, s = { .refuse = true };

	(void)state;
	case_open(&sim, NULL);
	ep_listen(&sim, 1, 80, false, &s);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	run(&sim, 100 * MS);
	assert_null(c.tc);
	assert_int_equal(c.err, ECONNRESET);
	assert_int_equal(sim_tcp(&sim, 1)->conns.used, 0);
	case_close(&sim);
}

static void
test_stopping(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	case_open(&sim, NULL);
	ep_listen(&sim, 1, 80, false, &s);
	sim.host[1].lc->stopping = true;
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	run(&sim, 100 * MS);
	assert_int_equal(c.err, ECONNREFUSED);
	case_close(&sim);
}

/* SYNs into the void: 1, 2, 4 s apart, then ETIMEDOUT. */
static void
test_syn_timeout(void **state)
{
	struct tcp_conf conf;
	struct ep c = { 0 };
	struct pup p;
	uint64_t at[4];

	(void)state;
	sim_conf(&conf);
	conf.syn_retries = 3;
	case_open(&sim, &conf);
	pup_init(&p, &sim, 0, 0, false);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	for (int i = 0; i < 4; i++) {
		pup_expect(&p, F_SYN, 0, 10 * SEC);
		at[i] = sim.now_us;
	}
	assert_in_range(at[1] - at[0], 1000 * MS, 1010 * MS);
	assert_in_range(at[2] - at[1], 2000 * MS, 2010 * MS);
	assert_in_range(at[3] - at[2], 4000 * MS, 4010 * MS);
	pup_silence(&p, 20 * SEC);
	assert_int_equal(c.err, ETIMEDOUT);
	case_close(&sim);
}

/* A lost SYN means an initial window of one segment (RFC 6928 2). */
static bool drop_first_syn_seen;
static bool
drop_first_syn(struct sim *s, int from, const struct sim_pkt *p)
{
	(void)s;
	if (from == 0 && (p->s.flags & F_SYN) && !drop_first_syn_seen) {
		drop_first_syn_seen = true;
		return false;
	}
	return true;
}

static void
test_syn_lost(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	case_open(&sim, NULL);
	drop_first_syn_seen = false;
	sim.tap = drop_first_syn;
	ep_listen(&sim, 1, 80, false, &s);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	run(&sim, 900 * MS);
	assert_int_equal(tcp_get_state(c.tc), TCP_SYN_SENT);
	run(&sim, 200 * MS);
	assert_int_equal(tcp_get_state(c.tc), TCP_ESTABLISHED);
	assert_int_equal(c.tc->cwnd, c.tc->mss);
	assert_int_equal(s.tc->cwnd, 10 * s.tc->mss);
	case_close(&sim);
}

/* SYN-ACK again after 1, 2, 4 s; the cache forgets the client in the end. */
static void
test_synack_retransmit(void **state)
{
	struct tcp_conf conf;
	struct ep s = { 0 };
	struct pup p;
	uint64_t at[3];
	uint32_t iss;

	(void)state;
	sim_conf(&conf);
	conf.syn_retries = 2;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_init(&p, &sim, 80, 4000, false);
	p.out.s.mss = 1460;
	pup_send(&p, F_SYN, 0);
	for (int i = 0; i < 3; i++) {
		pup_expect(&p, F_SYN | F_ACK, 0, 10 * SEC);
		at[i] = sim.now_us;
		if (i > 0)
			assert_int_equal(p.in.s.seq, iss);
		iss = p.in.s.seq;
	}
	assert_in_range(at[1] - at[0], 1000 * MS, 1040 * MS);
	assert_in_range(at[2] - at[1], 2000 * MS, 2040 * MS);
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 1);
	assert_int_equal(sim_tcp(&sim, 0)->conns.used, 0);
	run(&sim, 10 * SEC);
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 0);
	assert_int_equal(sim.nstolen, 0);
	case_close(&sim);
}

/* Its SYN, and the answer to that: on our side a half-open connection. */
static void
half_open(struct pup *p)
{
	p->out.s.mss = 1460;
	pup_send(p, F_SYN, 0);
	pup_expect(p, F_SYN | F_ACK, 0, 10 * MS);
	p->ack = p->in.s.seq + 1;
}

/* What may come for a half-open entry, and what comes of it. */
static void
test_half_open(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, NULL);
	ep_listen(&sim, 0, 80, false, &s);
	pup_init(&p, &sim, 80, 4000, false);
	half_open(&p);
	// the SYN again: the same answer
	pup_send_at(&p, p.seq - 1, F_SYN, 0);
	pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	assert_int_equal(p.in.s.seq, p.ack - 1);
	// another SYN in the window: challenge ACK
	pup_send_at(&p, p.seq + 5, F_SYN, 0);
	pup_expect(&p, F_ACK, 0, 10 * MS);
	// a segment outside of the window: ACK
	pup_send_at(&p, p.seq + 70000, F_ACK, 10);
	pup_expect(&p, F_ACK, 0, 10 * MS);
	// RST that is not exact: challenge; an acknowledgement of something else: RST
	pup_send_at(&p, p.seq + 5, F_RST, 0);
	pup_expect(&p, F_ACK, 0, 10 * MS);
	p.ack += 9;
	pup_send_at(&p, p.seq, F_ACK, 0);
	pup_expect(&p, F_RST, 0, 10 * MS);
	assert_int_equal(p.in.s.seq, p.ack);
	p.ack -= 9;
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 1);
	// the exact RST
	pup_send_at(&p, p.seq, F_RST, 0);
	pup_silence(&p, 50 * MS);
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 0);
	assert_false(s.accepted);
	// the same again, ended by data and FIN in the acknowledging segment
	p.seq = 1000000;
	half_open(&p);
	pup_send(&p, F_ACK | F_FIN, 100);
	assert_true(s.accepted);
	assert_int_equal(s.got, 100);
	assert_false(s.wrong);
	assert_int_equal(s.events & (TCP_EV_CONNECTED | TCP_EV_READABLE | TCP_EV_EOF),
		TCP_EV_CONNECTED | TCP_EV_READABLE | TCP_EV_EOF);
	assert_int_equal(s.calls, 1); // one batch
	case_close(&sim);
}

/* Without cookies, more SYNs than the cache holds: the oldest go, nothing else is held. */
static void
test_flood(void **state)
{
	struct tcp_conf conf;
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	sim_conf(&conf);
	conf.cookies = TCP_COOKIES_OFF;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	for (uint16_t i = 0; i < 100; i++) {
		pup_init(&p, &sim, 80, (uint16_t)(20000 + i), false);
		p.out.s.mss = 1460;
		pup_send(&p, F_SYN, 0);
		pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	}
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 16);
	assert_int_equal(sim_tcp(&sim, 0)->conns.used, 0);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_NO_MEM), 84);
	// the newest still completes
	p.ack = p.in.s.seq + 1;
	pup_send(&p, F_ACK, 0);
	assert_true(s.accepted);
	case_close(&sim);
}

/* All TCBs taken: the last ACK is dropped, a later segment of the client completes. */
static void
test_conns_full(void **state)
{
	struct tcp_conf conf;
	struct ep s = { 0 }, fill[4] = { 0 };
	struct pup p;

	(void)state;
	sim_conf(&conf);
	conf.max_conns = 4;
	case_open(&sim, &conf);
	sim.down = true;
	for (int i = 0; i < 4; i++)
		assert_int_equal(ep_connect(&sim, 0, 90, false, &fill[i]), 0);
	run(&sim, 1 * MS);
	sim.down = false;
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, 0, 1460);
	assert_false(s.accepted);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_MAXCONN), 1);
	assert_int_equal(ep_connect(&sim, 0, 90, false, &fill[0]), -ENOMEM);
	for (int i = 1; i < 4; i++)
		ep_abort(&fill[i]);
	run(&sim, 1 * MS);
	pup_send(&p, F_ACK, 100);
	assert_true(s.accepted);
	assert_int_equal(s.got, 100);
	case_close(&sim);
}

static void
test_mss(void **state)
{
	static const struct {
		int line;
		uint16_t option;
		uint8_t opts;
		uint32_t mss;
	} row[] = {
		{ __LINE__, 0, 0, 536 }, // no option
		{ __LINE__, 1460, 0, 1460 },
		{ __LINE__, 9000, 0, 1460 }, // our own MTU
		{ __LINE__, 1460, TCP_OPT_TS, 1448 },
		{ __LINE__, 40, 0, 88 },
		{ __LINE__, 90, TCP_OPT_TS, 88 },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(row); i++) {
		struct ep s = { 0 };
		struct pup p;

		case_open(&sim, NULL);
		ep_listen(&sim, 0, 80, false, &s);
		pup_connect(&p, &sim, 80, 4000, row[i].opts, row[i].option);
		assert_int_equal(p.in.s.mss, tcp_payload_unit(sim.host[0].lc));
		if (tcp_mss(s.tc) != row[i].mss)
			fail_msg("line %d: mss %u", row[i].line, tcp_mss(s.tc));
		// a piece that is larger is cut
		sim.nstolen = 0;
		ep_send(&s, 3000);
		assert_true(pup_next(&p, 10 * MS));
		assert_int_equal(p.in.s.len, row[i].mss);
		assert_int_equal(sim_stat(&sim, 0, STAT_TCP_MSS_SMALL), row[i].option == 40);
		case_close(&sim);
	}
}

/* Both SYNs cross. */
static void
test_simultaneous_open(void **state)
{
	struct ep c = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, NULL);
	pup_init(&p, &sim, 0, 0, false);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_expect(&p, F_SYN, 0, 10 * MS);
	p.out.s.key.lport = 80;
	p.out.s.key.rport = p.in.s.key.lport;
	p.out.s.mss = 1460;
	p.ack = p.in.s.seq + 1;
	pup_send(&p, F_SYN, 0);
	pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	assert_int_equal(p.in.s.seq, p.ack - 1);
	assert_int_equal(p.in.s.ack, p.seq);
	pup_send(&p, F_ACK, 0);
	assert_int_equal(tcp_get_state(c.tc), TCP_ESTABLISHED);
	assert_true(c.events & TCP_EV_CONNECTED);
	pup_send(&p, F_ACK, 50);
	assert_int_equal(c.got, 50);
	assert_false(c.wrong);
	case_close(&sim);
}

/* In SYN-SENT: an ACK of something else is answered by RST, an RST without ACK is not believed. */
static void
test_syn_sent(void **state)
{
	struct ep c = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, NULL);
	pup_init(&p, &sim, 0, 0, false);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_expect(&p, F_SYN, 0, 10 * MS);
	p.out.s.key.lport = 80;
	p.out.s.key.rport = p.in.s.key.lport;
	p.ack = p.in.s.seq + 7;
	pup_send(&p, F_SYN | F_ACK, 0);
	pup_expect(&p, F_RST, 0, 10 * MS);
	assert_int_equal(p.in.s.seq, p.ack);
	pup_send(&p, F_RST, 0);
	pup_send(&p, F_RST | F_ACK, 0);
	assert_int_equal(tcp_get_state(c.tc), TCP_SYN_SENT);
	p.ack -= 6;
	pup_send(&p, F_RST | F_ACK, 0);
	assert_null(c.tc);
	assert_int_equal(c.err, ECONNREFUSED);
	case_close(&sim);
}

/* ICMP errors end an attempt, not a connection. */
static void
test_icmp(void **state)
{
	struct ep c = { 0 }, d = { 0 }, s = { 0 };
	struct ip_port l, r;

	(void)state;
	case_open(&sim, NULL);
	pair(&sim, false, &d, &s);
	sim.down = true;
	assert_int_equal(ep_connect(&sim, 0, 90, false, &c), 0);
	ep_send(&d, 100);
	run(&sim, 1 * MS);
	assert_int_equal(d.tc->snd_nxt - d.tc->snd_una, 100);
	for (int i = 0; i < 2; i++) {
		struct ep *e = i ? &c : &d;
		struct net_icmp_error icmp = { .kind = NET_ICMP_UNREACH };
		tcp_get_addrs(e->tc, &l, &r);
		icmp.laddr = l.ip;
		icmp.raddr = r.ip;
		icmp.lport = l.port;
		icmp.rport = r.port;
		icmp.seq = e->tc->snd_una - 1; // not in flight
		tcp_icmp(sim.host[0].lc, &icmp);
		run(&sim, 1 * MS);
		assert_non_null(e->tc);
		icmp.seq = e->tc->snd_una;
		tcp_icmp(sim.host[0].lc, &icmp);
	}
	run(&sim, 1 * MS);
	assert_null(c.tc);
	assert_int_equal(c.err, EHOSTUNREACH);
	assert_non_null(d.tc);
	case_close(&sim);
}

/* A SYN-ACK is in flight like any segment: what speaks of it is known, and changes nothing. */
static void
test_icmp_half(void **state)
{
	struct net_icmp_error icmp = { .kind = NET_ICMP_UNREACH };
	const struct tcp_half *h;
	struct tcp_lcore *tl;
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, NULL);
	tl = sim_tcp(&sim, 0);
	ep_listen(&sim, 0, 80, false, &s);
	pup_init(&p, &sim, 80, 4000, false);
	half_open(&p);
	h = pool_at(&tl->halfs, tl->half_fifo[0].head);
	tcp_key_get(&h->key, &icmp.laddr, &icmp.raddr);
	icmp.lport = h->key.lport;
	icmp.rport = h->key.rport;
	for (uint32_t i = 0; i < 3; i++) {
		icmp.seq = p.in.s.seq + i - 1;
		assert_int_equal(tcp_icmp(sim.host[0].lc, &icmp), i == 1);
	}
	pup_silence(&p, 50 * MS);
	pup_send(&p, F_ACK, 0);
	assert_int_equal(tl->halfs.used, 0);
	assert_true(s.accepted);
	case_close(&sim);
}

/* RFC 6528: for one tuple the clock alone moves it; tuples and secrets differ. */
static void
test_isn(void **state)
{
	struct tcp_key k = { .lport = 1, .rport = 2 };
	uint32_t a, b, c;
	struct lcore *lc;

	(void)state;
	case_open(&sim, NULL);
	lc = sim.host[0].lc;
	tcp_isn(lc, &k, &a);
	lcore_set_clock(lc, lc->now_us + 4000000, 0);
	tcp_isn(lc, &k, &b);
	assert_int_equal(b - a, 1000000);
	k.rport = 3;
	tcp_isn(lc, &k, &c);
	assert_true(c - b > 1000 && b - c > 1000);
	lc->tcp->secret[1] ^= 1;
	tcp_isn(lc, &k, &b);
	assert_true(c - b > 1000 && b - c > 1000);
	case_close(&sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v4),
		cmocka_unit_test(test_v6),
		cmocka_unit_test(test_declined),
		cmocka_unit_test(test_closed_port),
		cmocka_unit_test(test_port_zero),
		cmocka_unit_test(test_refused_by_accept),
		cmocka_unit_test(test_stopping),
		cmocka_unit_test(test_syn_timeout),
		cmocka_unit_test(test_syn_lost),
		cmocka_unit_test(test_synack_retransmit),
		cmocka_unit_test(test_half_open),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_conns_full),
		cmocka_unit_test(test_mss),
		cmocka_unit_test(test_simultaneous_open),
		cmocka_unit_test(test_syn_sent),
		cmocka_unit_test(test_icmp),
		cmocka_unit_test(test_icmp_half),
		cmocka_unit_test(test_isn),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
