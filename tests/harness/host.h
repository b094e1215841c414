/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host for tests above net: ports on wires, workers that run in the test's thread, a virtual clock.
 * The same objects as in the daemon: pools, lcores, mesh, net. tcp is a callback.
 */
#pragma once

#include "dataplane/net/net.h"
#include "drivers/port.h"

#define HOST_WORKERS 4
#define HOST_BURST   32

struct test_host {
	struct ports ports;
	struct net_shared *net;
	struct rte_mempool *pool[HOST_WORKERS];
	struct lcore *lc[HOST_WORKERS];
	uint16_t n;
	uint64_t now_us;
};

struct test_port {
	const char *device;  // "wire0a"
	const char *addr[4]; // "10.0.0.1/24"
	const char *gateway4, *gateway6;
	uint16_t mtu, vlan;
	const char *route[4][2]; // "10.1.0.0/16", its router
	const char *neigh[4][2]; // address, MAC
};

/* name: of the pools, unique among live hosts. pool_n: buffers of each worker. 0 or -Exxx. */
int test_host_new(struct test_host *h, const char *name, const struct test_port *p, uint32_t nports,
	uint16_t nworkers, uint32_t pool_n, net_tcp_fn tcp, net_icmp_fn icmp);
void test_host_free(struct test_host *h);
/* One loop of every worker: receive, mesh, tick, flush. Returns frames handled. */
uint32_t test_host_poll(struct test_host *h, uint64_t now_us);
/* Buffers that are not in the pools (leaks, once everything is idle). */
uint32_t test_host_in_use(const struct test_host *h);
