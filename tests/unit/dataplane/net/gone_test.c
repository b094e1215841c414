// SPDX-License-Identifier: BSD-3-Clause
/* A port whose device is taken away: it is noted, let go without a leak, and the other port goes on. */
#include <rte_dev.h>
#include <rte_ethdev.h>

#include "tests/harness/net_pair.h"

static uint32_t got;

static void
on_tcp(struct lcore *lc, struct rte_mbuf **m, uint16_t n)
{
	(void)lc;
	got += n;
	for (uint16_t i = 0; i < n; i++)
		rte_pktmbuf_free(m[i]);
}

/* From b to a: net_route()'s verdict. */
static int
emit(uint16_t w, const char *to)
{
	struct net_flow f = { .lport = 1, .rport = 80 };
	struct rte_mbuf *m;
	int rc;

	assert_int_equal(addr_parse(sl_str_c(to), &f.raddr), 0);
	rc = net_route(b.lc[w], &f);
	if (rc < 0)
		return rc;
	m = lcore_mbuf(b.lc[w]);
	assert_non_null(m);
	memset(rte_pktmbuf_append(m, 20), 0, 20);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 12) = 0x50;
	net_output(b.lc[w], &f, m, 0);
	return 0;
}

static void
taken_away(void **state)
{
	const struct test_port pa[2] = { { .device = "wire1a", .addr = { "10.0.1.1/24" } },
		{ .device = "wire2a", .addr = { "10.0.2.1/24" } } };
	const struct test_port pb[2] = { { .device = "wire1b", .addr = { "10.0.1.2/24" } },
		{ .device = "wire2b", .addr = { "10.0.2.2/24" } } };
	struct rte_eth_dev_info info;
	struct port *p = &b.ports.port[0];

	(void)state;
	pair_start(pa, pb, 2, 1, 2, 1023, on_tcp);
	for (uint16_t w = 0; w < 2; w++) {
		assert_int_equal(emit(w, "10.0.1.1"), 0);
		assert_int_equal(emit(w, "10.0.2.1"), 0);
	}
	run(20);
	assert_int_equal(got, 4);

	// the event changes nothing by itself
	assert_false(port_is_leaving(p));
	assert_int_equal(rte_eth_dev_info_get(p->ethdev, &info), 0);
	rte_dev_event_callback_process(rte_dev_name(info.device), RTE_DEV_EVENT_ADD);
	assert_false(port_is_leaving(p));
	rte_dev_event_callback_process(rte_dev_name(info.device), RTE_DEV_EVENT_REMOVE);
	assert_true(port_is_leaving(p));
	assert_false(port_is_leaving(&b.ports.port[1]));
	assert_int_equal(emit(0, "10.0.1.1"), 0); // waits in a queue
	port_let_go(&b.ports, p, b.pool);

	assert_false(port_is_leaving(p));
	assert_int_equal(b.ports.n, 2);
	assert_int_equal(emit(0, "10.0.1.1"), -ENETUNREACH);
	assert_int_equal(emit(1, "10.0.1.1"), -ENETUNREACH);
	assert_int_equal(emit(0, "10.0.2.1"), 0);
	assert_int_equal(emit(1, "10.0.2.1"), 0);
	run(300);
	assert_int_equal(got, 6);
	// what waited is not kept, and no worker stays awake for it
	assert_int_equal(counter_get(&b.lc[0]->drop[DROP_TX_LINK_DOWN]), 1);
	assert_int_equal(net_pending(b.lc[0]), 0);
	port_poll_link(p);
	assert_false(atomic_load(&p->link_up));
	pair_stop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(taken_away) };

	if (test_eal_start() < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
