// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two workers per host, hosts joined by a wire: whoever receives a segment, its owner gets it; each
 * buffer goes back to its own pool; worker 1 gets its neighbours from worker 0.
 */
#include <rte_ethdev.h>

#include "tests/harness/net_pair.h"

static uint32_t got[2]; // at host b, by worker
static uint32_t wrong;

static void
on_tcp(struct lcore *lc, struct rte_mbuf **m, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct pkt *pk = pkt_of(m[i]);
		const struct port *p = &lc->ports->port[pk->port];

		wrong += m[i]->pool != lc->pool;
		wrong += (pk->rx_flags & PKT_F_HASH) && port_owner(p, pk->hash) != lc->id;
		got[lc->id]++;
		rte_pktmbuf_free(m[i]);
	}
}

static void
start(const char *dev_a, const char *dev_b, uint16_t na, uint16_t nb, uint32_t pool_n)
{
	const struct test_port pa = { .device = dev_a, .addr = { "10.0.0.1/24", "fd00::1/64" } };
	const struct test_port pb = { .device = dev_b, .addr = { "10.0.0.2/24", "fd00::2/64" } };

	got[0] = got[1] = wrong = 0;
	pair_start(&pa, &pb, 1, na, nb, pool_n, on_tcp);
}

/* A segment from worker w of host a to host b. */
static void
emit(uint16_t w, const char *to, uint16_t lport, uint32_t payload)
{
	struct lcore *lc = a.lc[w];
	struct net_flow f = { .lport = lport, .rport = 80 };
	struct rte_mbuf *m = lcore_mbuf(lc);
	uint8_t *d;

	assert_non_null(m);
	assert_int_equal(addr_parse(sl_str_c(to), &f.raddr), 0);
	assert_int_equal(net_route(lc, &f), 0);
	d = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(20 + payload));
	memset(d, 0, 20 + payload);
	d[0] = (uint8_t)(lport >> 8);
	d[1] = (uint8_t)lport;
	d[3] = 80;
	d[12] = 0x50;
	net_output(lc, &f, m, 0);
}

static uint64_t
sum_stat(const struct test_host *h, enum lc_stat s)
{
	uint64_t n = 0;
	for (uint16_t w = 0; w < h->n; w++)
		n += counter_get(&h->lc[w]->stat[s]);
	return n;
}

static struct net_spread
seen_by(const struct test_host *h)
{
	struct net_spread sum = { 0 };

	for (uint16_t w = 0; w < h->n; w++)
		net_spread_add(h->lc[w], 0, &sum);
	return sum;
}

static void
spread(const char *dev_b, bool mesh)
{
	struct net_spread seen;
	uint64_t fwd;

	start("wire1a,rss=0", dev_b, 2, 2, 2047);
	assert_int_equal(b.ports.port[0].mode, mesh ? PORT_SOFT : PORT_RSS);
	emit(0, "10.0.0.2", 1, 0);
	emit(1, "10.0.0.2", 1, 0);
	emit(1, "fd00::2", 1, 0);
	run(20); // neighbours are known, also to worker 1 who does not own the table
	assert_int_equal(got[0] + got[1], 3);
	assert_int_equal(sum_stat(&a, STAT_ARP_IN) > 0, 1);
	fwd = sum_stat(&b, STAT_MESH_OUT);
	for (uint16_t i = 0; i < 200; i++) {
		emit(i % 2, i % 3 ? "10.0.0.2" : "fd00::2", (uint16_t)(20000 + i), i);
		if (i % 20 == 19)
			run(2);
	}
	run(5);
	assert_int_equal(got[0] + got[1], 203);
	assert_int_equal(wrong, 0);
	assert_in_range(got[0], 70, 130);
	// as received by the other one, or not at all
	if (mesh)
		assert_in_range(sum_stat(&b, STAT_MESH_OUT) - fwd, 60, 140);
	else
		assert_int_equal(sum_stat(&b, STAT_MESH_OUT) - fwd, 0);
	assert_int_equal(sum_stat(&b, STAT_MESH_OUT), sum_stat(&b, STAT_MESH_IN));
	seen = seen_by(&b);
	assert_int_equal(seen.own, mesh ? 0 : 203); // nothing is expected of such a device
	assert_int_equal(seen.stray, 0);
	assert_false(seen.hash_bad[0] || seen.hash_bad[1]);
	pair_stop();
}

static void
soft(void **state)
{
	(void)state;
	spread("wire1b,rss=0", true);
}

static void
rss(void **state)
{
	(void)state;
	spread("wire1b", false);
}

/* A device that says that it spreads by the table and does not: counted, and the mesh mends it. */
static void
strays(void **state)
{
	struct port *p = &b.ports.port[0];
	struct net_spread seen;

	(void)state;
	start("wire1a,rss=0", "wire1b,rss=0", 2, 2, 2047);
	emit(0, "10.0.0.2", 1, 0);
	emit(0, "fd00::2", 1, 0);
	run(20);
	got[0] = got[1] = 0;
	for (uint16_t i = 0; i < 200; i++) {
		emit(i % 2, i % 3 ? "10.0.0.2" : "fd00::2", (uint16_t)(20000 + i), i);
		test_host_poll(&a, now += 10000);
		p->mode = PORT_RSS; // as the worker has it; the wire spreads by the sender's queue
		test_host_poll(&b, now);
		test_host_poll(&b, now);
		p->mode = PORT_SOFT;
	}
	seen = seen_by(&b);
	assert_int_equal(got[0] + got[1], 200);
	assert_int_equal(wrong, 0);
	assert_int_equal(seen.own + seen.stray, 200); // once each, by who received it
	assert_in_range(seen.stray, 60, 140);
	assert_false(seen.hash_bad[0] || seen.hash_bad[1]);
	pair_stop();
}

/* Frames of one queue, by worker 0, with a wrong hash beside those of IPv6. */
static uint32_t
poll_worker_0(void)
{
	struct rte_mbuf *m[32];
	uint16_t n = rte_eth_rx_burst(b.ports.port[0].ethdev, 0, m, 32);

	for (uint16_t i = 0; i < n; i++) {
		if (*rte_pktmbuf_mtod_offset(m[i], uint8_t *, 12) == 0x86)
			m[i]->hash.rss ^= 1;
	}
	lcore_set_clock(b.lc[0], now, now);
	net_input(b.lc[0], 0, m, n);
	return n;
}

/* One family's hash may be right and the other's not: hundreds that agree prove nothing for the other. */
static void
device_hash(void **state)
{
	(void)state;
	for (uint32_t v6 = 0; v6 < 2; v6++) {
		struct net_spread seen;

		start("wire1a,rss=0", "wire1b", 1, 2, 2047);
		emit(0, "10.0.0.2", 1, 0);
		emit(0, "fd00::2", 1, 0);
		run(20);
		got[0] = got[1] = 0;
		for (uint16_t i = 0; i < 400; i++) {
			emit(0, v6 && i >= 300 ? "fd00::2" : "10.0.0.2", (uint16_t)(20000 + i), 1);
			test_host_poll(&a, now += 10000);
			poll_worker_0();
		}
		run(20);
		seen = seen_by(&b);
		assert_int_equal(got[0] + got[1], 400);
		assert_int_equal(wrong, 0);
		assert_int_equal(seen.stray, 0);
		assert_false(seen.hash_bad[0]);
		assert_int_equal(seen.hash_bad[1], v6);
		pair_stop();
	}
}

/* A port whose device has one queue: all flows are worker 0's, the other refuses to use it. */
static void
fewer_queues(void **state)
{
	struct net_flow f = { .lport = 1, .rport = 80 };

	(void)state;
	start("wire1a", "wire1b,queues=1", 1, 2, 1023);
	assert_int_equal(b.ports.port[0].nqueues, 1);
	for (uint16_t i = 0; i < 50; i++)
		emit(0, "10.0.0.2", (uint16_t)(20000 + i), 1);
	run(20);
	assert_int_equal(got[1], 0);
	assert_true(got[0] >= 8);
	assert_int_equal(addr_parse(SL_STR("10.0.0.1"), &f.raddr), 0);
	assert_int_equal(net_route(b.lc[1], &f), -ENETUNREACH);
	assert_int_equal(net_route(b.lc[0], &f), 0);
	pair_stop();
}

static const struct verdict {
	int line;
	uint64_t said;
	bool asked, taken; // was the device asked for it
} verdicts[] = {
	{ __LINE__, RTE_MBUF_F_RX_L4_CKSUM_GOOD, true, true },
	{ __LINE__, RTE_MBUF_F_RX_L4_CKSUM_NONE, true, true },
	{ __LINE__, RTE_MBUF_F_RX_L4_CKSUM_NONE, false, false },
	{ __LINE__, RTE_MBUF_F_RX_L4_CKSUM_BAD, true, false },
	{ __LINE__, RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, true, false },
};

/* Segments with a wrong checksum, and what the device says of them; half of them go over the mesh. */
static void
device_sums(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(verdicts); i++) {
		const struct verdict *v = &verdicts[i];
		uint32_t seen = 0;

		start("wire1a,rss=0", "wire1b,rss=0", 1, 2, 1023);
		b.ports.port[0].offloads |= v->asked ? PORT_O_RX_L4CSUM : 0;
		emit(0, "10.0.0.2", 1, 0);
		run(20);
		got[0] = got[1] = 0;
		for (uint16_t k = 0; k < 16; k++)
			emit(0, "10.0.0.2", (uint16_t)(20000 + k), 1);
		test_host_poll(&a, now += 10000);
		for (uint16_t n = 1; n > 0;) {
			struct rte_mbuf *m[32];

			n = rte_eth_rx_burst(b.ports.port[0].ethdev, 0, m, 32);
			for (uint16_t k = 0; k < n; k++) {
				*rte_pktmbuf_mtod_offset(m[k], uint8_t *, 14 + 20 + 16) ^= 1;
				m[k]->ol_flags |= v->said;
			}
			seen += n;
			lcore_set_clock(b.lc[0], now, now);
			net_input(b.lc[0], 0, m, n);
		}
		run(5);
		assert_int_equal(seen, 16);
		if (v->taken ? got[0] + got[1] != 16 || got[0] == 0 || got[1] == 0
			     : got[0] + got[1] != 0)
			fail_msg("row of line %d: %u and %u taken", v->line, got[0], got[1]);
		pair_stop();
	}
}

/* The owner does not answer: what is out is bounded, the rest is dropped and counted. */
static void
mesh_full(void **state)
{
	uint64_t dropped, before;

	(void)state;
	start("wire1a,rss=0", "wire1b,rss=0", 2, 2, 2047);
	emit(0, "10.0.0.2", 1, 0);
	run(20);
	before = counter_get(&b.lc[0]->stat[STAT_MESH_OUT]);
	for (uint32_t i = 0; i < 3008; i++) {
		emit(0, "10.0.0.2", (uint16_t)(20000 + i), 1);
		if (i % 16 != 15)
			continue;
		// only worker 0 of b runs
		struct rte_mbuf *m[32];
		test_host_poll(&a, now += 10000);
		uint16_t n = rte_eth_rx_burst(b.ports.port[0].ethdev, 0, m, 32);
		lcore_set_clock(b.lc[0], now, now);
		net_input(b.lc[0], 0, m, n);
	}
	dropped = counter_get(&b.lc[0]->drop[DROP_MESH_FULL]);
	assert_int_equal(counter_get(&b.lc[0]->stat[STAT_MESH_OUT]) - before, LCORE_MESH_FRAMES);
	assert_in_range(dropped, 700, 1300);
	assert_int_equal(got[0] + got[1] + LCORE_MESH_FRAMES + dropped, 3009);
	run(60);
	assert_int_equal(got[0] + got[1] + dropped, 3009);
	assert_int_equal(b.lc[0]->worker[1].frames, 0);
	pair_stop();
}

/* A chained packet goes out in one piece on a device that sends only the first. */
static void
single_segment(void **state)
{
	(void)state;
	for (int multi = 0; multi < 2; multi++) {
		struct net_flow f = { .lport = 7, .rport = 80 };
		struct rte_mbuf *h, *p;
		uint8_t *d;

		start(multi ? "wire1a" : "wire1a,multiseg=0", "wire1b", 1, 1, 1023);
		assert_int_equal(!!(a.ports.port[0].offloads & PORT_O_TX_MULTISEG), multi);
		emit(0, "10.0.0.2", 1, 0);
		run(3);
		h = lcore_mbuf(a.lc[0]);
		p = lcore_mbuf(a.lc[0]);
		assert_int_equal(addr_parse(SL_STR("10.0.0.2"), &f.raddr), 0);
		assert_int_equal(net_route(a.lc[0], &f), 0);
		d = (uint8_t *)rte_pktmbuf_append(h, 21); // odd, so that the sum must turn
		memset(d, 0, 21);
		d[1] = 7;
		d[3] = 80;
		d[12] = 0x50;
		d[20] = 0xab;
		d = (uint8_t *)rte_pktmbuf_append(p, 501);
		for (int i = 0; i < 501; i++)
			d[i] = (uint8_t)(i * 3);
		h->next = p;
		h->nb_segs = 2;
		net_output(a.lc[0], &f, h, 0);
		run(3);
		assert_int_equal(got[0], 2); // so the checksum was right
		pair_stop();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(soft),
		cmocka_unit_test(rss),
		cmocka_unit_test(strays),
		cmocka_unit_test(device_hash),
		cmocka_unit_test(fewer_queues),
		cmocka_unit_test(device_sums),
		cmocka_unit_test(mesh_full),
		cmocka_unit_test(single_segment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
