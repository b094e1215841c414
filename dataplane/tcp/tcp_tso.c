// SPDX-License-Identifier: BSD-3-Clause
/*
 * Segments that leave one behind the other, joined into one frame which the device cuts again (TSO).
 *
 * Runs on: the worker that owns the connection, within one tcp_output().
 * To all the rest each of them is a segment with a place of its own in the send queue: windows, pacing,
 * RACK, SACK and retransmission know nothing of this. Joined is new data only, as long as it is of one
 * length; a shorter segment is the last of its frame. One with FIN leaves by itself, and so does
 * all while there are SACK blocks to tell, for the device would repeat them.
 * The first buffer gets the headers in its headroom, the others follow by m->next. The send queue keeps
 * a reference of each and is linked elsewhere, so that a driver may free them in any order;
 * rte_pktmbuf_free_seg() and the header of a retransmission clear what is left in m->next.
 * Not here: what may leave (tcp_out.c), the frame's checksums (net/ip_out.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define SIZE_MIN 512u // of a segment: cards have a least one, and small ones are rare

void
tcp_join_begin(struct lcore *lc, struct tcp_conn *tc)
{
	const struct port *p = &lc->ports->port[tc->port];
	struct tcp_join *j = &lc->tcp->join;
	bool v4 = tcp_key_is_v4(&tc->key);
	uint32_t l4 =
		(uint32_t)sizeof(struct rte_tcp_hdr) + (tc->flags & TF_TS ? TCP_OPT_TS_LEN : 0);
	uint32_t headers = (p->vlan != 0 ? 18u : 14u) + (v4 ? 20u : 40u) + l4;

	if (!(p->offloads & (v4 ? PORT_O_TX_TSO4 : PORT_O_TX_TSO6)) || tc->ooo != NULL ||
		lc->tcp->dup_of == tc || tc->sndq_next == NULL ||
		pkt_of(tc->sndq_next)->next == NULL)
		return;
	lc->tcp->joining = true;
	j->n = 0;
	j->most = p->tso_segs;
	j->size_max = UINT16_MAX;
	if (p->tso_frame != 0)
		j->size_max = (uint16_t)(p->tso_frame > headers ? p->tso_frame - headers : 0);
	j->bytes_max = NET_TSO_BYTES - l4;
}

/* What is held leaves. */
static void
flush(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_join *j = &lc->tcp->join;
	struct rte_mbuf *m = j->head, *rest = m->next;
	struct tcp_sum header = tcp_header(lc, tc, m, j->seq, j->flags);

	if (j->n == 1) {
		tcp_transmit(lc, tc, m, header);
	} else {
		m->next = rest;
		m->nb_segs = j->n;
		tcp_transmit_joined(lc, tc, m, j->size);
	}
	j->n = 0;
}

static bool
fits(const struct tcp_join *j, const struct rte_mbuf *m, uint8_t flags)
{
	return j->n > 0 && j->n < j->most && m->data_len <= j->size &&
		j->tail->data_len == j->size && j->bytes + m->data_len <= j->bytes_max &&
		!(flags & RTE_TCP_FIN_FLAG);
}

void
tcp_join_add(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint32_t seq, uint8_t flags)
{
	struct tcp_join *j = &lc->tcp->join;

	m->next = NULL;
	if (fits(j, m, flags)) {
		j->tail->next = m;
	} else {
		if (j->n > 0)
			flush(lc, tc);
		if (m->data_len < SIZE_MIN || m->data_len > j->size_max ||
			(flags & RTE_TCP_FIN_FLAG)) {
			tcp_transmit(lc, tc, m, tcp_header(lc, tc, m, seq, flags));
			return;
		}
		j->head = m;
		j->seq = seq;
		j->size = m->data_len;
		j->bytes = 0;
	}
	j->tail = m;
	j->flags = flags; // PSH is of the last
	j->bytes += m->data_len;
	j->n++;
}

void
tcp_join_end(struct lcore *lc, struct tcp_conn *tc)
{
	if (lc->tcp->join.n > 0)
		flush(lc, tc);
	lc->tcp->joining = false;
}
