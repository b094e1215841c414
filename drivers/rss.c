// SPDX-License-Identifier: BSD-3-Clause
/*
 * Who owns a flow: the hash of a tuple, the table from bucket to worker, and the port classes by
 * which a connection that we open gets a source port whose replies come back to its worker.
 *
 * Runs on: port_hash() and port_class_next() on workers, on data that is fixed; the rest on the main
 * thread. The hash is linear: H(tuple with port p) = H(tuple with port 0) ^ T(p), so the ports split
 * into PORT_RETA classes of equal size by the low bits of T, and the class that leads to a bucket
 * is base ^ bucket.
 */
#include "drivers/drv.h"

#include <stdlib.h>

#define CLASS_PORTS (65536 / PORT_RETA)

struct port_classes {
	uint16_t port[PORT_RETA][CLASS_PORTS];   // ascending
	uint16_t nport[PORT_RETA];               // those of the range
	uint8_t own[PORT_MAX_QUEUES][PORT_RETA]; // buckets of a worker
	uint16_t nown[PORT_MAX_QUEUES];
};

uint32_t
port_hash(const struct port *p, const struct ip_addr *remote, const struct ip_addr *local,
	uint16_t rport, uint16_t lport)
{
	const uint32_t(*t)[256] = p->toeplitz->t;
	uint32_t n = remote->family == ADDR_V6 ? 16 : 4;
	uint32_t h = 0;

	for (uint32_t i = 0; i < n; i++)
		h ^= t[i][remote->b[i]] ^ t[n + i][local->b[i]];
	t += (size_t)2 * n;
	return h ^ t[0][rport >> 8] ^ t[1][rport & 0xff] ^ t[2][lport >> 8] ^ t[3][lport & 0xff];
}

void
rss_fill_owner(struct port *p, uint16_t reta_size)
{
	uint32_t period = reta_size == 0 || reta_size > PORT_RETA ? PORT_RETA : reta_size;

	for (uint32_t i = 0; i < PORT_RETA; i++)
		p->owner[i] = (uint8_t)(i % period % p->nqueues);
}

bool
rss_program(struct port *p, const struct rte_eth_dev_info *info)
{
	struct rte_eth_rss_reta_entry64 reta[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
	uint8_t key[64] = { 0 };
	struct rte_eth_rss_conf got = { .rss_key = key, .rss_key_len = sizeof(key) };

	if (info->reta_size == 0 || info->reta_size > RTE_ETH_RSS_RETA_SIZE_512 ||
		!sl_is_pow2(info->reta_size))
		return false;
	rss_fill_owner(p, info->reta_size);
	memset(reta, 0, sizeof(reta));
	for (uint32_t i = 0; i < info->reta_size; i++) {
		struct rte_eth_rss_reta_entry64 *r = &reta[i / RTE_ETH_RETA_GROUP_SIZE];
		r->mask |= 1ull << (i % RTE_ETH_RETA_GROUP_SIZE);
		r->reta[i % RTE_ETH_RETA_GROUP_SIZE] = p->owner[i & (PORT_RETA - 1)];
	}
	if (rte_eth_dev_rss_reta_update(p->ethdev, reta, info->reta_size) != 0)
		return false;
	if (rte_eth_dev_rss_hash_conf_get(p->ethdev, &got) != 0)
		return false;
	return memcmp(key, p->rss_key, PORT_RSS_KEY) == 0;
}

const char *
port_spread_name(const struct port *p)
{
	static const char *const names[PORT_SPREAD_NR] = { "none", "waiting", "passed", "failed" };

	return names[atomic_load_explicit(
		(_Atomic(uint8_t) *)(uintptr_t)&p->spread, memory_order_relaxed)];
}

struct port_classes *
port_classes_new(const struct port *p, uint16_t first, uint16_t last)
{
	struct port_classes *pc = calloc(1, sizeof(*pc));

	if (pc == NULL)
		return NULL;
	for (uint32_t port = first; port <= last; port++) {
		// the same at the IPv4 and the IPv6 place, by the choice of the key
		uint32_t v = (p->toeplitz->t[10][port >> 8] ^ p->toeplitz->t[11][port & 0xff]) &
			(PORT_RETA - 1);
		if (pc->nport[v] < CLASS_PORTS) // always, by the choice of the key
			pc->port[v][pc->nport[v]++] = (uint16_t)port;
	}
	for (uint32_t b = 0; b < PORT_RETA; b++) {
		uint32_t w = p->owner[b] % PORT_MAX_QUEUES;
		pc->own[w][pc->nown[w]++] = (uint8_t)b;
	}
	return pc;
}

void
port_classes_free(struct port_classes *pc)
{
	free(pc);
}

uint16_t
port_class_next(const struct port_classes *pc, uint32_t base, uint16_t w, uint32_t *cursor)
{
	uint32_t n = w < PORT_MAX_QUEUES ? pc->nown[w] : 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = (*cursor)++;
		uint32_t v = (base ^ pc->own[w][k % n]) & (PORT_RETA - 1);

		if (pc->nport[v] > 0) // a range of few ports may leave a class without one
			return pc->port[v][k / n % pc->nport[v]];
	}
	return 0;
}
