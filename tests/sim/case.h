/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a file of named cases begins with: its simulation, and its configuration, which is the default one
 * again before each case.
 */
#pragma once

#include "tests/sim/peer.h"

static struct sim sim;
static struct tcp_conf conf;

static inline int
reset_conf(void **state)
{
	(void)state;
	sim_conf(&conf);
	return 0;
}

#define T(f) cmocka_unit_test_setup(f, reset_conf)
