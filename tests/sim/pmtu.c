// SPDX-License-Identifier: BSD-3-Clause
/*
 * Paths narrower than the interfaces: told by ICMP (RFC 1191, 8201), or a black hole (RFC 4821).
 */
#include "tests/sim/case.h"

/* Host 0 talks to host 1; returns the size of segments that it begins with. */
static uint16_t
begin(bool v6, struct ep *c, struct ep *s)
{
	case_open(&sim, &conf);
	pair(&sim, v6, c, s);
	return c->tc->mss;
}

/* A router on the way lets no packet of more than mtu bytes through; hole: and says nothing. */
static void
narrow(uint32_t mtu, bool hole)
{
	sim.link[0].mtu = mtu;
	sim.link[0].hole = hole;
}

/* What that router would say of the segment with that number. */
static struct net_icmp_error
too_big(const struct ep *c, uint32_t seq, uint16_t mtu)
{
	struct ip_port l, r;

	tcp_get_addrs(c->tc, &l, &r);
	return (struct net_icmp_error){ .kind = NET_ICMP_TOO_BIG, .mtu = mtu, .laddr = l.ip,
		.raddr = r.ip, .lport = l.port, .rport = r.port, .seq = seq };
}

static void
transfer(bool v6, uint32_t mtu, bool hole, uint64_t us)
{
	struct ep c = { 0 }, s = { 0 };

	begin(v6, &c, &s);
	narrow(mtu, hole);
	ep_send(&c, 50000);
	run(&sim, us);
	assert_int_equal(s.got, 50000);
	assert_false(s.wrong);
	assert_true(sim.link[0].too_big > 0);
	assert_true(c.tc->mss + (v6 ? 72u : 52u) <= mtu);
	case_close(&sim);
}

/* A router says what fits: at once. */
static void
test_told(void **state)
{
	(void)state;
	transfer(false, 1400, false, 1 * SEC);
	transfer(false, 600, false, 1 * SEC);
	transfer(true, 1280, false, 1 * SEC);
	transfer(false, 400, false, 4 * SEC); // is not believed before two timeouts
}

/* Nobody says so: two timeouts, then smaller segments. */
static void
test_black_hole(void **state)
{
	(void)state;
	transfer(false, 1300, true, 4 * SEC);
	transfer(true, 1280, true, 4 * SEC);
	transfer(false, 600, true, 12 * SEC);
}

/* IPv6 never goes below what every link carries. */
static void
test_black_hole_v6_floor(void **state)
{
	struct ep c = { 0 }, s = { 0 };

	(void)state;
	begin(true, &c, &s);
	narrow(1000, true);
	ep_send(&c, 50000);
	run(&sim, 20 * SEC);
	assert_int_equal(c.tc->mss, 1208);
	assert_int_equal(s.got, 0);
	case_close(&sim);
}

/* Small segments that time out say nothing of the path. */
static void
test_small_segments(void **state)
{
	struct ep c = { 0 }, s = { 0 };
	uint16_t mss;

	(void)state;
	mss = begin(false, &c, &s);
	sim.down = true;
	ep_send(&c, 500);
	run(&sim, 20 * SEC);
	assert_int_equal(c.tc->mss, mss);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_BLACK_HOLE), 0);
	case_close(&sim);
}

/* A single timeout is loss, not a black hole. */
static void
test_one_timeout(void **state)
{
	struct ep c = { 0 }, s = { 0 };
	uint16_t mss;

	(void)state;
	mss = begin(false, &c, &s);
	sim.down = true;
	ep_send(&c, 5000);
	while (sim_stat(&sim, 0, STAT_TCP_TLP) == 0 ||
		tick_remain(sim.host[0].lc->now, c.tc->rtx_at) > 5)
		run(&sim, 1 * MS);
	sim.down = false; // before the retransmission leaves
	run(&sim, 2 * SEC);
	assert_int_equal(sim_stat(&sim, 0, STAT_TCP_RTO), 1);
	assert_int_equal(s.got, 5000);
	assert_int_equal(c.tc->mss, mss);
	case_close(&sim);
}

/* Every ten minutes and more a larger size is tried; what still does not pass costs less each time. */
static void
test_grows_back(void **state)
{
	(void)state;
	for (int hole = 0; hole < 2; hole++) {
		struct ep c = { 0 }, s = { 0 };
		uint64_t refused;
		uint16_t mss;

		mss = begin(false, &c, &s);
		narrow(1290, hole);
		ep_send(&c, 50000);
		run(&sim, 10 * SEC);
		assert_true(c.tc->mss < mss);
		refused = sim.link[0].too_big;
		for (int i = 0; i < 58; i++) { // not before
			ep_send(&c, 3000);
			run(&sim, 10 * SEC);
		}
		assert_int_equal(sim.link[0].too_big, refused);
		for (int i = 0; i < 6; i++) {
			ep_send(&c, 6000);
			run(&sim, 10 * SEC);
		}
		// tried; the path is as it was
		assert_true(sim.link[0].too_big > refused);
		assert_true(c.tc->mss < mss);
		refused = sim.link[0].too_big;
		for (int i = 0; i < 115; i++) { // twice as long
			ep_send(&c, 3000);
			run(&sim, 10 * SEC);
		}
		assert_int_equal(sim.link[0].too_big, refused);
		narrow(0, hole); // now it is wide
		for (int i = 0; i < 10; i++) {
			ep_send(&c, 6000);
			run(&sim, 10 * SEC);
		}
		assert_int_equal(c.tc->mss, mss);
		assert_int_equal(s.got, c.sent);
		assert_false(s.wrong);
		case_close(&sim);
	}
}

/*
 * The window that a timeout left holds a larger segment, too. (Found by fuzz_tcp: the window was smaller than a
 * segment.)
 */
static void
test_grows_after_timeout(void **state)
{
	struct ep c = { 0 }, s = { 0 };
	uint16_t mss;

	(void)state;
	mss = begin(false, &c, &s);
	narrow(600, false);
	ep_send(&c, 50000);
	run(&sim, 10 * SEC);
	assert_true(c.tc->mss < mss / 2);
	narrow(0, false);
	run(&sim, 650 * SEC);
	sim.link[0].loss_ppm = 1000000;
	ep_send(&c, 100);
	run(&sim, 5 * SEC);
	sim.link[0].loss_ppm = 0;
	run(&sim, 20 * SEC); // each step's invariants are looked at
	for (int i = 0; i < 3; i++) {
		ep_send(&c, 100);
		run(&sim, 1 * SEC);
	}
	assert_int_equal(c.tc->mss, mss);
	assert_int_equal(s.got, c.sent);
	assert_false(s.wrong);
	case_close(&sim);
}

/*
 * Forged: smaller than any path (RFC 5927 7), of bytes not in flight (4.1), or larger than what is used. While
 * nothing is in flight nothing fits, not even the number that comes next.
 */
static void
test_forged(void **state)
{
	struct ep c = { 0 }, s = { 0 };
	struct net_icmp_error e;
	uint16_t mss;

	(void)state;
	mss = begin(false, &c, &s);
	assert_int_equal(c.tc->snd_una, c.tc->snd_nxt);
	e = too_big(&c, c.tc->snd_una, 68);
	tcp_icmp(sim.host[0].lc, &e);
	assert_int_equal(c.tc->mss, mss);
	sim.down = true;
	ep_send(&c, 3000);
	run(&sim, 1 * MS);
	assert_int_equal(c.tc->snd_nxt - c.tc->snd_una, 3000);
	e.seq = c.tc->snd_una - 1;
	tcp_icmp(sim.host[0].lc, &e);
	assert_int_equal(c.tc->mss, mss);
	e.seq = c.tc->snd_nxt;
	tcp_icmp(sim.host[0].lc, &e);
	assert_int_equal(c.tc->mss, mss);
	e.seq = c.tc->snd_nxt - 1;
	e.mtu = 9000;
	tcp_icmp(sim.host[0].lc, &e);
	assert_int_equal(c.tc->mss, mss);
	e.mtu = 68;
	tcp_icmp(sim.host[0].lc, &e);
	assert_int_equal(c.tc->mss, 552 - 40 - 12);
	sim.down = false;
	run(&sim, 2 * SEC);
	assert_int_equal(s.got, 3000);
	case_close(&sim);
}

/* "Fragmentation needed": smaller segments from there on, the lost one again. */
static void
test_too_big(void **state)
{
	struct ep c = { 0 };
	struct pup p;
	struct net_icmp_error icmp;

	(void)state;
	case_active(&sim, &conf, &c, &p, 0);
	ep_send(&c, 1460);
	pup_expect(&p, F_ACK, 1460, 10 * MS);
	icmp = too_big(&c, p.in.s.seq, 1000);
	tcp_icmp(sim.host[0].lc, &icmp);
	assert_int_equal(tcp_mss(c.tc), 960);
	pup_expect(&p, F_ACK, 960, 10 * MS);
	pup_expect(&p, F_ACK, 500, 10 * MS);
	case_close(&sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_told),
		T(test_too_big),
		T(test_black_hole),
		T(test_black_hole_v6_floor),
		T(test_small_segments),
		T(test_one_timeout),
		T(test_grows_back),
		T(test_grows_after_timeout),
		T(test_forged),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
