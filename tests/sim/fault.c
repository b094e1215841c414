// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every allocation refused once, on each side, and pools run dry: the connection pays at most, and
 * nothing leaks.
 */
#include "tests/sim/peer.h"

static struct sim sim;

/* An echo of 30 kB with shutdown both ways; how many buffers did `host` take? */
static void
echo(struct ep *c, struct ep *s)
{
	c->hold = false;
	s->echo = true;
	ep_listen(&sim, 1, 80, false, s);
	if (ep_connect(&sim, 0, 80, false, c) < 0)
		return;
	run(&sim, 100 * MS);
	for (int tries = 0; c->tc != NULL && c->sent < 30000 && tries < 100; tries++) {
		if (tcp_get_state(c->tc) == TCP_ESTABLISHED) {
			uint64_t sent = c->sent;
			if (ep_send(c, 1000) < 0)
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
			echo(&c, &s);
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

/* TCBs, half-open and TIME_WAIT entries are refused once. */
static void
test_each_pool(void **state)
{
	(void)state;
	for (int host = 0; host < 2; host++) {
		for (uint32_t which = 0; which < 4; which++) {
			struct ep c = { 0 }, s = { 0 };
			struct tcp_lcore *tl;

			case_open(&sim, NULL);
			run(&sim, 3 * SEC);
			tl = sim_tcp(&sim, host);
			(which == 0                  ? &tl->conns
					: which == 1 ? &tl->halfs
					: which == 2 ? &tl->tws
						     : &tl->recs)
				->fail_in = 1;
			echo(&c, &s);
			assert_int_equal(sim_tcp(&sim, 0)->conns.used, 0);
			assert_int_equal(sim_tcp(&sim, 1)->conns.used, 0);
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
