// SPDX-License-Identifier: BSD-3-Clause
/*
 * Ending: half-close, simultaneous close, orphans, TIME_WAIT and its reuse, resets, handlers that
 * end each other.
 */
#include "tests/sim/peer.h"

static struct sim sim;

static uint32_t
tws(int host)
{
	return sim_tcp(&sim, host)->tws.used;
}

static uint32_t
conns(int host)
{
	return sim_tcp(&sim, host)->conns.used;
}

/* One side is done sending, the other goes on for long. */
static void
half_close(bool by_client)
{
	struct ep c = { 0 }, s = { 0 };
	struct ep *a = by_client ? &c : &s, *b = by_client ? &s : &c;

	case_open(&sim, NULL);
	pair(&sim, by_client, &c, &s);
	ep_send(a, 5000);
	ep_shutdown(a);
	run(&sim, 100 * MS);
	assert_int_equal(b->got, 5000);
	assert_true(b->events & TCP_EV_EOF);
	assert_int_equal(tcp_get_state(a->tc), TCP_FIN_WAIT_2);
	assert_int_equal(tcp_get_state(b->tc), TCP_CLOSE_WAIT);
	run(&sim, 300 * SEC); // a half-closed connection has all the time it wants
	ep_send(b, 100000);
	run(&sim, 1 * SEC);
	assert_int_equal(a->got, 100000);
	assert_false(a->wrong);
	ep_shutdown(b);
	run(&sim, 100 * MS);
	// orderly on both sides, and over
	assert_null(a->tc);
	assert_null(b->tc);
	assert_int_equal(a->err, 0);
	assert_int_equal(b->err, 0);
	assert_true(a->events & TCP_EV_EOF);
	assert_int_equal(tws(a->host), 1);
	assert_int_equal(tws(b->host), 0);
	run(&sim, 3 * SEC);
	assert_int_equal(tws(a->host), 0);
	case_close(&sim);
}

static void
test_half_close(void **state)
{
	(void)state;
	half_close(true);
	half_close(false);
}

static void
test_simultaneous_close(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	case_open(&sim, NULL);
	pair(&sim, false, &c, &s);
	ep_shutdown(&c);
	ep_shutdown(&s);
	run(&sim, 6 * MS); // both FINs arrived, no acknowledgement yet
	assert_int_equal(tcp_get_state(c.tc), TCP_CLOSING);
	assert_int_equal(tcp_get_state(s.tc), TCP_CLOSING);
	run(&sim, 100 * MS);
	assert_null(c.tc);
	assert_null(s.tc);
	assert_int_equal(tws(0) + tws(1), 2);
	run(&sim, 3 * SEC);
	assert_int_equal(tws(0) + tws(1) + conns(0) + conns(1), 0);
	case_close(&sim);
}

/* The FIN is lost, then its acknowledgement. */
static uint32_t fins_to_drop;
static bool
drop_fins(struct sim *s, int from, const struct sim_pkt *p)
{
	(void)s;
	(void)from;
	if ((p->s.flags & F_FIN) && fins_to_drop > 0) {
		fins_to_drop--;
		return false;
	}
	return true;
}

static void
test_fin_lost(void **state)
{
	(void)state;
	for (uint32_t with_data = 0; with_data < 2; with_data++) {
		struct ep c = { 0 }, s = { 0 };
		case_open(&sim, NULL);
		pair(&sim, false, &c, &s);
		sim.tap = drop_fins;
		fins_to_drop = 2;
		if (with_data)
			ep_send(&c, 3000);
		ep_close(&c);
		run(&sim, 2 * SEC);
		assert_int_equal(s.got, with_data * 3000);
		assert_true(s.events & TCP_EV_EOF);
		fins_to_drop = 1;
		ep_close(&s);
		run(&sim, 500 * MS);
		assert_int_equal(conns(0) + conns(1), 0);
		assert_int_equal(tws(0), 1);
		case_close(&sim);
	}
}

/* Closing does not cut what is queued; bytes that come afterwards are answered by RST. */
static void
test_orphan(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	case_open(&sim, NULL);
	pair(&sim, false, &c, &s);
	ep_send(&c, 120000);
	ep_close(&c);
	run(&sim, 2 * SEC);
	assert_int_equal(s.got, 120000);
	assert_false(s.wrong);
	assert_true(s.events & TCP_EV_EOF);
	assert_int_equal(conns(0), 1);
	ep_send(&s, 10);
	run(&sim, 100 * MS);
	assert_int_equal(conns(0), 0);
	assert_null(s.tc);
	assert_int_equal(s.err, ECONNRESET);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_AFTER_CLOSE), 1);
	case_close(&sim);
}

/*
 * Closing with bytes unread ends orderly, where RFC 9293 3.10.4 would reset (SHLD-3): what is queued is often
 * the answer to just those bytes, and a reset would take it along. Who goes on sending learns of it.
 */
static void
test_close_unread(void **state)
{
	struct ep c = { 0 }, s = { .hold = true };

	(void)state;
	case_open(&sim, NULL);
	pair(&sim, false, &c, &s);
	ep_send(&c, 5000);
	run(&sim, 100 * MS);
	assert_int_equal(tcp_rx(s.tc)->len, 5000);
	ep_send(&s, 30000);
	ep_close(&s);
	run(&sim, 100 * MS);
	assert_int_equal(c.got, 30000);
	assert_false(c.wrong);
	assert_int_equal(c.events & (TCP_EV_EOF | TCP_EV_CLOSED), TCP_EV_EOF);
	assert_int_equal(sim.host[1].lc->retained, 0);
	ep_send(&c, 10);
	run(&sim, 100 * MS);
	assert_null(c.tc);
	assert_int_equal(c.err, ECONNRESET);
	case_close(&sim);
}

/* Nobody waits for ever for the peer's FIN, nor for one that never reads. */
static void
test_orphan_timeouts(void **state)
{
	struct ep c = { 0 }, s = { 0 };
	struct ep c2 = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, NULL);
	pair(&sim, false, &c, &s);
	ep_close(&c);
	run(&sim, 4 * SEC);
	assert_int_equal(conns(0), 1);
	run(&sim, 2 * SEC); // fin_timeout_ms is 5 s in tests
	assert_int_equal(conns(0), 0);
	ep_abort(&s);
	run(&sim, 100 * MS);
	// a zero window that stays, acknowledged each time
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c2), 0);
	pup_accept(&p, &sim, 0, 1460);
	p.wnd = 0;
	pup_send(&p, F_ACK, 0);
	ep_send(&c2, 100);
	ep_close(&c2);
	while (pup_next(&p, 130 * SEC))
		pup_send(&p, F_ACK, 0);
	assert_int_equal(conns(0), 0);
	case_close(&sim);
}

/* A silent peer and no owner: for minutes, but not when memory is short. */
static void
test_orphan_pressure(void **state)
{
	(void)state;
	for (int pressed = 0; pressed < 2; pressed++) {
		struct ep c = { 0 }, s = { 0 };
		struct tcp_conf conf;

		sim_conf(&conf);
		conf.fin_timeout_ms = 200000;
		case_open(&sim, &conf);
		pair(&sim, false, &c, &s);
		sim.down = true;
		ep_send(&c, 50000);
		ep_close(&c);
		run(&sim, 100 * MS);
		if (pressed)
			sim.host[0].lc->retain_max = sim.host[0].lc->retained * 3 / 2;
		run(&sim, 10 * SEC);
		assert_int_equal(conns(0), pressed ? 0 : 1);
		run(&sim, 140 * SEC);
		assert_int_equal(conns(0), 0);
		sim.down = false;
		ep_abort(&s);
		case_close(&sim);
	}
}

/* Where round trips were long eight tries would take long as well. */
static void
test_orphan_slow(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	case_open(&sim, NULL);
	pair(&sim, false, &c, &s);
	sim.down = true;
	c.tc->srtt = 2000000 << 3;
	ep_send(&c, 50000);
	ep_close(&c);
	run(&sim, 55 * SEC);
	assert_int_equal(conns(0), 1);
	run(&sim, 65 * SEC); // the first timeout after a minute
	assert_int_equal(conns(0), 0);
	sim.down = false;
	ep_abort(&s);
	case_close(&sim);
}

/* Bytes and FIN come before anybody reads: the end waits for the reader. */
static void
test_unread(void **state)
{
	struct ep c = { 0 }, s = { .hold = true };

	(void)state;
	case_open(&sim, NULL);
	pair(&sim, false, &c, &s);
	ep_shutdown(&s);
	run(&sim, 50 * MS);
	ep_send(&c, 20000);
	ep_close(&c);
	run(&sim, 5 * SEC);
	assert_non_null(s.tc);
	assert_int_equal(s.events & (TCP_EV_EOF | TCP_EV_CLOSED), TCP_EV_EOF);
	assert_int_equal(tcp_rx(s.tc)->len, 20000);
	ep_read(&s);
	run(&sim, 1 * MS);
	assert_int_equal(s.got, 20000);
	assert_false(s.wrong);
	assert_null(s.tc);
	assert_int_equal(s.err, 0);
	case_close(&sim);
}

static void
test_abort(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	case_open(&sim, NULL);
	pair(&sim, false, &c, &s);
	ep_send(&c, 500);
	ep_abort(&c);
	run(&sim, 100 * MS);
	assert_null(s.tc);
	assert_int_equal(s.err, ECONNRESET);
	assert_int_equal(conns(0) + conns(1) + tws(0) + tws(1), 0);
	assert_int_equal(sim_stat(&sim, 1, STAT_TCP_RST_IN), 1);
	case_close(&sim);
}

static void
test_send_after_shutdown(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	case_open(&sim, NULL);
	pair(&sim, false, &c, &s);
	ep_shutdown(&c);
	assert_int_equal(ep_send(&c, 100), -EPIPE);
	run(&sim, 100 * MS);
	assert_int_equal(s.got, 0);
	case_close(&sim);
}

/* RFC 9293 and 1337 in TIME_WAIT, with a puppet that closed second. */
static void
to_timewait(struct pup *p, struct ep *s, uint8_t opts)
{
	case_open(&sim, NULL);
	ep_listen(&sim, 0, 80, false, s);
	pup_connect(p, &sim, 80, 4000, opts, 1460);
	ep_shutdown(s);
	pup_expect(p, F_ACK | F_FIN, 0, 10 * MS);
	p->ack++;
	pup_send(p, F_ACK | F_FIN, 0);
	pup_expect(p, F_ACK, 0, 10 * MS);
	assert_int_equal(p->in.s.ack, p->seq);
	assert_int_equal(tws(0), 1);
	assert_int_equal(conns(0), 0);
	assert_null(s->tc);
}

static void
test_timewait(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	to_timewait(&p, &s, 0);
	// the FIN again: acknowledged, and 2 MSL begin anew (2 s in tests)
	run(&sim, 1500 * MS);
	pup_send_at(&p, p.seq - 1, F_ACK | F_FIN, 0);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	assert_int_equal(p.in.s.ack, p.seq);
	assert_int_equal(p.in.s.seq, p.ack);
	// RST does not end it, a plain ACK is no question
	pup_send_at(&p, p.seq, F_RST, 0);
	pup_send_at(&p, p.seq, F_ACK, 0);
	pup_silence(&p, 50 * MS);
	// an old SYN, or data: the ACK again
	pup_send_at(&p, p.seq - 1000, F_SYN, 0);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	pup_send_at(&p, p.seq, F_ACK, 10);
	pup_expect(&p, F_ACK, 0, 1 * MS);
	run(&sim, 1500 * MS);
	assert_int_equal(tws(0), 1);
	run(&sim, 600 * MS);
	assert_int_equal(tws(0), 0);
	// now it is a segment of nothing
	sim.nstolen = 0;
	pup_send_at(&p, p.seq, F_ACK, 10);
	pup_expect(&p, F_RST, 0, 10 * MS);
	case_close(&sim);
}

/* A SYN above the old numbers, or with a newer timestamp, opens the tuple again. */
static void
test_timewait_reuse(void **state)
{
	static const struct {
		int line;
		uint8_t opts;
		int32_t seq;
		int32_t ts;
		bool taken;
	} row[] = {
		{ __LINE__, 0, 1000, 0, true },
		{ __LINE__, 0, -1000, 0, false },
		{ __LINE__, TCP_OPT_TS, -1000, 1, true },
		{ __LINE__, TCP_OPT_TS, -1000, 0, false },
		{ __LINE__, TCP_OPT_TS, -1000, -5, false },
		{ __LINE__, TCP_OPT_TS, 1000, 0, true },
		{ __LINE__, TCP_OPT_TS, 1000, 1, true },
		{ __LINE__, TCP_OPT_TS, 1000, -5, false },
		{ __LINE__, TCP_OPT_TS, INT32_MAX, -1, false },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_SIZE(row); i++) {
		struct ep s = { 0 };
		struct pup p;
		uint32_t old;

		to_timewait(&p, &s, row[i].opts);
		old = p.ack;
		p.seq += (uint32_t)row[i].seq;
		p.tsval += (uint32_t)row[i].ts;
		p.out.s.mss = 1460;
		p.out.s.opts = row[i].opts;
		pup_send(&p, F_SYN, 0);
		assert_true(pup_next(&p, 10 * MS));
		if (((p.in.s.flags & F_SYN) != 0) != row[i].taken)
			fail_msg("line %d: flags %02x", row[i].line, p.in.s.flags);
		if (row[i].taken) {
			// our numbers go on above the old ones (RFC 6191 2, RFC 1122 4.2.2.13)
			assert_true(seq_gt(p.in.s.seq, old));
			assert_int_equal(tws(0), 0);
			p.ack = p.in.s.seq + 1;
			pup_send(&p, F_ACK, 0);
			assert_non_null(s.tc);
		}
		case_close(&sim);
	}
}

/* Where nobody listens, or takes anything any more, a SYN ends no TIME_WAIT, however new it looks. */
static void
test_timewait_no_listener(void **state)
{
	(void)state;
	for (int stopping = 0; stopping < 2; stopping++) {
		struct ep e = { 0 };
		struct pup p;

		if (stopping) {
			to_timewait(&p, &e, 0);
			sim.host[0].lc->stopping = true;
		} else { // we had opened it
			case_active(&sim, NULL, &e, &p, 0);
			ep_shutdown(&e);
			pup_expect(&p, F_ACK | F_FIN, 0, 10 * MS);
			p.ack++;
			pup_send(&p, F_ACK | F_FIN, 0);
			pup_expect(&p, F_ACK, 0, 10 * MS);
		}
		assert_int_equal(tws(0), 1);
		pup_send_at(&p, p.seq + 1000, F_SYN, 0);
		pup_expect(&p, F_ACK, 0, 1 * MS);
		assert_int_equal(p.in.s.seq, p.ack);
		assert_int_equal(p.in.s.ack, p.seq);
		pup_silence(&p, 10 * MS);
		assert_int_equal(tws(0), 1);
		assert_int_equal(sim_drop(&sim, 0, DROP_TCP_TIMEWAIT), 1);
		assert_int_equal(sim_drop(&sim, 0, DROP_TCP_NO_LISTENER), 0);
		case_close(&sim);
	}
}

/* One port only: it can be used again after a second, when timestamps guard it. */
static void
test_port_reuse(void **state)
{
	struct tcp_conf conf;
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	sim_conf(&conf);
	conf.port_first = conf.port_last = 5000;
	assert_int_equal(sim.frame == NULL, 1);
	struct tcp_conf both[2] = { conf, conf };
	assert_int_equal(sim_open(&sim, 3, both), 0);
	pair(&sim, false, &c, &s);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &(struct ep){ 0 }), -EADDRNOTAVAIL);
	ep_close(&c);
	run(&sim, 50 * MS);
	ep_close(&s);
	run(&sim, 50 * MS);
	assert_int_equal(tws(0), 1);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), -EADDRNOTAVAIL);
	run(&sim, 1100 * MS);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	assert_int_equal(tws(0), 0);
	run(&sim, 100 * MS);
	assert_int_equal(tcp_get_state(c.tc), TCP_ESTABLISHED);
	case_close(&sim);
}

/* More than the table holds: the oldest entry goes. */
static void
test_timewait_full(void **state)
{
	struct tcp_conf conf;
	struct ep s = { 0 };

	(void)state;
	sim_conf(&conf);
	conf.max_timewait = 4;
	conf.timewait_ms = 60000;
	case_open(&sim, &conf);
	for (int i = 0; i < 10; i++) {
		struct ep c = { 0 };
		if (i == 0)
			ep_listen(&sim, 1, 80, false, &s);
		assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
		run(&sim, 50 * MS);
		ep_close(&c);
		run(&sim, 50 * MS);
		ep_close(&s);
		run(&sim, 50 * MS);
	}
	assert_int_equal(tws(0), 4);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_TIMEWAIT), 10);
	case_close(&sim);
}

/* ---- handlers that end connections ---- */
static struct ep ends[8];

static void
close_others(struct ep *e, uint32_t ev)
{
	if (!(ev & TCP_EV_READABLE))
		return;
	for (size_t i = 0; i < SL_ARRAY_SIZE(ends); i++) {
		if (&ends[i] != e && ends[i].tc != NULL && ends[i].host == e->host) {
			if (i & 1)
				ep_abort(&ends[i]);
			else
				ep_close(&ends[i]);
		}
	}
	if (e->tc != NULL)
		ep_abort(e);
}

static void
test_handlers_end_others(void **state)
{
	struct ep s[SL_ARRAY_SIZE(ends)] = { 0 };

	(void)state;
	case_open(&sim, NULL);
	memset(ends, 0, sizeof(ends));
	for (size_t i = 0; i < SL_ARRAY_SIZE(ends); i++) {
		uint16_t port = (uint16_t)(80 + i);
		s[i].echo = true;
		ep_listen(&sim, 1, port, false, &s[i]);
		ends[i].on_event = close_others;
		assert_int_equal(ep_connect(&sim, 0, port, false, &ends[i]), 0);
		run(&sim, 50 * MS);
	}
	// all of them get bytes in one burst
	for (size_t i = 0; i < SL_ARRAY_SIZE(ends); i++)
		ep_send(&ends[i], 100);
	run(&sim, 100 * MS);
	for (size_t i = 0; i < SL_ARRAY_SIZE(ends); i++)
		assert_null(ends[i].tc);
	run(&sim, 10 * SEC);
	assert_int_equal(conns(0), 0);
	assert_int_equal(sim_drop(&sim, 0, DROP_TCP_NO_CONN), 0);
	case_close(&sim);
}

static bool abort_in_accept;
static uint32_t accept_events;

static void *
accept_and_end(struct lcore *lc, void *cookie, struct tcp_conn *tc)
{
	if (abort_in_accept)
		tcp_abort(lc, tc);
	else
		tcp_close(lc, tc);
	return cookie;
}

static void
count_event(struct lcore *lc, struct tcp_conn *tc, void *user, uint32_t ev)
{
	(void)lc;
	(void)tc;
	(void)user;
	(void)ev;
	accept_events++;
}

static void
test_end_in_accept(void **state)
{
	static const struct tcp_handler h = { .accept = accept_and_end, .event = count_event };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ip_port at = { .ip = { .family = ADDR_V4 }, .port = 80 };
		struct ep c = { 0 };
		case_open(&sim, NULL);
		abort_in_accept = i == 0;
		accept_events = 0;
		assert_int_equal(tcp_listen(sim.host[1].lc, &at, &h, &sim), 0);
		assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
		run(&sim, 100 * MS);
		if (c.tc != NULL)
			ep_close(&c);
		run(&sim, 10 * SEC);
		assert_int_equal(accept_events, 0);
		assert_int_equal(conns(0) + conns(1), 0);
		case_close(&sim);
	}
}

/* A listener goes with its half-open entries; connections stay. */
static void
test_unlisten(void **state)
{
	struct ep c = { 0 }, s = { 0 }, d = { 0 };
	struct ip_port at = { .ip = { .family = ADDR_V4 }, .port = 80 };
	struct pup p;

	(void)state;
	case_open(&sim, NULL);
	pair(&sim, false, &c, &s);
	ep_listen(&sim, 0, 80, false, &d);
	pup_init(&p, &sim, 80, 4000, false);
	pup_send(&p, F_SYN, 0);
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 1);
	assert_int_equal(tcp_unlisten(sim.host[0].lc, &at), 0);
	assert_int_equal(tcp_unlisten(sim.host[0].lc, &at), -ENOENT);
	assert_int_equal(sim_tcp(&sim, 0)->halfs.used, 0);
	assert_int_equal(tcp_unlisten(sim.host[1].lc, &at), 0);
	sim.steal = false;
	ep_send(&c, 100);
	run(&sim, 100 * MS);
	assert_int_equal(s.got, 100);
	case_close(&sim);
}

/* The very address goes before the any-address; both families. */
static void
test_listeners(void **state)
{
	struct ip_port at = { .port = 80 };
	struct ep any4 = { 0 }, own4 = { 0 }, any6 = { 0 }, c = { 0 }, d = { 0 }, e = { 0 };
	struct lcore *lc;

	(void)state;
	case_open(&sim, NULL);
	lc = sim.host[1].lc;
	ep_listen(&sim, 1, 80, false, &any4);
	ep_listen(&sim, 1, 80, true, &any6);
	own4.sim = &sim;
	own4.host = 1;
	at.ip = sim.host[1].v4;
	assert_int_equal(tcp_listen(lc, &at, &ep_handler, &own4), 0);
	assert_int_equal(tcp_listen(lc, &at, &ep_handler, &own4), -EADDRINUSE);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &c), 0);
	assert_int_equal(ep_connect(&sim, 0, 80, true, &d), 0);
	run(&sim, 100 * MS);
	assert_true(own4.accepted);
	assert_true(any6.accepted);
	assert_false(any4.accepted);
	assert_int_equal(tcp_unlisten(lc, &at), 0);
	assert_int_equal(ep_connect(&sim, 0, 80, false, &e), 0);
	run(&sim, 100 * MS);
	assert_true(any4.accepted);
	case_close(&sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_simultaneous_close),
		cmocka_unit_test(test_fin_lost),
		cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_close_unread),
		cmocka_unit_test(test_orphan_timeouts),
		cmocka_unit_test(test_orphan_pressure),
		cmocka_unit_test(test_orphan_slow),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_send_after_shutdown),
		cmocka_unit_test(test_timewait),
		cmocka_unit_test(test_timewait_reuse),
		cmocka_unit_test(test_timewait_no_listener),
		cmocka_unit_test(test_timewait_full),
		cmocka_unit_test(test_port_reuse),
		cmocka_unit_test(test_handlers_end_others),
		cmocka_unit_test(test_end_in_accept),
		cmocka_unit_test(test_unlisten),
		cmocka_unit_test(test_listeners),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
