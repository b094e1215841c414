/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The private area of every mbuf of a worker's pool: who writes each field, who reads it. The
 * driver never looks here; m->port and m->l2_len are not trusted on receive.
 */
#pragma once

#include <rte_mbuf.h>

#include "dataplane/base/base.h"
#include "drivers/port.h"

#define PKT_F_V6 0x01u
#define PKT_F_CSUM_OK 0x02u // L4 checksum verified by the device; without it tcp verifies
#define PKT_F_HASH 0x04u    // hash is valid

struct pkt {
	/*
	 * Bytes of the buffer whose sum is known (csum.h): net writes it when it has verified a segment's
	 * payload, so that the same bytes need not be added up again when they leave. Whoever changes
	 * them says so by pkt_changed(); lcore_mbuf() gives buffers with zeroes here.
	 */
	uint16_t sum_off; // offset from m->buf_addr
	uint16_t sum_len; // 0: nothing is known
	uint16_t sum;
	union {
		/* net writes on receive, tcp reads; gone once the payload is queued */
		struct {
			uint16_t l3; // offset of the IP header from the start of data
			uint16_t l4; // offset of the TCP header
			uint16_t l4_len; // bytes from l4 to the end of the IP packet
			uint8_t port; // index of the port it came in by
			uint8_t rx_flags; // PKT_F_*
			uint32_t hash; // port_hash() of the tuple
		};
		/* tcp: while the payload stands in a send queue */
		struct {
			uint32_t seq;      // of the first payload byte
			uint16_t pay_off;  // payload: offset from m->buf_addr
			uint16_t pay_len;
			uint8_t tx_flags;  // private to tcp
			uint8_t tx_count;
			union {
				uint64_t tx_us; // last transmission
				// out of order: the last of those that follow without a gap; valid in
				// the first of them
				struct rte_mbuf *last;
			};
			// send queue: never through m->next, which drivers free along
			struct rte_mbuf *next;
			// when it was sent, for rates: what had arrived, when the last of that had, and
			// when the segment was sent from which sending is counted (us)
			uint32_t dlv, dlv_us, first_us;
			uint32_t came; // out of order: the larger, the later; in the first of a run
		};
	};
};
static_assert(sizeof(struct pkt) <= PORT_PRIV, "struct pkt outgrew the private area");

static inline struct pkt *
pkt_of(struct rte_mbuf *m)
{
	return (struct pkt *)rte_mbuf_to_priv(m);
}

/* Bytes of its data were written. */
static inline void
pkt_changed(struct rte_mbuf *m)
{
	pkt_of(m)->sum_len = 0;
}
