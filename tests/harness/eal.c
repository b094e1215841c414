// SPDX-License-Identifier: BSD-3-Clause
/*
 * EAL for tests. One lcore (the test's own thread) on all CPUs that the process may use, so that
 * tests which run in parallel share them.
 */
#include "tests/harness/eal.h"

#include <rte_eal.h>
#include <rte_mbuf.h>

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "drivers/port.h"

#define TEST_MEMORY_MB "384"

static void
on_exit_eal(void)
{
	rte_eal_cleanup();
}

int
test_eal_start(void)
{
	static char lcores[1024], prefix[64];
	static bool done;
	// EAL keeps the pointers; it writes to none of the texts
	static const char *argv[] = { "test", "--no-huge", "--no-shconf", "--no-pci",
		"--no-telemetry", "--iova-mode=va", "-m", TEST_MEMORY_MB, "--log-level=*:critical",
		lcores, prefix, NULL };
	size_t n;
	cpu_set_t cpus;

	if (done)
		return 0;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return -errno;
	n = (size_t)snprintf(lcores, sizeof(lcores), "--lcores=0@(");
	for (int i = 0; i < CPU_SETSIZE && n < sizeof(lcores) - 8; i++) {
		if (CPU_ISSET(i, &cpus))
			n += (size_t)snprintf(lcores + n, sizeof(lcores) - n, "%s%d",
				lcores[n - 1] == '(' ? "" : ",", i);
	}
	snprintf(lcores + n, sizeof(lcores) - n, ")");
	snprintf(prefix, sizeof(prefix), "--file-prefix=sltest%d", (int)getpid());
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, (char **)(uintptr_t)argv) < 0)
		return -EIO;
	rmdir(rte_eal_get_runtime_dir()); // empty, and nobody comes back for it
	done = true;
	atexit(on_exit_eal);
	return 0;
}

struct rte_mempool *
test_pool_new(const char *name, unsigned int n)
{
	return rte_pktmbuf_pool_create_by_ops(name, n, n >= 1024 ? 128 : 0, PORT_PRIV,
		RTE_PKTMBUF_HEADROOM + PORT_MBUF_DATA, SOCKET_ID_ANY, "ring_sp_sc");
}
