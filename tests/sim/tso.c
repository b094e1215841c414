// SPDX-License-Identifier: BSD-3-Clause
/*
 * Segments that leave as one frame and are cut by the device (a wire with "tso=", which does it as a
 * card does): what may be joined, how much, and that nobody who looks at the wire can tell.
 */
#include <rte_ethdev.h>

#include "tests/sim/case.h"

#include <stdlib.h>

#define MOST 10u   // segments in a frame, of this file's wires
#define FULL 1416u // payload of a full segment: 1500 less IPv6, TCP, timestamps on either side

/* What host 0 sent. */
static struct {
	uint32_t segs, again, next, psh, fin;
	uint16_t len[64];
	bool gap, odd_psh;
	uint32_t drop, drops; // the drop-th data segment is lost
} seen;

static bool
watch(struct sim *s, int from, const struct sim_pkt *p)
{
	(void)s;
	if (from != 0 || (p->s.len == 0 && !(p->s.flags & F_FIN)))
		return true;
	if (seen.segs > 0 && seq_lt(p->s.seq, seen.next)) {
		seen.again++;
		return true;
	}
	if (seen.segs > 0 && p->s.seq != seen.next)
		seen.gap = true;
	seen.next = p->s.seq + p->s.len;
	if (seen.segs < SL_ARRAY_SIZE(seen.len))
		seen.len[seen.segs] = p->s.len;
	seen.segs++;
	seen.psh += (p->s.flags & F_PSH) != 0;
	seen.fin += (p->s.flags & F_FIN) != 0;
	if (seen.drop != 0 && seen.segs == seen.drop) {
		seen.drops++;
		return false;
	}
	return true;
}

static uint64_t frames0, segs0;

static uint64_t
frames(void)
{
	return sim_stat(&sim, 0, STAT_TX_TSO) - frames0;
}

static uint64_t
joined(void)
{
	return sim_stat(&sim, 0, STAT_TX_TSO_SEGS) - segs0;
}

static void
forget(void)
{
	memset(&seen, 0, sizeof(seen));
	frames0 = sim_stat(&sim, 0, STAT_TX_TSO);
	segs0 = sim_stat(&sim, 0, STAT_TX_TSO_SEGS);
}

static void
start(bool v6, struct ep *c, struct ep *s)
{
	case_open(&sim, &conf);
	pair(&sim, v6, c, s);
	forget();
	sim.tap = watch;
}

/* Much may leave at once, and it has just sent something. */
static void
hurry(const struct ep *e)
{
	e->tc->cwnd = 1 << 20;
	e->tc->rtx_at = sim.host[0].lc->now;
}

/* Nothing was dropped for a wrong sum or length: the far end is our own stack, which looks. */
static void
clean(void)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sim_drop(&sim, i, DROP_TCP_CSUM), 0);
		assert_int_equal(sim_drop(&sim, i, DROP_IP_CSUM), 0);
		assert_int_equal(sim_drop(&sim, i, DROP_IP_LENGTH), 0);
	}
	assert_false(seen.gap);
}

/* Ten segments of the initial window are one frame; the eleventh, a short one, would be the next. */
static void
test_joined(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct ep c = { 0 }, s = { 0 };
		uint64_t out;

		start(v6, &c, &s);
		out = sim_stat(&sim, 0, STAT_TCP_OUT);
		ep_send(&c, 9 * FULL + 77);
		run(&sim, 100 * MS);
		assert_int_equal(s.got, 9 * FULL + 77);
		assert_int_equal(seen.segs, 10);
		for (int i = 0; i < 9; i++)
			assert_int_equal(seen.len[i], FULL);
		assert_int_equal(seen.len[9], 77);
		assert_int_equal(frames(), 1);
		assert_int_equal(joined(), 10);
		assert_int_equal(seen.psh, 1); // of the last alone
		assert_int_equal(sim_stat(&sim, 0, STAT_TCP_OUT) - out, 10);
		clean();
		case_close(&sim);
	}
}

/* Payload of any length, odd ones too: the frame's segments, and the one behind that is shorter. */
static void
test_lengths(void **state)
{
	static const uint32_t len[] = { FULL + 1, FULL + 511, 2 * FULL, 3 * FULL + 1, 4 * FULL - 1,
		5 * FULL + 713 };
	struct ep c = { 0 }, s = { 0 };
	uint64_t all = 0;

	(void)state;
	start(false, &c, &s);
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(len); i++) {
		forget();
		hurry(&c);
		ep_send(&c, len[i]);
		all += len[i];
		run(&sim, 100 * MS);
		assert_int_equal(s.got, all);
		assert_int_equal(seen.segs, (len[i] + FULL - 1) / FULL);
		assert_int_equal(frames(), 1);
		assert_int_equal(joined(), seen.segs);
		clean();
	}
	assert_false(s.wrong);
	case_close(&sim);
}

/* A shorter segment ends its frame: behind it the device would cut elsewhere than the queue does. */
static void
test_short_inside(void **state)
{
	static const uint16_t want[] = { FULL, FULL, 600, FULL, FULL, 1 };
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	start(false, &c, &s);
	ep_send(&c, 2 * FULL + 600);
	ep_send(&c, 2 * FULL + 1);
	run(&sim, 100 * MS);
	assert_int_equal(s.got, 4 * FULL + 601);
	assert_int_equal(seen.segs, SL_ARRAY_SIZE(want));
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(want); i++)
		assert_int_equal(seen.len[i], want[i]);
	assert_int_equal(frames(), 2);
	clean();
	case_close(&sim);
}

/* A segment that is alone, or smaller than what cards cut, leaves as ever. */
static void
test_single(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	start(false, &c, &s);
	ep_send(&c, FULL);
	run(&sim, 100 * MS);
	for (int i = 0; i < 3; i++)
		ep_send(&c, 100);
	run(&sim, 100 * MS);
	assert_int_equal(s.got, FULL + 300);
	assert_int_equal(frames(), 0);
	clean();
	case_close(&sim);
}

/* A frame has what the device takes, and 64 KiB at most; windows decide how much may leave. */
static void
test_bounds(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	start(false, &c, &s);
	sim.host[0].ports.port[0].tso_segs = 3;
	ep_send(&c, 10 * FULL);
	run(&sim, 100 * MS);
	assert_int_equal(s.got, 10 * FULL);
	assert_int_equal(frames(), 3); // the tenth is alone
	assert_int_equal(joined(), 9);
	forget();
	sim.host[0].ports.port[0].tso_segs = 100;
	hurry(&c);
	ep_send(&c, 60 * FULL);
	run(&sim, 200 * MS);
	assert_int_equal(s.got, 70 * FULL);
	assert_int_equal(frames(), 2);
	assert_int_equal(joined(), 60);
	// none is joined that the driver would not cut
	forget();
	sim.host[0].ports.port[0].tso_frame = FULL + 65;
	hurry(&c);
	ep_send(&c, 4 * FULL);
	run(&sim, 100 * MS);
	assert_int_equal(frames(), 0);
	forget();
	sim.host[0].ports.port[0].tso_frame = FULL + 66;
	hurry(&c);
	ep_send(&c, 4 * FULL);
	run(&sim, 100 * MS);
	assert_int_equal(frames(), 1);
	clean();
	case_close(&sim);
}

/* FIN leaves with the last data, but not out of a frame that is cut. */
static void
test_fin(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	start(false, &c, &s);
	ep_send(&c, 5 * FULL);
	ep_shutdown(&c);
	run(&sim, 100 * MS);
	assert_int_equal(s.got, 5 * FULL);
	assert_true(s.events & TCP_EV_EOF);
	assert_int_equal(seen.segs, 5);
	assert_int_equal(seen.fin, 1);
	assert_int_equal(joined(), 4);
	clean();
	ep_close(&c);
	ep_close(&s);
	run(&sim, 5000 * MS);
	case_close(&sim);
}

/* Of a frame one segment is lost: that one is sent again, by itself, and in its own buffer. */
static void
test_loss(void **state)
{
	struct ep c = { 0 }, s = { 0 };
	uint64_t before;

	(void)state;
	start(false, &c, &s);
	for (uint32_t lost = 1; lost <= 10; lost++) {
		forget();
		seen.drop = lost;
		before = sim_stat(&sim, 0, STAT_TCP_RETRANS);
		hurry(&c);
		ep_send(&c, 10 * FULL);
		run(&sim, 3000 * MS);
		assert_int_equal(s.got, (uint64_t)lost * 10 * FULL);
		assert_int_equal(seen.drops, 1);
		assert_in_range(sim_stat(&sim, 0, STAT_TCP_RETRANS) - before, 1, 2);
		assert_int_equal(seen.segs, 10);
		assert_in_range(seen.again, 1, 2);
		assert_int_equal(frames(), 1);
		assert_int_equal(joined(), 10);
	}
	assert_false(s.wrong);
	case_close(&sim);
}

/* While there are SACK blocks to tell, they are told once: with segments that leave by themselves. */
static void
test_sack_blocks(void **state)
{
	struct ep s = { 0 };
	struct pup p;

	(void)state;
	case_open(&sim, &conf);
	ep_listen(&sim, 0, 80, false, &s);
	pup_connect(&p, &sim, 80, 4000, TCP_OPT_SACK_OK | TCP_OPT_TS, 1000);
	forget();
	pup_send_at(&p, p.seq + 100, F_ACK, 100);
	pup_expect(&p, F_ACK, 0, 100 * MS);
	assert_int_equal(p.in.s.nsack, 1);
	ep_send(&s, 4 * 988);
	run(&sim, 10 * MS);
	assert_int_equal(frames(), 0);
	pup_send(&p, F_ACK, 100);
	p.seq += 100;
	run(&sim, 10 * MS);
	while (pup_next(&p, 1 * MS))
		p.ack = p.in.s.seq + p.in.s.len;
	pup_send(&p, F_ACK, 0);
	forget();
	ep_send(&s, 4 * 988);
	run(&sim, 10 * MS);
	assert_int_equal(frames(), 1);
	assert_int_equal(joined(), 4);
	case_close(&sim);
}

/* Two connections at once: no frame has bytes of both. */
static void
test_two(void **state)
{
	struct ep c[2] = { { 0 }, { 0 } }, s[2] = { { 0 }, { 0 } };

	(void)state;
	start(false, &c[0], &s[0]);
	ep_listen(&sim, 1, 81, true, &s[1]);
	assert_int_equal(ep_connect(&sim, 0, 81, true, &c[1]), 0);
	run(&sim, 200 * MS);
	sim.tap = NULL;
	forget();
	for (int i = 0; i < 20; i++) {
		ep_send(&c[0], 3 * FULL + 5);
		ep_send(&c[1], 2 * FULL + 600);
		run(&sim, 50 * MS);
	}
	for (int i = 0; i < 2; i++)
		assert_false(s[i].wrong);
	assert_int_equal(s[0].got, 20 * (3 * FULL + 5));
	assert_int_equal(s[1].got, 20 * (2 * FULL + 600));
	assert_int_equal(frames(), 40);
	clean();
	case_close(&sim);
}

/* No buffer for a copy: what is held leaves all the same, and the rest later. */
static void
test_no_buffer(void **state)
{
	struct ep c = { 0 }, s = { 0 };
	struct rte_mbuf *all[8192];
	uint32_t n = 0;

	(void)state;
	start(false, &c, &s);
	ep_send(&c, 6 * FULL);
	// the fourth is shared, so that it must be copied
	struct rte_mbuf *m = c.tc->sndq_next;
	for (int i = 0; i < 3; i++)
		m = pkt_of(m)->next;
	rte_mbuf_refcnt_update(m, 1);
	while (n < SL_ARRAY_SIZE(all) && (all[n] = rte_pktmbuf_alloc(sim.host[0].pool)) != NULL)
		n++;
	sim_step(&sim);
	assert_int_equal(joined(), 3);
	while (n > 0)
		rte_pktmbuf_free(all[--n]);
	run(&sim, 300 * MS);
	rte_pktmbuf_free_seg(m);
	assert_int_equal(s.got, 6 * FULL);
	assert_false(s.wrong);
	clean();
	case_close(&sim);
}

/* ---- a driver that keeps buffers, and frees them one by one in any order ---- */
static struct rte_mbuf *kept[8192];
static uint32_t nkept;

static uint16_t
keep(void *queue, struct rte_mbuf **m, uint16_t n)
{
	(void)queue;
	for (uint16_t i = 0; i < n; i++) {
		for (struct rte_mbuf *s = m[i]; s != NULL; s = s->next)
			kept[nkept++] = s;
	}
	return n;
}

static void
free_some(struct sim *s, int host)
{
	if (host != 0)
		return;
	for (uint32_t n = nkept / 3 + (nkept < 3); n > 0 && nkept > 0; n--) {
		uint32_t i = rand_below(&s->rand, nkept);

		rte_pktmbuf_free_seg(kept[i]);
		kept[i] = kept[--nkept];
	}
}

/* Buffers are acknowledged, lost, and sent again, while the driver still has them or a part of them. */
static void
test_slow_driver(void **state)
{
	struct ep c = { 0 }, s = { .echo = true };
	struct rte_eth_fp_ops *ops;
	eth_tx_burst_t burst;

	(void)state;
	start(false, &c, &s);
	sim.tap = NULL;
	sim.app = free_some;
	sim.link[0].loss_ppm = sim.link[1].loss_ppm = 40000;
	sim.link[0].delay_us = sim.link[1].delay_us = 300;
	ops = &rte_eth_fp_ops[sim.host[0].ports.port[0].ethdev];
	burst = ops->tx_pkt_burst;
	ops->tx_pkt_burst = keep;
	for (int i = 0; i < 100; i++) {
		ep_send(&c, 15 * FULL + 100);
		for (int k = 0; k < 400 && c.got < c.sent; k++)
			run(&sim, 10 * MS);
		assert_int_equal(c.got, c.sent);
	}
	assert_false(s.wrong || c.wrong);
	assert_true(joined() > 1000 && sim_stat(&sim, 0, STAT_TCP_RETRANS) > 20);
	ops->tx_pkt_burst = burst;
	while (nkept > 0)
		rte_pktmbuf_free_seg(kept[--nkept]);
	ep_abort(&c);
	run(&sim, 100 * MS);
	case_close(&sim);
}

static int
begin(void **state)
{
	char most[8];

	snprintf(most, sizeof(most), "%u", MOST);
	setenv("SIM_TSO", most, 1);
	return group_start(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_joined),
		T(test_lengths),
		T(test_short_inside),
		T(test_single),
		T(test_bounds),
		T(test_fin),
		T(test_loss),
		T(test_sack_blocks),
		T(test_two),
		T(test_no_buffer),
		T(test_slow_driver),
	};
	return cmocka_run_group_tests(tests, begin, group_stop);
}
