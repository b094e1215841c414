/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests of two hosts share: a and b, whose ports are the ends of wires 1, 2, in virtual time.
 * Included once by each test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/harness/eal.h"
#include "tests/harness/host.h"

#define PAIR_WIRES 2u
#define STEP_US    10000

static struct wire *wire[PAIR_WIRES];
static struct test_host a, b;
static uint64_t now;

static bool
no_icmp(struct lcore *lc sl_unused, const struct net_icmp_error *e sl_unused)
{
	return false;
}

static void
run(uint32_t steps)
{
	for (uint32_t i = 0; i < steps; i++) {
		now += STEP_US;
		test_host_poll(&a, now);
		test_host_poll(&b, now);
	}
}

/*
 * pa, pb: nports ports of each, in the wires' order ("wire1a", "wire2a"; "wire1b", "wire2b"). na, nb:
 * workers; pool_n: buffers of each. tcp gets the segments of both.
 */
static void
pair_start(const struct test_port *pa, const struct test_port *pb, uint32_t nports, uint16_t na,
	uint16_t nb, uint32_t pool_n, net_tcp_fn tcp)
{
	assert_int_equal(test_eal_start(), 0);
	assert_true(nports <= PAIR_WIRES);
	for (uint32_t i = 0; i < nports; i++) {
		wire[i] = wire_new(1 + i, 256);
		assert_non_null(wire[i]);
	}
	assert_int_equal(test_host_new(&a, "a", pa, nports, na, pool_n, tcp, no_icmp), 0);
	assert_int_equal(test_host_new(&b, "b", pb, nports, nb, pool_n, tcp, no_icmp), 0);
	now = 1000000;
	run(300);
}

/* Nothing is missing in the pools. */
static void
pair_stop(void)
{
	run(3);
	assert_int_equal(test_host_in_use(&a), 0);
	assert_int_equal(test_host_in_use(&b), 0);
	test_host_free(&a);
	test_host_free(&b);
	for (uint32_t i = 0; i < PAIR_WIRES; i++) {
		if (wire[i] != NULL)
			wire_free(wire[i]);
		wire[i] = NULL;
	}
}
