// SPDX-License-Identifier: BSD-3-Clause
/*
 * Frames of several segments through net and a device that cuts them (a wire with "tso="): both
 * families, with and without a VLAN tag, payload of any length; a driver that refuses one; a port that
 * is gone. The other host looks at each segment, and drops what has a wrong sum.
 */
#include <rte_ethdev.h>
#include <rte_tcp.h>

#include "tests/harness/net_pair.h"

#define SEQ 0xfffff000u // wraps on the way

static struct {
	uint32_t n, bytes;
	uint16_t len[16];
	uint8_t flags[16];
	bool wrong;
} got;

static uint8_t
pattern(uint32_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7);
}

static void
on_tcp(struct lcore *lc, struct rte_mbuf **m, uint16_t n)
{
	(void)lc;
	for (uint16_t i = 0; i < n; i++) {
		const struct pkt *pk = pkt_of(m[i]);
		const struct rte_tcp_hdr *th =
			rte_pktmbuf_mtod_offset(m[i], const struct rte_tcp_hdr *, pk->l4);
		uint32_t hl = (th->data_off >> 4) * 4u, len = pk->l4_len - hl;
		const uint8_t *d = (const uint8_t *)th + hl;

		if (rte_be_to_cpu_32(th->sent_seq) != SEQ + got.bytes || got.n == 16)
			got.wrong = true;
		for (uint32_t k = 0; k < len; k++)
			got.wrong |= d[k] != pattern(got.bytes + k);
		got.len[got.n % 16] = (uint16_t)len;
		got.flags[got.n++ % 16] = th->tcp_flags;
		got.bytes += len;
		rte_pktmbuf_free(m[i]);
	}
}

static void
start(uint16_t vlan)
{
	const struct test_port pa = {
		.device = "wire1a,tso=8", .addr = { "10.0.0.1/24", "fd00::1/64" }, .vlan = vlan
	};
	const struct test_port pb = {
		.device = "wire1b", .addr = { "10.0.0.2/24", "fd00::2/64" }, .vlan = vlan
	};

	pair_start(&pa, &pb, 1, 1, 1, 1023, on_tcp);
	assert_int_equal(a.ports.port[0].offloads & PORT_O_TX_TSO, PORT_O_TX_TSO);
	assert_int_equal(a.ports.port[0].tso_segs, 8);
}

/* n segments of `size` bytes, the last of `last`, in one frame; opt: bytes of options. */
static void
emit(const char *to, uint16_t n, uint16_t size, uint16_t last, uint16_t opt)
{
	struct lcore *lc = a.lc[0];
	struct net_flow f = { .lport = 7, .rport = 80 };
	struct rte_mbuf *first = lcore_mbuf(lc), *tail = first;
	struct rte_tcp_hdr *th;
	uint32_t at = 0;

	memset(&got, 0, sizeof(got));
	assert_int_equal(addr_parse(sl_str_c(to), &f.raddr), 0);
	assert_int_equal(net_route(lc, &f), 0);
	th = (struct rte_tcp_hdr *)(void *)rte_pktmbuf_append(first, (uint16_t)(20 + opt));
	if (th == NULL) {
		fail_msg("no room");
		return;
	}
	memset(th, 1, 20u + opt); // options: NOPs
	th->src_port = rte_cpu_to_be_16(7);
	th->dst_port = rte_cpu_to_be_16(80);
	th->sent_seq = rte_cpu_to_be_32(SEQ);
	th->data_off = (uint8_t)((20 + opt) / 4 << 4);
	th->tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG;
	th->cksum = 0;
	for (uint16_t i = 0; i < n; i++) {
		uint16_t len = i + 1 < n ? size : last;
		uint8_t *d;

		if (i > 0) {
			tail->next = lcore_mbuf(lc);
			tail = tail->next;
		}
		d = (uint8_t *)rte_pktmbuf_append(tail, len);
		for (uint16_t k = 0; k < len; k++)
			d[k] = pattern(at++);
	}
	first->nb_segs = n;
	net_output_joined(lc, &f, first, size, 0);
}

static void
expect(uint16_t n, uint16_t size, uint16_t last)
{
	assert_int_equal(got.n, n);
	assert_false(got.wrong);
	for (uint16_t i = 0; i < n; i++) {
		assert_int_equal(got.len[i], i + 1 < n ? size : last);
		assert_int_equal(
			got.flags[i], RTE_TCP_ACK_FLAG | (i + 1 < n ? 0 : RTE_TCP_PSH_FLAG));
	}
}

static const struct row {
	int line;
	uint16_t n, size, last, opt;
} rows[] = {
	{ __LINE__, 2, 1428, 1428, 12 },
	{ __LINE__, 8, 1428, 1428, 12 },
	{ __LINE__, 8, 1428, 1, 12 },
	{ __LINE__, 2, 513, 512, 12 },
	{ __LINE__, 3, 999, 333, 12 },
	{ __LINE__, 7, 701, 701, 0 },
	{ __LINE__, 5, 1001, 77, 40 },
};

static void
cut(void **state)
{
	(void)state;
	for (uint16_t vlan = 0; vlan <= 100; vlan += 100) {
		start(vlan);
		for (uint32_t i = 0; i < 2 * SL_ARRAY_SIZE(rows); i++) {
			const struct row *r = &rows[i / 2];
			uint64_t segs = counter_get(&a.lc[0]->stat[STAT_TX_TSO_SEGS]);

			// the first one waits for its neighbour, as a whole
			emit(i % 2 ? "fd00::2" : "10.0.0.2", r->n, r->size, r->last, r->opt);
			run(5);
			expect(r->n, r->size, r->last);
			assert_int_equal(
				counter_get(&a.lc[0]->stat[STAT_TX_TSO_SEGS]) - segs, r->n);
		}
		assert_int_equal(counter_get(&a.lc[0]->stat[STAT_TX_TSO]), 2 * SL_ARRAY_SIZE(rows));
		assert_int_equal(counter_get(&b.lc[0]->drop[DROP_TCP_CSUM]), 0);
		assert_int_equal(counter_get(&b.lc[0]->drop[DROP_IP_CSUM]), 0);
		assert_int_equal(wire_lost(wire[0], 'a'), 0);
		pair_stop();
	}
}

static uint32_t asked, refused;

/* A driver that does not like every third frame. */
static uint16_t
picky(void *queue, struct rte_mbuf **m, uint16_t n)
{
	(void)queue;
	for (uint16_t i = 0; i < n; i++) {
		if (!(m[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
			continue;
		if (++asked % 3 == 0) {
			refused++;
			return i;
		}
	}
	return n;
}

static uint16_t
busy(void *queue, struct rte_mbuf **m, uint16_t n)
{
	(void)queue;
	(void)m;
	(void)n;
	return 0;
}

/* What the driver refuses is dropped and counted, the others leave in their order. */
static void
refusal(void **state)
{
	struct rte_eth_fp_ops *ops;
	eth_tx_burst_t taken;

	(void)state;
	start(0);
	emit("10.0.0.2", 2, 600, 600, 12);
	run(5);
	ops = &rte_eth_fp_ops[a.ports.port[0].ethdev];
	ops->tx_pkt_prepare = picky;
	asked = refused = 0;
	for (int i = 0; i < 7; i++)
		emit("10.0.0.2", 2, 600, 600, 12);
	run(5);
	assert_int_equal(got.n, 2 * 5);
	assert_int_equal(refused, 2);
	assert_int_equal(asked, 7); // each once
	assert_int_equal(counter_get(&a.lc[0]->drop[DROP_TX_REFUSED]), 2);
	// nor twice if it has to wait
	taken = ops->tx_pkt_burst;
	ops->tx_pkt_burst = busy;
	emit("10.0.0.2", 2, 600, 600, 12);
	run(3);
	assert_int_equal(asked, 8);
	ops->tx_pkt_burst = taken;
	run(3);
	assert_int_equal(asked, 8);
	ops->tx_pkt_prepare = NULL;
	pair_stop();
}

/* A frame that cannot leave is freed whole. */
static void
gone(void **state)
{
	(void)state;
	start(0);
	emit("10.0.0.2", 8, 600, 600, 12);
	run(5);
	emit("10.0.0.2", 8, 600, 600, 12);
	atomic_store(&a.ports.port[0].gone, true);
	run(5);
	assert_int_equal(got.n, 0);
	assert_int_equal(counter_get(&a.lc[0]->drop[DROP_TX_LINK_DOWN]), 1);
	atomic_store(&a.ports.port[0].gone, false);
	emit("10.0.0.77", 8, 600, 600, 12); // nobody answers
	run(400);
	assert_int_equal(got.n, 0);
	assert_int_equal(counter_get(&a.lc[0]->drop[DROP_NEIGH_DEAD]), 1);
	pair_stop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut),
		cmocka_unit_test(refusal),
		cmocka_unit_test(gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
