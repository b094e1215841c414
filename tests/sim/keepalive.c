// SPDX-License-Identifier: BSD-3-Clause
/*
 * Keepalive (RFC 1122 4.2.3.6): when a silent peer is asked, and when it counts as gone.
 */
#include "tests/sim/case.h"

static const struct tcp_keepalive ten = { 10000, 2000, 3 };

static void
start(struct pup *p, struct ep *s, uint8_t opts, const struct tcp_keepalive *k)
{
	case_passive(&sim, &conf, s, p, opts);
	assert_non_null(s->tc);
	tcp_set_keepalive(sim.host[0].lc, s->tc, k);
}

/* The next probe, `from` to `to` seconds from now: one number before the window, no data. */
#define probe(p, from, to) probe_((p), (from), (to), __LINE__)
static void
probe_(struct pup *p, uint64_t from, uint64_t to, int line)
{
	uint64_t t0 = sim.now_us;

	pup_expect_(p, F_ACK, 0, to + 100 * MS, line);
	if (sim.now_us - t0 < from || sim.now_us - t0 > to)
		fail_msg("line %d: after %llu us", line, (unsigned long long)(sim.now_us - t0));
	assert_int_equal(p->in.s.seq, p->ack - 1);
	assert_int_equal(p->in.s.ack, p->seq);
}

/* Off unless asked for. */
static void
test_off(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	start(&p, &s, 0, NULL);
	pup_silence(&p, 3 * 3600 * SEC);
	assert_non_null(s.tc);
	case_close(&sim);
}

/* After two hours unless told otherwise. */
static void
test_default(void **state)
{
	static const struct tcp_keepalive none = { 0 };
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	start(&p, &s, 0, &none);
	probe(&p, 7199 * SEC, 7201 * SEC);
	probe(&p, 74 * SEC, 76 * SEC);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_KEEP_PROBES), 2);
	case_close(&sim);
}

/* Answers begin a new silence; a lost probe or two are no reason to give up. */
static void
test_answered(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	start(&p, &s, 0, &ten);
	probe(&p, 9700 * MS, 10300 * MS);
	pup_send(&p, F_ACK, 0);
	probe(&p, 9700 * MS, 10300 * MS);
	probe(&p, 1900 * MS, 2100 * MS);
	probe(&p, 1900 * MS, 2100 * MS);
	pup_send(&p, F_ACK, 0); // at last
	probe(&p, 9700 * MS, 10300 * MS);
	assert_non_null(s.tc);
	assert_int_equal(s.calls, 1); // nothing of this concerns the user
	case_close(&sim);
}

/* Nobody answers: RST, and the user is told. */
static void
test_dead(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	start(&p, &s, 0, &ten);
	probe(&p, 9700 * MS, 10300 * MS);
	probe(&p, 1900 * MS, 2100 * MS);
	probe(&p, 1900 * MS, 2100 * MS);
	pup_expect(&p, F_RST | F_ACK, 0, 2100 * MS);
	assert_int_equal(p.in.s.seq, p.ack);
	run(&sim, 1 * MS);
	assert_null(s.tc);
	assert_int_equal(s.err, ETIMEDOUT);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_KEEP_DEAD), 1);
	case_close(&sim);
}

/* A peer that has lost the connection says so. */
static void
test_reset(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	start(&p, &s, 0, &ten);
	probe(&p, 9700 * MS, 10300 * MS);
	pup_send(&p, F_RST, 0);
	assert_null(s.tc);
	assert_int_equal(s.err, ECONNRESET);
	case_close(&sim);
}

/* Any word of the peer counts, data and acknowledgements. */
static void
test_activity(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	start(&p, &s, TCP_OPT_TS, &ten);
	for (int i = 0; i < 5; i++) {
		pup_silence(&p, 6 * SEC);
		pup_send(&p, F_ACK, 10);
		pup_expect(&p, F_ACK, 0, 50 * MS); // the delayed acknowledgement
		assert_int_equal(p.in.s.seq, p.ack);
	}
	pup_silence(&p, 9 * SEC);
	probe(&p, 0, 1300 * MS);
	pup_send(&p, F_ACK, 0);
	// what we send begins a silence too, once it is acknowledged
	pup_silence(&p, 6 * SEC);
	ep_send(&s, 100);
	pup_expect(&p, F_ACK, 100, 10 * MS);
	p.ack += 100;
	pup_send(&p, F_ACK, 0);
	pup_silence(&p, 9 * SEC);
	probe(&p, 0, 1300 * MS);
	case_close(&sim);
}

/* While data is outstanding, or a closed window is probed, there is nothing to ask. */
static void
test_not_while_busy(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	start(&p, &s, 0, &ten);
	ep_send(&s, 100);
	run(&sim, 15 * SEC); // retransmissions go on
	while (pup_next(&p, 0))
		assert_int_equal(p.in.s.len, 100);
	p.ack += 100;
	p.wnd = 0;
	pup_send(&p, F_ACK, 0);
	ep_send(&s, 100);
	run(&sim, 20 * SEC);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_KEEP_PROBES), 0);
	assert_true(sim_stat(&sim, 0, STAT_TCP_PROBES) > 0);
	case_close(&sim);
}

/* Half-closed by the peer: still asked. Switched off: no more. */
static void
test_half_closed(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	start(&p, &s, 0, &ten);
	pup_send(&p, F_ACK | F_FIN, 0);
	pup_expect(&p, F_ACK, 0, 10 * MS);
	probe(&p, 9700 * MS, 10300 * MS);
	pup_send(&p, F_ACK, 0);
	tcp_set_keepalive(sim.host[0].lc, s.tc, NULL);
	pup_silence(&p, 60 * SEC);
	case_close(&sim);
}

/* After a long silence the window is the initial one (RFC 5681 4.1), keepalive or not. */
static void
test_idle_window(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	for (int i = 0; i < 3; i++) {
		start(&p, &s, 0, i > 0 ? &ten : NULL);
		s.tc->cwnd = 100 * s.tc->mss;
		s.tc->srtt = 80000;
		s.tc->rttvar = 4000;
		run(&sim, i == 2 ? 11 * SEC : 2 * SEC);
		while (pup_next(&p, 0)) {}
		if (i == 2)
			pup_send(&p, F_ACK, 10); // heard just now, and yet nothing sent for long
		ep_send(&s, 40 * 1460);
		assert_int_equal(s.tc->cwnd, 100 * s.tc->mss - (i == 2 ? 90 * s.tc->mss : 0));
		run(&sim, 2 * MS);
		assert_int_equal(s.tc->cwnd, 10 * s.tc->mss);
		case_close(&sim);
		s = (struct ep){ 0 };
	}
}

/* More different settings than are kept: the worker's own. */
static void
test_many_settings(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	start(&p, &s, 0, &ten);
	for (uint32_t i = 0; i < 100; i++) {
		struct tcp_keepalive k = { 20000 + i, 0, 0 };
		tcp_set_keepalive(sim.host[0].lc, s.tc, &k);
		if (i < 29)
			assert_int_equal(s.tc->keep, i + 3);
		else
			assert_int_equal(s.tc->keep, 1);
	}
	tcp_set_keepalive(sim.host[0].lc, s.tc, &ten);
	assert_int_equal(s.tc->keep, 2);
	case_close(&sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_off),
		T(test_default),
		T(test_answered),
		T(test_dead),
		T(test_reset),
		T(test_activity),
		T(test_not_while_busy),
		T(test_half_closed),
		T(test_idle_window),
		T(test_many_settings),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
