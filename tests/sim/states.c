// SPDX-License-Identifier: BSD-3-Clause
/*
 * Each synchronised state against each kind of segment (RFC 9293 3.10.7.4, RFC 5961), one case for
 * every pair; and what segments may carry that nobody asked for: URG, ECN, data on SYN.
 */
#include "tests/sim/peer.h"

static struct sim sim;
static struct ep s;
static struct pup p;

/* Host 0's connection on port 80 in the wanted state; the puppet is its peer. */
static void
reach(enum tcp_state want)
{
	uint32_t fin;

	case_open(&sim, NULL);
	s = (struct ep){ 0 };
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, 0, 1460);
	assert_non_null(s.tc);
	switch (want) {
	case TCP_FIN_WAIT_1:
	case TCP_FIN_WAIT_2:
	case TCP_CLOSING:
		ep_shutdown(&s);
		pup_expect(&p, F_FIN | F_ACK, 0, 10 * MS);
		fin = p.in.s.seq;
		if (want == TCP_CLOSING) {
			pup_send(&p, F_FIN | F_ACK, 0); // without an acknowledgement of ours
			pup_expect(&p, F_ACK, 0, 10 * MS);
		} else if (want == TCP_FIN_WAIT_2) {
			p.ack = fin + 1;
			pup_send(&p, F_ACK, 0);
		}
		break;
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
		pup_send(&p, F_FIN | F_ACK, 0);
		pup_expect(&p, F_ACK, 0, 10 * MS);
		if (want == TCP_LAST_ACK) {
			ep_shutdown(&s);
			pup_expect(&p, F_FIN | F_ACK, 0, 10 * MS);
		}
		break;
	default:
		break;
	}
	assert_non_null(s.tc);
	assert_int_equal(tcp_get_state(s.tc), want);
}

/* An ACK of what stands, and the state as before. */
static void
answered_only(enum tcp_state want)
{
	pup_expect(&p, F_ACK, 0, 10 * MS);
	assert_int_equal(p.in.s.ack, p.seq);
	assert_non_null(s.tc);
	assert_int_equal(tcp_get_state(s.tc), want);
}

/* RFC 5961 4.2: a SYN, in or out of the window, is answered by a challenge. */
static void
check_syn(enum tcp_state want)
{
	reach(want);
	p.out.s.mss = 1460;
	pup_send_at(&p, p.seq, F_SYN, 0);
	answered_only(want);
	pup_send_at(&p, p.seq - 1000000, F_SYN, 0);
	answered_only(want);
	assert_true(sim_stat(&sim, 0, STAT_TCP_CHALLENGE) > 0);
	case_close(&sim);
}

/* RFC 5961 3.2: the exact number resets. */
static void
check_rst_exact(enum tcp_state want)
{
	uint64_t before;

	reach(want);
	before = sim_stat(&sim, 0, STAT_TCP_RST_IN);
	pup_send_at(&p, p.seq, F_RST, 0);
	run(&sim, 1 * MS);
	assert_null(s.tc);
	assert_int_equal(s.err, ECONNRESET);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RST_IN), before + 1);
	case_close(&sim);
}

/* ... another one in the window is challenged, outside it is dropped without a word. */
static void
check_rst_blind(enum tcp_state want)
{
	reach(want);
	if (want == TCP_ESTABLISHED || want == TCP_FIN_WAIT_1 || want == TCP_FIN_WAIT_2) {
		pup_send_at(&p, p.seq + 100, F_RST, 0);
		answered_only(want);
	}
	pup_send_at(&p, p.seq + 1000000, F_RST, 0);
	pup_silence(&p, 10 * MS);
	assert_non_null(s.tc);
	assert_true(sim_drop(&sim, 0, DROP_TCP_BAD_RST) > 0);
	case_close(&sim);
}

/* RFC 5961 5.2: acknowledging what was never sent is challenged, and nothing of the segment counts. */
static void
check_ack_future(enum tcp_state want)
{
	uint64_t got;

	reach(want);
	got = s.got;
	p.ack += 100000;
	pup_send_at(&p, p.seq, F_ACK, 100);
	p.ack -= 100000;
	answered_only(want);
	assert_int_equal(s.got, got);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_BAD_ACK), 1);
	case_close(&sim);
}

/* ... and so is an ACK older than any window. */
static void
check_ack_ancient(enum tcp_state want)
{
	reach(want);
	p.ack -= 1u << 30;
	pup_send_at(&p, p.seq, F_ACK, 100);
	p.ack += 1u << 30;
	answered_only(want);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_BAD_ACK), 1);
	case_close(&sim);
}

/* Outside the window: an ACK, and the bytes are gone. */
static void
check_outside(enum tcp_state want)
{
	uint64_t got;

	reach(want);
	got = s.got;
	pup_send_at(&p, p.seq + 10000000, F_ACK, 100);
	answered_only(want);
	assert_int_equal(s.got, got);
	assert_true(sim_drop(&sim, 0, DROP_TCP_WINDOW) > 0);
	case_close(&sim);
}

/* Old bytes: an ACK. */
static void
check_old(enum tcp_state want)
{
	reach(want);
	pup_send_at(&p, p.seq - 300, F_ACK, 200);
	answered_only(want);
	case_close(&sim);
}

/* Without an ACK a segment says nothing. */
static void
check_no_ack(enum tcp_state want)
{
	uint64_t got;

	reach(want);
	got = s.got;
	pup_send_at(&p, p.seq, F_PSH, 100);
	run(&sim, 100 * MS);
	assert_int_equal(s.got, got);
	assert_non_null(s.tc);
	assert_true(sim_drop(&sim, 0, DROP_TCP_BAD_FLAGS) > 0);
	case_close(&sim);
}

#define STATES(X, kind)          \
	X(kind, ESTABLISHED)     \
	X(kind, FIN_WAIT_1)      \
	X(kind, FIN_WAIT_2)      \
	X(kind, CLOSE_WAIT)      \
	X(kind, CLOSING)         \
	X(kind, LAST_ACK)
#define KINDS(X)              \
	STATES(X, syn)        \
	STATES(X, rst_exact)  \
	STATES(X, rst_blind)  \
	STATES(X, ack_future) \
	STATES(X, ack_ancient)\
	STATES(X, outside)    \
	STATES(X, old)        \
	STATES(X, no_ack)

#define DEFINE(kind, state)                            \
	static void test_##kind##_##state(void **arg)  \
	{                                              \
		(void)arg;                             \
		check_##kind(TCP_##state);             \
	}
KINDS(DEFINE)

/* A bare ACK at the right edge of the window counts: whoever filled the window sends from there. */
static void
test_ack_at_edge(void **arg)
{
	(void)arg;
	reach(TCP_ESTABLISHED);
	ep_send(&s, 100);
	pup_expect(&p, F_ACK, 100, 10 * MS);
	p.ack += 100;
	pup_send_at(&p, s.tc->rcv_adv, F_ACK, 0);
	assert_int_equal(tcp_send_queued(s.tc), 0);
	pup_silence(&p, 50 * MS); // no answer, or two of that kind would talk for ever
	case_close(&sim);
}

/* Bytes after the peer's FIN are no bytes (RFC 9293 3.10.7.4 seventh). */
static void
test_data_behind_fin(void **arg)
{
	(void)arg;
	reach(TCP_CLOSE_WAIT);
	pup_send_at(&p, p.seq, F_ACK, 100);
	answered_only(TCP_CLOSE_WAIT);
	assert_int_equal(s.got, 0);
	case_close(&sim);
}

/* The FIN again is acknowledged again, and ends nothing twice. */
static void
test_fin_again(void **arg)
{
	static const enum tcp_state row[] = { TCP_CLOSE_WAIT, TCP_CLOSING, TCP_LAST_ACK };

	(void)arg;
	for (size_t i = 0; i < SL_ARRAY_SIZE(row); i++) {
		reach(row[i]);
		pup_send_at(&p, p.seq - 1, F_FIN | F_ACK, 0);
		answered_only(row[i]);
		case_close(&sim);
	}
}

/* Half-closed by us: the peer may go on for long, and closes when it likes. */
static void
test_half_close_receives(void **arg)
{
	(void)arg;
	reach(TCP_FIN_WAIT_2);
	for (int i = 0; i < 20; i++) {
		pup_send(&p, F_ACK, 1000);
		run(&sim, 5 * SEC);
	}
	assert_int_equal(s.got, 20000);
	assert_false(s.wrong);
	while (pup_next(&p, 0)) {}
	pup_send(&p, F_FIN | F_ACK, 0);
	pup_expect(&p, F_ACK, 0, 10 * MS);
	assert_int_equal(sim_tcp(&sim, 0)->tws.used, 1);
	case_close(&sim);
}

/* Half-closed by the peer: we may go on for long. */
static void
test_half_close_sends(void **arg)
{
	(void)arg;
	reach(TCP_CLOSE_WAIT);
	for (int i = 0; i < 20; i++) {
		ep_send(&s, 1000);
		pup_expect(&p, F_ACK, 1000, 10 * MS);
		p.ack += 1000;
		pup_send(&p, F_ACK, 0);
		run(&sim, 5 * SEC);
	}
	ep_shutdown(&s);
	pup_expect(&p, F_FIN | F_ACK, 0, 10 * MS);
	p.ack++;
	pup_send(&p, F_ACK, 0);
	run(&sim, 1 * MS);
	assert_null(s.tc);
	assert_int_equal(s.err, 0);
	case_close(&sim);
}

/* Both FINs cross; each side's is acknowledged, both end in TIME_WAIT (RFC 9293 3.6, case 3). */
static void
test_closing_ends(void **arg)
{
	(void)arg;
	reach(TCP_CLOSING);
	p.ack++;
	pup_send(&p, F_ACK, 0);
	run(&sim, 1 * MS);
	assert_int_equal(sim_tcp(&sim, 0)->tws.used, 1);
	assert_int_equal(s.err, 0);
	case_close(&sim);
}

/* RFC 9293 3.8.5, RFC 6093: there is no urgent mode for a proxy; the bytes are in the stream. */
static void
test_urgent(void **arg)
{
	(void)arg;
	reach(TCP_ESTABLISHED);
	pup_send(&p, F_ACK | RTE_TCP_URG_FLAG, 100);
	pup_send(&p, F_ACK | RTE_TCP_URG_FLAG | F_PSH, 50);
	assert_int_equal(s.got, 150);
	assert_false(s.wrong);
	// URG without ACK, or alone with nothing, does no harm either
	pup_send_at(&p, p.seq, RTE_TCP_URG_FLAG, 10);
	pup_send_at(&p, p.seq, F_ACK | RTE_TCP_URG_FLAG, 0);
	assert_int_equal(s.got, 150);
	assert_non_null(s.tc);
	case_close(&sim);
}

/* RFC 3168 6.1.1: a SYN that offers ECN is answered without it, never dropped. */
static void
test_ecn_syn(void **arg)
{
	(void)arg;
	case_open(&sim, NULL);
	s = (struct ep){ 0 };
	ep_listen(&sim, 0, 80, false, &s);
	pup_init(&p, &sim, 80, 4000, false);
	p.out.s.mss = 1460;
	pup_send(&p, F_SYN | RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG, 0);
	pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	p.ack = p.in.s.seq + 1;
	pup_send(&p, F_ACK, 0);
	assert_true(s.accepted);
	case_close(&sim);
}

/* ECE and CWR on any other segment are not looked at. */
static void
test_ecn_flags(void **arg)
{
	uint32_t cwnd;

	(void)arg;
	reach(TCP_ESTABLISHED);
	cwnd = s.tc->cwnd;
	pup_send(&p, F_ACK | RTE_TCP_ECE_FLAG, 100);
	pup_send(&p, F_ACK | RTE_TCP_CWR_FLAG, 100);
	pup_send(&p, F_ACK | RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG | F_PSH, 100);
	assert_int_equal(s.got, 300);
	assert_int_equal(s.tc->cwnd, cwnd);
	case_close(&sim);
}

/* Data on the SYN is not taken; sent again behind the handshake it is (RFC 9293 3.10.7.2). */
static void
test_data_on_syn(void **arg)
{
	(void)arg;
	case_open(&sim, NULL);
	s = (struct ep){ 0 };
	ep_listen(&sim, 0, 80, false, &s);
	pup_init(&p, &sim, 80, 4000, false);
	p.out.s.mss = 1460;
	pup_send_at(&p, p.seq, F_SYN, 100);
	pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	assert_int_equal(p.in.s.ack, p.seq + 1);
	p.seq++;
	p.ack = p.in.s.seq + 1;
	pup_send(&p, F_ACK, 100);
	assert_int_equal(s.got, 100);
	assert_false(s.wrong);
	case_close(&sim);
}

/* Flags that cannot be: dropped, and no state comes of them. */
static void
test_impossible_flags(void **arg)
{
	static const uint8_t row[] = { 0, F_SYN | F_FIN, F_SYN | F_RST, F_FIN | F_RST,
		F_FIN | F_PSH | RTE_TCP_URG_FLAG, 0x3f };

	(void)arg;
	reach(TCP_ESTABLISHED);
	for (size_t i = 0; i < SL_ARRAY_SIZE(row); i++) {
		pup_send_at(&p, p.seq, row[i], 0);
		p.out.s.key.lport = 5000;
		pup_send_at(&p, p.seq, row[i], 0);
		p.out.s.key.lport = 4000;
	}
	run(&sim, 10 * MS);
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 0);
	assert_int_equal(sim_tcp(&sim, 0)->conns.used, 1);
	assert_int_equal(tcp_get_state(s.tc), TCP_ESTABLISHED);
	case_close(&sim);
}

/* RFC 7323 3.2: with timestamps negotiated, a segment without them is dropped; an RST is not. */
static void
test_missing_timestamp(void **arg)
{
	(void)arg;
	case_open(&sim, NULL);
	s = (struct ep){ 0 };
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, TCP_OPT_TS, 1460);
	p.ts = false;
	pup_send_at(&p, p.seq, F_ACK, 100);
	assert_int_equal(s.got, 0);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_PAWS), 1);
	pup_send_at(&p, p.seq, F_RST, 0);
	run(&sim, 1 * MS);
	assert_null(s.tc);
	case_close(&sim);
}

/* ... and a SYN is challenged: its sender has lost the connection, and what it had negotiated. */
static void
test_syn_without_timestamp(void **arg)
{
	(void)arg;
	case_open(&sim, NULL);
	s = (struct ep){ 0 };
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, TCP_OPT_TS, 1460);
	p.out.s.opts = 0;
	pup_send_at(&p, p.seq, F_SYN, 0);
	answered_only(TCP_ESTABLISHED);
	pup_send_at(&p, p.seq - 1000000, F_SYN, 0);
	answered_only(TCP_ESTABLISHED);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_BAD_SYN), 2);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_CHALLENGE), 2);
	case_close(&sim);
}

/* What is most common on the wire, but for the number that it acknowledges. */
static void
test_future_ack_predicted(void **arg)
{
	(void)arg;
	case_open(&sim, NULL);
	s = (struct ep){ 0 };
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, TCP_OPT_TS, 1460);
	ep_send(&s, 100);
	pup_expect(&p, F_ACK, 100, 10 * MS);
	p.ack += 101; // one more than was sent
	pup_send_at(&p, p.seq, F_ACK, 100);
	p.ack -= 101;
	answered_only(TCP_ESTABLISHED);
	assert_int_equal(s.got, 0);
	assert_int_equal(tcp_send_queued(s.tc), 100);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_BAD_ACK), 1);
	p.ack += 100;
	pup_send(&p, F_ACK, 100);
	assert_int_equal(s.got, 100);
	assert_int_equal(tcp_send_queued(s.tc), 0);
	case_close(&sim);
}

/* RFC 7323 2.2: the window of a SYN is not scaled, those behind it are. */
static void
test_window_of_syn(void **arg)
{
	(void)arg;
	case_open(&sim, NULL);
	s = (struct ep){ 0 };
	ep_listen(&sim, 0, 80, false, &s);
	pup_init(&p, &sim, 80, 4000, false);
	p.out.s.mss = 1460;
	p.out.s.opts = TCP_OPT_WSCALE;
	p.out.s.wscale = 5;
	p.wnd = 1000;
	pup_send(&p, F_SYN, 0);
	pup_expect(&p, F_SYN | F_ACK, 0, 10 * MS);
	p.ack = p.in.s.seq + 1;
	pup_send(&p, F_ACK, 0);
	assert_int_equal(s.tc->snd_wnd, 32000);
	case_close(&sim);
}

/* A SYN and its answer lost, nothing measured: data has 3 s at least (RFC 6298 5.7). */
static void
rto_after_lost_syn(uint32_t init_ms, uint32_t lost, uint64_t rto_us)
{
	struct ep c = { 0 };
	struct tcp_conf conf;
	uint64_t t0;

	sim_conf(&conf);
	conf.rto_init_ms = init_ms;
	case_open(&sim, &conf);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	pup_init(&p, &sim, 0, 0, false);
	for (uint32_t i = 0; i <= lost; i++)
		pup_expect(&p, F_SYN, 0, 60 * SEC);
	memcpy(p.out.s.key.l, p.in.s.key.r, 16);
	memcpy(p.out.s.key.r, p.in.s.key.l, 16);
	p.out.s.key.lport = p.in.s.key.rport;
	p.out.s.key.rport = p.in.s.key.lport;
	p.out.s.mss = 1460;
	p.ack = p.in.s.seq + 1;
	pup_send(&p, F_SYN | F_ACK, 0);
	pup_expect(&p, F_ACK, 0, 10 * MS);
	ep_send(&c, 100);
	pup_expect(&p, F_ACK, 100, 10 * MS);
	t0 = sim.now_us;
	pup_expect(&p, F_ACK, 100, 60 * SEC);
	assert_in_range(sim.now_us - t0, rto_us - 5 * MS, rto_us + 5 * MS);
	t0 = sim.now_us;
	pup_expect(&p, F_ACK, 100, 60 * SEC); // and doubles as others do
	assert_in_range(sim.now_us - t0, 2 * rto_us - 5 * MS, 2 * rto_us + 5 * MS);
	case_close(&sim);
}

static void
test_rto_after_lost_syn(void **arg)
{
	(void)arg;
	rto_after_lost_syn(1000, 0, 1 * SEC);
	rto_after_lost_syn(1000, 1, 3 * SEC);
	rto_after_lost_syn(1000, 3, 3 * SEC);
	rto_after_lost_syn(200, 1, 3 * SEC);
	rto_after_lost_syn(5000, 1, 5 * SEC);
}

#define CASE(kind, state) cmocka_unit_test(test_##kind##_##state),

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KINDS(CASE)
		cmocka_unit_test(test_ack_at_edge),
		cmocka_unit_test(test_data_behind_fin),
		cmocka_unit_test(test_fin_again),
		cmocka_unit_test(test_half_close_receives),
		cmocka_unit_test(test_half_close_sends),
		cmocka_unit_test(test_closing_ends),
		cmocka_unit_test(test_urgent),
		cmocka_unit_test(test_ecn_syn),
		cmocka_unit_test(test_ecn_flags),
		cmocka_unit_test(test_data_on_syn),
		cmocka_unit_test(test_impossible_flags),
		cmocka_unit_test(test_missing_timestamp),
		cmocka_unit_test(test_syn_without_timestamp),
		cmocka_unit_test(test_future_ack_predicted),
		cmocka_unit_test(test_window_of_syn),
		cmocka_unit_test(test_rto_after_lost_syn),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
