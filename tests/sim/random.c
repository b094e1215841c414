// SPDX-License-Identifier: BSD-3-Clause
/*
 * What an attacker who cannot see the packets has to guess: sequence numbers of connections (RFC 6528), source ports
 * (RFC 6056), the start of the timestamps (RFC 7323 7.1). Secrets of the simulator are drawn from its
 * seed, so each figure is the same in each run; the bounds are five standard deviations of fair coins.
 */
#include "tests/sim/peer.h"

static struct sim sim;

#define SAMPLES (1u << 20)

static struct tcp_key
key_of(uint32_t i)
{
	struct ip_addr l = { .family = ADDR_V4, .b = { 10, 0, 0, 1 } };
	struct ip_addr r = { .family = ADDR_V4, .b = { 198, 51, 100, (uint8_t)(i >> 16) } };
	struct tcp_key k;

	tcp_key_set(&k, &l, 80, &r, (uint16_t)i);
	return k;
}

/* Every bit is a fair coin, in the numbers and in what lies between one and the next. */
static void
fair(const uint32_t ones[32], uint32_t n, const char *what)
{
	for (uint32_t b = 0; b < 32; b++) {
		double off = ones[b] - n / 2.0;

		if (off * off > 25 * n / 4.0)
			fail_msg("%s: bit %u is set in %u of %u", what, b, ones[b], n);
	}
}

static void
count(uint32_t ones[32], uint32_t x)
{
	for (uint32_t b = 0; b < 32; b++)
		ones[b] += x >> b & 1;
}

static void
test_isn_spread(void **state)
{
	uint32_t value[32] = { 0 }, step[32] = { 0 }, flip[32] = { 0 }, last = 0, iss, again;

	(void)state;
	case_open(&sim, NULL);
	for (uint32_t i = 0; i < SAMPLES; i++) {
		struct tcp_key k = key_of(i);

		tcp_isn(sim.host[0].lc, &k, &iss);
		count(value, iss);
		count(step, iss - last);
		count(flip, iss ^ last);
		last = iss;
		tcp_isn(sim.host[0].lc, &k, &again);
		assert_int_equal(iss, again);
	}
	fair(value, SAMPLES, "number");
	fair(step, SAMPLES, "difference");
	fair(flip, SAMPLES, "change");
	case_close(&sim);
}

/* For one tuple they grow with the clock, for a day, through the wrap of 2^32. */
static void
test_isn_clock(void **state)
{
	struct tcp_key k = key_of(7);
	struct lcore *lc;
	uint32_t a, b;

	(void)state;
	case_open(&sim, NULL);
	lc = sim.host[0].lc;
	tcp_isn(lc, &k, &a);
	for (uint32_t i = 0; i < 24 * 60; i++) {
		lcore_set_clock(lc, lc->now_us + 60 * SEC, 0);
		tcp_isn(lc, &k, &b);
		assert_int_equal(b - a, 60u * 250000);
		a = b;
	}
	case_close(&sim);
}

#define BINS 64u

/* The worker takes ports of its own, as with others beside it; here it owns them all. */
static void
one_of_several(struct lcore *lc)
{
	uint16_t n = lc->nlcores;

	lc->nlcores = 2;
	((struct port *)(uintptr_t)&lc->ports->port[0])->mode = PORT_SOFT;
	assert_int_equal(tcp_port_init(lc), 0);
	((struct port *)(uintptr_t)&lc->ports->port[0])->mode = PORT_SINGLE;
	lc->nlcores = n;
	assert_non_null(lc->tcp->classes[0]);
}

/* The first port towards each of many destinations; classes: as one worker of several takes it. */
static void
ports(bool classes)
{
	uint32_t bin[BINS] = { 0 }, n = 1u << 16, first, range, next = 0, last = 0;
	const struct tcp_conf *conf;
	struct lcore *lc;
	double chi = 0, want = n / (double)BINS;

	case_open(&sim, NULL);
	lc = sim.host[0].lc;
	conf = &lc->tcp->conf;
	if (classes)
		one_of_several(lc);
	first = conf->port_first;
	range = (uint32_t)conf->port_last - first + 1;
	for (uint32_t i = 0; i < n; i++) {
		struct tcp_key k = key_of(i);

		k.lport = 0;
		assert_int_equal(tcp_port_pick(lc, 0, &k), 0);
		assert_in_range(k.lport, first, conf->port_last);
		bin[(k.lport - first) * BINS / range]++;
		next += k.lport == last + 1; // one destination's does not tell the next one's
		last = k.lport;
	}
	for (uint32_t i = 0; i < BINS; i++)
		chi += (bin[i] - want) * (bin[i] - want) / want;
	chi -= BINS - 1; // of variance 2 (BINS - 1)
	if (chi > 0 && chi * chi > 25 * 2 * (BINS - 1))
		fail_msg("ports are not spread: chi square %.1f above %u", chi, BINS - 1);
	if (next > 16)
		fail_msg("%u of %u ports are the one behind the last", next, n);
	case_close(&sim);
}

static void
test_ports(void **state)
{
	(void)state;
	ports(false);
}

static void
test_ports_of_class(void **state)
{
	(void)state;
	ports(true);
}

/* A range of few ports: each connect gets one of it, in turn all of them. */
static void
test_few_ports(void **state)
{
	enum { FIRST = 32768, N = 333 };
	uint8_t seen[N] = { 0 };
	struct tcp_conf conf;
	struct lcore *lc;

	(void)state;
	sim_conf(&conf);
	conf.port_first = FIRST;
	conf.port_last = FIRST + N - 1;
	case_open(&sim, &conf);
	lc = sim.host[0].lc;
	one_of_several(lc);
	for (uint32_t i = 0; i < 4 * N; i++) {
		struct tcp_key k = key_of(9);

		k.lport = 0;
		assert_int_equal(tcp_port_pick(lc, 0, &k), 0);
		assert_in_range(k.lport, FIRST, FIRST + N - 1);
		seen[k.lport - FIRST] = 1;
	}
	for (uint32_t i = 0; i < N; i++)
		if (!seen[i])
			fail_msg("port %u never came", FIRST + i);
	case_close(&sim);
}

/* The timestamps start at a secret, so that they do not tell since when the machine is up. */
static void
test_timestamps(void **state)
{
	uint32_t ones[32] = { 0 }, n = 256;

	(void)state;
	for (uint32_t i = 0; i < n; i++) {
		struct tcp_conf conf[2];

		sim_conf(&conf[0]);
		conf[1] = conf[0];
		assert_int_equal(sim_open(&sim, i + 1, conf), 0);
		count(ones, sim.host[0].lc->tcp->ts_off);
		assert_int_equal(sim_close(&sim), 0);
	}
	fair(ones, n, "start");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_isn_spread),
		cmocka_unit_test(test_isn_clock),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_ports_of_class),
		cmocka_unit_test(test_few_ports),
		cmocka_unit_test(test_timestamps),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
