// SPDX-License-Identifier: BSD-3-Clause
/*
 * ARP: requests, replies, announcements.
 *
 * Runs on: the neighbour owner of the port (others forward). Follows: RFC 826 (an existing entry is
 * updated by whatever the sender says of itself, a new one is made only when we are the target),
 * RFC 1122 2.3.2, RFC 5227 2.3 and 2.4 (announcements; a conflict is counted, told to main and
 * defended once per ten seconds). Not here: probing before an address is used, proxy ARP.
 */
#include <rte_arp.h>

#include "dataplane/net/net_priv.h"

#include "dataplane/base/hot.h"

static const struct rte_ether_addr broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

/* target MAC is `to` in replies, zero in requests. */
static void
arp_send(struct lcore *lc, const struct port *p, uint16_t op, const struct ip_addr *us,
	const struct ip_addr *target, const struct rte_ether_addr *to)
{
	struct rte_mbuf *m = lcore_mbuf(lc);
	struct rte_arp_hdr *h;

	if (m == NULL) {
		drop_count(lc, DROP_NO_MBUF);
		return;
	}
	m->data_len = m->pkt_len = sizeof(*h);
	h = rte_pktmbuf_mtod(m, struct rte_arp_hdr *);
	memset(h, 0, sizeof(*h));
	h->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
	h->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	h->arp_hlen = 6;
	h->arp_plen = 4;
	h->arp_opcode = rte_cpu_to_be_16(op);
	h->arp_data.arp_sha = p->mac;
	h->arp_data.arp_sip = us->v4;
	if (op == RTE_ARP_OP_REPLY)
		h->arp_data.arp_tha = *to;
	h->arp_data.arp_tip = target->v4;
	eth_out(lc, p, m, to, RTE_ETHER_TYPE_ARP);
}

void
arp_request(struct lcore *lc, const struct port *p, const struct ip_addr *target,
	const struct rte_ether_addr *to)
{
	const struct ip_addr *us = addr_towards(lc, p, target);

	if (us != NULL)
		arp_send(lc, p, RTE_ARP_OP_REQUEST, us, target, to != NULL ? to : &broadcast);
}

void
arp_announce(struct lcore *lc, const struct port *p, const struct ip_addr *a)
{
	arp_send(lc, p, RTE_ARP_OP_REQUEST, a, a, &broadcast);
}

sl_cold void
arp_in(struct lcore *lc, struct rx *rx, struct rte_mbuf *m)
{
	const struct rte_arp_hdr *h =
		rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, rx->l3);
	struct ip_addr sip, tip;
	struct rte_ether_addr sha;
	uint16_t op;
	bool for_us;

	// 1. a whole packet, of Ethernet and IPv4
	if ((uint32_t)m->data_len < rx->l3 + sizeof(*h) ||
		h->arp_hardware != rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) ||
		h->arp_protocol != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) || h->arp_hlen != 6 ||
		h->arp_plen != 4)
		goto bad;
	op = rte_be_to_cpu_16(h->arp_opcode);
	if (op != RTE_ARP_OP_REQUEST && op != RTE_ARP_OP_REPLY)
		goto bad;
	addr_set4(&tip, &h->arp_data.arp_tip);
	for_us = port_has_addr(lc, rx->p, &tip);
	// who asks for our address is answered here; all else both have to know
	if (!for_us || op == RTE_ARP_OP_REPLY)
		tap_copy(lc, rx, m);
	if (mesh_to_neigh(lc, rx, m))
		return;
	stat_inc(lc, STAT_ARP_IN);
	memcpy(&sha, &h->arp_data.arp_sha, sizeof(sha));
	addr_set4(&sip, &h->arp_data.arp_sip);
	// 2. a sender that can exist; 0.0.0.0 is a probe (RFC 5227 1.1)
	if (!rte_is_valid_assigned_ether_addr(&sha) || addr_is_multicast(&sip) || sip.b[0] == 127)
		goto bad;
	// 3. not one of our addresses
	if (port_has_addr(lc, rx->p, &sip)) {
		neigh_conflict(lc, rx, &sip, sha.addr_bytes);
		pkt_drop(lc, m, DROP_ADDR_CONFLICT);
		return;
	}
	// RFC 826: merge, then add if we are meant. Only neighbours on this link
	if (!addr_is_any(&sip) && on_link(rx->p, &sip))
		neigh_learn(lc, rx->p, &sip, &sha, for_us && op == RTE_ARP_OP_REPLY,
			for_us && op == RTE_ARP_OP_REQUEST);
	if (for_us && op == RTE_ARP_OP_REQUEST)
		arp_send(lc, rx->p, RTE_ARP_OP_REPLY, &tip, &sip, &sha);
	rte_pktmbuf_free(m);
	return;
bad:
	pkt_drop(lc, m, DROP_ARP_BAD);
}
