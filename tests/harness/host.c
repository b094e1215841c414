// SPDX-License-Identifier: BSD-3-Clause
/*
 * A host for tests above net. Runs its workers one after the other in the calling thread.
 */
#include "tests/harness/host.h"

#include <rte_ethdev.h>

#include <stdio.h>

#include "tests/harness/eal.h"

static int
start_port(struct test_host *h, const struct test_port *p)
{
	struct ip_net addr[4];
	struct ip_route route[4];
	struct ip_neigh neigh[4];
	struct port_spec spec = { .name = sl_str_c(p->device),
		.device = sl_str_c(p->device),
		.addrs = addr,
		.routes = route,
		.neighs = neigh,
		.mtu = p->mtu,
		.vlan = p->vlan };
	struct port_err err;
	int rc;

	while (spec.naddrs < 4 && p->addr[spec.naddrs] != NULL) {
		rc = addr_parse_net(sl_str_c(p->addr[spec.naddrs]), &addr[spec.naddrs]);
		if (rc < 0)
			return rc;
		spec.naddrs++;
	}
	if (p->gateway4 != NULL && addr_parse(sl_str_c(p->gateway4), &spec.gateway4) < 0)
		return -EINVAL;
	if (p->gateway6 != NULL && addr_parse(sl_str_c(p->gateway6), &spec.gateway6) < 0)
		return -EINVAL;
	for (; spec.nroutes < 4 && p->route[spec.nroutes][0] != NULL; spec.nroutes++) {
		struct ip_route *r = &route[spec.nroutes];

		if (addr_parse_net(sl_str_c(p->route[spec.nroutes][0]), &r->dst) < 0 ||
			addr_parse(sl_str_c(p->route[spec.nroutes][1]), &r->via) < 0)
			return -EINVAL;
	}
	for (; spec.nneighs < 4 && p->neigh[spec.nneighs][0] != NULL; spec.nneighs++) {
		struct ip_neigh *n = &neigh[spec.nneighs];

		if (addr_parse(sl_str_c(p->neigh[spec.nneighs][0]), &n->ip) < 0 ||
			addr_parse_mac(sl_str_c(p->neigh[spec.nneighs][1]), n->mac) < 0)
			return -EINVAL;
	}
	rc = port_start(&h->ports, &spec, h->pool, h->n, &err);
	if (rc < 0)
		fprintf(stderr, "%s\n", err.text);
	return rc;
}

int
test_host_new(struct test_host *h, const char *name, const struct test_port *p, uint32_t nports,
	uint16_t nworkers, uint32_t pool_n, net_tcp_fn tcp, net_icmp_fn icmp)
{
	int rc = test_eal_start();

	memset(h, 0, sizeof(*h));
	if (rc < 0 || nworkers > HOST_WORKERS)
		return rc < 0 ? rc : -EINVAL;
	h->n = nworkers;
	h->now_us = 1000000;
	for (uint16_t w = 0; w < nworkers; w++) {
		char text[32];
		snprintf(text, sizeof(text), "%s%u", name, w);
		h->pool[w] = test_pool_new(text, pool_n);
		if (h->pool[w] == NULL)
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < nports; i++) {
		rc = start_port(h, &p[i]);
		if (rc < 0)
			return rc;
	}
	port_finish(&h->ports);
	h->net = net_shared_new(&h->ports);
	for (uint16_t w = 0; w < nworkers; w++) {
		struct lcore_spec s = { .id = w,
			.nlcores = nworkers,
			.socket = -1,
			.seed = 1,
			.pool = h->pool[w],
			.pool_size = pool_n,
			.ports = &h->ports };
		h->lc[w] = lcore_new(&s);
		if (h->lc[w] == NULL || h->net == NULL)
			return -ENOMEM;
		lcore_set_clock(h->lc[w], h->now_us, h->now_us);
		rc = net_attach(h->lc[w], h->net, tcp, icmp);
		if (rc < 0)
			return rc;
	}
	return lcore_mesh(h->lc, nworkers);
}

void
test_host_free(struct test_host *h)
{
	lcore_unmesh(h->lc, h->n);
	for (uint16_t w = 0; w < h->n; w++) {
		net_detach(h->lc[w]);
		lcore_free(h->lc[w]);
	}
	while (h->ports.n > 0)
		port_stop(&h->ports, &h->ports.port[h->ports.n - 1]);
	net_shared_free(h->net);
	for (uint16_t w = 0; w < h->n; w++)
		rte_mempool_free(h->pool[w]);
}

static uint32_t
poll_worker(struct lcore *lc)
{
	struct rte_mbuf *m[HOST_BURST];
	struct xmsg x;
	uint32_t work = 0;

	for (uint16_t i = 0; i < lc->ports->n; i++) {
		const struct port *p = &lc->ports->port[i];
		uint16_t n = lc->id < p->nqueues
			? rte_eth_rx_burst(p->q[lc->id].ethdev, p->q[lc->id].queue, m, HOST_BURST)
			: 0;
		if (n > 0)
			net_input(lc, i, m, n);
		work += n;
	}
	for (uint16_t w = 0; w < lc->nlcores; w++) {
		while (lc->worker[w].in != NULL && xring_pop(lc->worker[w].in, &x)) {
			if ((x.w[0] & 0xffff) == XMSG_FRAME)
				net_input_foreign(lc, &x, w);
			else
				net_message(lc, &x, w);
			work++;
		}
	}
	net_deliver(lc);
	net_tick(lc);
	net_flush(lc);
	return work;
}

uint32_t
test_host_poll(struct test_host *h, uint64_t now_us)
{
	uint32_t work = 0;

	h->now_us = now_us;
	for (uint16_t w = 0; w < h->n; w++) {
		lcore_set_clock(h->lc[w], now_us, now_us);
		work += poll_worker(h->lc[w]);
	}
	return work;
}

uint32_t
test_host_in_use(const struct test_host *h)
{
	uint32_t n = 0;

	for (uint16_t w = 0; w < h->n; w++)
		n += rte_mempool_in_use_count(h->pool[w]);
	return n;
}
