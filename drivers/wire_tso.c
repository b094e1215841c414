// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a card does to a frame that it was asked to finish: checksums, and cutting into segments.
 *
 * Runs on: the worker that sends, behind a wire with "tso=N". It does no more than a card, by what the
 * mbuf says and nothing else: lengths of headers that are wrong, or a sum of the pseudo header that
 * is, make frames that the other end drops.
 * Follows: DPDK's contract of TSO (the field holds the sum of the pseudo header without the length), and
 * what cards make of it: FIN and PSH on the last segment only, CWR on the first, the IPv4 identification
 * counts up.
 */
#include <rte_ip.h>
#include <rte_tcp.h>

#include "drivers/drv.h"

static uint32_t
headers(const struct rte_mbuf *m)
{
	bool tcp = m->ol_flags & (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM);

	return (uint32_t)m->l2_len + m->l3_len + (tcp ? m->l4_len : 0u);
}

uint32_t
wire_pieces(const struct rte_mbuf *m)
{
	uint32_t hl = headers(m);

	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
		return 1;
	if (m->tso_segsz == 0 || m->pkt_len <= hl)
		return 1;
	return (m->pkt_len - hl + m->tso_segsz - 1) / m->tso_segsz;
}

/* Bytes [off, off + n) of the frame. */
static bool
copy(const struct rte_mbuf *m, uint32_t off, uint32_t n, uint8_t *out)
{
	const uint8_t *d = rte_pktmbuf_read(m, off, n, out);

	if (d == NULL)
		return false;
	if (d != out)
		memcpy(out, d, n);
	return true;
}

/* The headers of piece i, of n payload bytes from `off` on. */
static void
adjust(const struct rte_mbuf *m, uint8_t *h, uint32_t i, uint32_t off, uint32_t n, bool last)
{
	struct rte_tcp_hdr *th = (struct rte_tcp_hdr *)(void *)(h + m->l2_len + m->l3_len);
	uint32_t l4 = m->l4_len + n;

	if (m->ol_flags & RTE_MBUF_F_TX_IPV4) {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(h + m->l2_len);

		ip->total_length = rte_cpu_to_be_16((uint16_t)(m->l3_len + l4));
		ip->packet_id = rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(ip->packet_id) + i));
	} else {
		struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(void *)(h + m->l2_len);

		ip->payload_len = rte_cpu_to_be_16((uint16_t)(m->l3_len - sizeof(*ip) + l4));
	}
	th->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(th->sent_seq) + off);
	if (!last)
		th->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	if (i > 0)
		th->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
	// the length, which the field was to leave out
	th->cksum = rte_raw_cksum(
		(uint16_t[2]){ th->cksum, rte_cpu_to_be_16((uint16_t)l4) }, 2 * sizeof(uint16_t));
}

static void
sums(const struct rte_mbuf *m, uint8_t *f, uint32_t len)
{
	uint32_t at = (uint32_t)m->l2_len + m->l3_len;

	if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(f + m->l2_len);

		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
	if (m->ol_flags & (RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG)) {
		struct rte_tcp_hdr *th = (struct rte_tcp_hdr *)(void *)(f + at);

		th->cksum = (uint16_t)~rte_raw_cksum(th, len - at);
	}
}

uint32_t
wire_piece(const struct rte_mbuf *m, uint32_t i, uint8_t *out, uint32_t size)
{
	bool cut = m->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
	uint32_t hl = headers(m), off = cut ? i * m->tso_segsz : 0, n;

	// a card takes the headers from one buffer
	if (m->pkt_len < hl || m->data_len < hl || m->l3_len < sizeof(struct rte_ipv4_hdr) ||
		off > m->pkt_len - hl)
		return 0;
	n = m->pkt_len - hl - off;
	if (cut)
		n = sl_min(n, (uint32_t)m->tso_segsz);
	if (hl + n > size || !copy(m, 0, hl, out) || !copy(m, hl + off, n, out + hl))
		return 0;
	if (cut)
		adjust(m, out, i, off, n, i + 1 == wire_pieces(m));
	sums(m, out, hl + n);
	return hl + n;
}
