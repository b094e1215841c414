/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL for tests: private memory, no devices but wires, no telemetry, quiet. Works for ordinary users.
 */
#pragma once

#include <rte_mempool.h>

/* Once per process; further calls do nothing. 0 or -Exxx. */
int test_eal_start(void);
/* A pool as drivers/mempool.c makes it, but with n buffers and this name. NULL on failure. */
struct rte_mempool *test_pool_new(const char *name, unsigned int n);
