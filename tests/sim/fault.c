// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every allocation refused once, on each side, and pools run dry: the connection pays at most, and
 * nothing leaks.
 */
#include "tests/sim/peer.h"

static struct sim sim;

/* An echo of 30 kB, asked for by `host`, who closes first; `piece` bytes at a time. */
static void
echo(int host, uint32_t piece, struct ep *c, struct ep *s)
{
	c->hold = false;
	s->echo = true;
	ep_listen(&sim, 1 - host, 80, false, s);
	if (ep_connect(&sim, host, 80, false, c) < 0)
		return;
	run(&sim, 100 * MS);
	for (int tries = 0; c->tc != NULL && c->sent < 30000 && tries < 100; tries++) {
		if (tcp_get_state(c->tc) == TCP_ESTABLISHED) {
			uint64_t sent = c->sent;
			if (ep_send(c, piece) < 0)
				c->sent = sent; // no buffer for the application itself
		}
		run(&sim, 20 * MS);
	}
	run(&sim, 3 * SEC);
	// the echo of what an event could not take
	if (s->tc != NULL && tcp_rx(s->tc)->len > 0)
		ep_read(s);
	run(&sim, 3 * SEC);
	if (c->tc != NULL)
		ep_close(c);
	run(&sim, 1 * SEC);
	if (s->tc != NULL)
		ep_close(s);
	run(&sim, 10 * SEC);
}

static void
test_each_mbuf(void **state)
{
	uint32_t lost = 0;

	(void)state;
	for (int host = 0; host < 2; host++) {
		for (uint32_t n = 1; n < 120; n++) {
			struct ep c = { 0 }, s = { 0 };

			case_open(&sim, NULL);
			lcore_mbuf_fail_in(sim.host[host].lc, n);
			echo(0, 1000, &c, &s);
			lcore_mbuf_fail_in(sim.host[host].lc, 0);
			if (c.got != 30000 || c.wrong)
				lost++;
			assert_int_equal(sim_tcp(&sim, 0)->conns.used, 0);
			assert_int_equal(sim_tcp(&sim, 1)->conns.used, 0);
			assert_int_equal(sim.host[0].lc->retained + sim.host[1].lc->retained, 0);
			case_close(&sim);
		}
	}
	assert_int_equal(lost, 0); // one refusal costs time, not a connection
}

/*
 * TCBs, half-open and TIME_WAIT entries, and blocks are refused once, to who opens and closes first, and to
 * the other one. By what that takes of each pool: `open` of who opens, `wait` of who is asked.
 */
static void
test_each_pool(void **state)
{
	static const struct {
		size_t pool;
		bool open, wait;
	} row[] = {
		{ offsetof(struct tcp_lcore, conns), true, true },
		{ offsetof(struct tcp_lcore, halfs), false, true },
		{ offsetof(struct tcp_lcore, tws), true, false },
		{ offsetof(struct tcp_lcore, recs), true, true },
	};

	(void)state;
	for (int host = 0; host < 4; host++) { // who is refused, who opens
		for (size_t i = 0; i < SL_ARRAY_SIZE(row); i++) {
			struct ep c = { 0 }, s = { 0 };
			bool opens = (host & 1) == host >> 1;
			bool taken = opens ? row[i].open : row[i].wait;
			struct pool *p;

			case_open(&sim, NULL);
			run(&sim, 3 * SEC);
			p = (struct pool *)(void *)((char *)sim_tcp(&sim, host & 1) + row[i].pool);
			p->fail_in = 1;
			echo(host >> 1, 10000, &c, &s); // enough for the window to be a limit
			assert_int_equal(p->failed, taken);
			assert_int_equal(p->fail_in, !taken);
			// who has no TCB to open with is told so, everybody else gets everything
			assert_int_equal(c.got, opens && i == 0 ? 0 : 30000);
			assert_false(c.wrong);
			assert_int_equal(sim_tcp(&sim, 0)->conns.used, 0);
			assert_int_equal(sim_tcp(&sim, 1)->conns.used, 0);
			assert_int_equal(sim_tcp(&sim, 0)->tws.used + sim_tcp(&sim, 1)->tws.used, 0);
			case_close(&sim);
		}
	}
}

/* The pool runs dry while bytes are on their way, and fills again. */
static void
test_pool_dry(void **state)
{
	struct ep c = { 0 }, s = { 0 };
	static struct rte_mbuf *hoard[16384];
	uint32_t n;

	(void)state;
	for (int host = 0; host < 2; host++) {
		memset(&c, 0, sizeof(c));
		memset(&s, 0, sizeof(s));
		case_open(&sim, NULL);
		pair(&sim, false, &c, &s);
		ep_send(&c, 100000);
		run(&sim, 2 * MS);
		for (n = 0; n < SL_ARRAY_SIZE(hoard); n++) {
			hoard[n] = rte_pktmbuf_alloc(sim.host[host].pool);
			if (hoard[n] == NULL)
				break;
		}
		run(&sim, 3 * SEC);
		while (n > 0)
			rte_pktmbuf_free(hoard[--n]);
		run(&sim, 60 * SEC);
		assert_int_equal(s.got, 100000);
		assert_false(s.wrong);
		case_close(&sim);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_mbuf),
		cmocka_unit_test(test_each_pool),
		cmocka_unit_test(test_pool_dry),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
