// SPDX-License-Identifier: BSD-3-Clause
/*
 * Offloads, queues and the way to find a flow's owner: what is asked of a device.
 *
 * Runs on: the main thread, at the start of a port. Whatever the device does not offer is done in
 * software by net/. FAST_FREE is never asked for: buffers are sent with more than one reference.
 */
#include "drivers/drv.h"

#define TSO_SEGS 44  // 64 KiB of full segments
#define TSO_RING 4   // a frame takes no more than this part of the transmit ring
#define TSO_L2   18u // Ethernet header with a tag

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

/*
 * TAP counts the Ethernet header into its MTU where it cuts, and stops sending at a frame that is longer.
 * So it is told a larger MTU, as far as ethdev lets it; the interface keeps its own.
 */
static uint16_t
gso_frame(const struct port *p, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	uint32_t most = info->max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN;

	most = sl_max(most, (uint32_t)p->mtu);
	conf->rxmode.mtu = sl_min(p->mtu + TSO_L2, most);
	return (uint16_t)conf->rxmode.mtu;
}

void
caps_negotiate_tso(struct port *p, const struct rte_eth_dev_info *info, uint32_t quirks,
	uint8_t tso, struct rte_eth_conf *conf)
{
	const uint32_t need = PORT_O_TX_MULTISEG | PORT_O_TX_TCPCSUM;
	uint32_t ring = info->tx_desc_lim.nb_max, segs = TSO_SEGS;

	// a soft driver would cut on this very CPU; a bond has slaves that were not seen to do it
	if (tso == PORT_OFFLOAD_OFF ||
		(tso == PORT_OFFLOAD_AUTO && (quirks & (PMD_Q_SOFT | PMD_Q_BOND))) ||
		!(info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO) ||
		(p->offloads & need) != need)
		return;
	if (info->tx_desc_lim.nb_seg_max != 0)
		segs = sl_min(segs, (uint32_t)info->tx_desc_lim.nb_seg_max);
	if (ring != 0)
		segs = sl_min(segs, ring / TSO_RING);
	if (segs < 2)
		return;
	conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
	p->offloads |= quirks & PMD_Q_GSO ? PORT_O_TX_TSO4 : PORT_O_TX_TSO;
	p->tso_segs = (uint16_t)segs;
	p->tso_frame = quirks & PMD_Q_GSO ? gso_frame(p, info, conf) : 0;
}

int
caps_no_tso(const struct port *p, struct port_err *err)
{
	if (!(p->offloads & PORT_O_TX_TCPCSUM))
		return port_fail(err, -EINVAL,
			"port '%s': 'tso on' needs a device that computes checksums: driver '%s' does "
			"not, or not without 'offload on'",
			p->name, p->driver);
	if (!(p->offloads & PORT_O_TX_MULTISEG))
		return port_fail(err, -ENOTSUP,
			"port '%s': 'tso on' needs a device that sends frames in several pieces: "
			"driver '%s' does not; use 'tso auto'",
			p->name, p->driver);
	return port_fail(err, -ENOTSUP,
		"port '%s': 'tso on': device '%s' (driver '%s') does not cut frames into TCP "
		"segments; use 'tso auto'",
		p->name, p->device, p->driver);
}
