// SPDX-License-Identifier: BSD-3-Clause
/*
 * Offloads, queues and the way to find a flow's owner: what is asked of a device.
 *
 * Runs on: the main thread, at the start of a port. Whatever the device does not offer is done in
 * software by net/. FAST_FREE is never asked for: buffers are sent with more than one reference.
 */
#include "drivers/drv.h"

#define RSS_TYPES \
	(RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_IPV6_TCP_EX)

struct offload {
	uint64_t rx, tx; // one of both
	uint32_t ours;
};

static const struct offload offloads[] = {
	{ .rx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, .ours = PORT_O_RX_IPCSUM },
	{ .rx = RTE_ETH_RX_OFFLOAD_TCP_CKSUM, .ours = PORT_O_RX_L4CSUM },
	{ .tx = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, .ours = PORT_O_TX_IPCSUM },
	{ .tx = RTE_ETH_TX_OFFLOAD_TCP_CKSUM, .ours = PORT_O_TX_TCPCSUM },
};

static bool
can_rss(const struct rte_eth_dev_info *info)
{
	uint64_t need = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;

	return (info->flow_type_rss_offloads & need) == need && info->reta_size > 0 &&
		info->hash_key_size >= PORT_RSS_KEY && info->hash_key_size <= 64;
}

void
caps_negotiate(struct port *p, const struct rte_eth_dev_info *info, uint32_t quirks,
	uint8_t offload, uint16_t nworkers, struct rte_eth_conf *conf)
{
	uint16_t n = sl_min(nworkers, (uint16_t)PORT_MAX_QUEUES);

	n = sl_min(n, info->max_rx_queues);
	n = sl_min(n, info->max_tx_queues);
	p->nqueues = sl_max(n, (uint16_t)1);
	p->offloads = 0;

	if (offload == PORT_OFFLOAD_ON ||
		(offload == PORT_OFFLOAD_AUTO && !(quirks & PMD_Q_SOFT))) {
		for (uint32_t i = 0; i < SL_ARRAY_SIZE(offloads); i++) {
			const struct offload *o = &offloads[i];
			if ((o->rx != 0 && (info->rx_offload_capa & o->rx) == 0) ||
				(o->tx != 0 && (info->tx_offload_capa & o->tx) == 0))
				continue;
			conf->rxmode.offloads |= o->rx;
			conf->txmode.offloads |= o->tx;
			p->offloads |= o->ours;
		}
	}
	if (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS && !(quirks & PMD_Q_SINGLE_SEG)) {
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
		p->offloads |= PORT_O_TX_MULTISEG;
	}

	p->mode = p->nqueues == 1 ? PORT_SINGLE : PORT_SOFT;
	if (p->nqueues > 1 && !(quirks & (PMD_Q_NO_RSS | PMD_Q_WIRE)) && can_rss(info)) {
		p->mode = PORT_RSS; // to be confirmed by rss_program()
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf = RSS_TYPES & info->flow_type_rss_offloads;
		if (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH) {
			conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
			p->offloads |= PORT_O_RSS_HASH;
		}
	}
}
