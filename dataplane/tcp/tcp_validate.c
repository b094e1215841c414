// SPDX-License-Identifier: BSD-3-Clause
/*
 * Invariants of all connections, for tests and simulators. Not on the packet path.
 */
#include <stdio.h>

#include "dataplane/tcp/tcp_priv.h"

#define CHECK(cond)                                                                          \
	do {                                                                                 \
		if (!(cond)) {                                                               \
			snprintf(why, size, "tcb %u %s: %s (line %d)", i,                    \
				tcp_state_name((enum tcp_state)tc->state), #cond, __LINE__); \
			return -EINVAL;                                                      \
		}                                                                            \
	} while (0)

static int
check_sndq(const struct tcp_conn *tc, uint32_t i, char *why, uint32_t size)
{
	uint32_t segs = 0, sacked = 0, lost = 0, seq = 0;
	bool unsent = false;
	struct rte_mbuf *last = NULL;

	for (struct rte_mbuf *m = tc->sndq; m != NULL; m = pkt_of(m)->next) {
		const struct pkt *p = pkt_of(m);
		CHECK(segs == 0 || p->seq == seq);
		CHECK(p->pay_len > 0);
		if (m == tc->sndq_next)
			unsent = true;
		if (segs == 0 && !unsent)
			CHECK(p->seq == tc->snd_una);
		if (m == tc->sndq_next)
			CHECK(p->seq == tc->snd_nxt || tc->state < TCP_ESTABLISHED);
		if (!unsent && (p->tx_flags & TXF_SACKED))
			sacked += p->pay_len;
		if (!unsent && (p->tx_flags & (TXF_LOST | TXF_RETX)) == TXF_LOST)
			lost += p->pay_len;
		CHECK(!unsent || p->tx_flags == 0);
		CHECK(rte_mbuf_refcnt_read(m) >= 1);
		seq = p->seq + p->pay_len;
		segs++;
		last = m;
	}
	CHECK(segs == tc->sndq_segs);
	CHECK(last == tc->sndq_tail);
	CHECK(last == NULL || seq == tc->snd_end);
	CHECK(tc->lost == lost);
	if (tc->flags & TF_SACK)
		CHECK(tc->sacked == sacked);
	CHECK(tc->sacked + tc->lost <= tc->snd_nxt - tc->snd_una);
	return 0;
}

static int
check_rcv(const struct lcore *lc, const struct tcp_conn *tc, uint32_t i, char *why, uint32_t size)
{
	uint32_t len = 0, segs = 0, end = tc->rcv_nxt, buf = lc->tcp->conf.rcv_buf;
	const struct rte_mbuf *last = NULL, *was = NULL;

	for (const struct rte_mbuf *m = tc->rxq.head; m != NULL; m = m->next) {
		len += m->data_len;
		segs++;
	}
	CHECK(len == tc->rxq.len && segs == tc->rxq.segs);
	segs = 0;
	for (struct rte_mbuf *m = tc->ooo; m != NULL; m = pkt_of(m)->next) {
		const struct pkt *p = pkt_of(m);
		CHECK(segs == 0 ? seq_gt(p->seq, end) : seq_geq(p->seq, end));
		if (segs == 0 || p->seq != end) { // a run begins, and the one before it has ended
			CHECK(was == last);
			last = p->last;
		}
		was = m;
		end = p->seq + p->pay_len;
		segs++;
	}
	CHECK(segs == tc->ooo_segs && was == last);
	CHECK(segs == 0 || seq_leq(end, tc->rcv_adv));
	CHECK(seq_leq(tc->rcv_nxt, tc->rcv_adv) || tc->state < TCP_ESTABLISHED);
	// unread, and offered: the buffer, an eighth and a unit that rounding adds
	CHECK(tc->rxq.len + (tc->rcv_adv - tc->rcv_nxt) <= buf + buf / 8 + (1u << tc->rcv_scale) ||
		tc->state < TCP_ESTABLISHED);
	return 0;
}

static int
check_timers(
	const struct lcore *lc, const struct tcp_conn *tc, uint32_t i, char *why, uint32_t size)
{
	if (tc->snd_una != tc->snd_nxt)
		CHECK(tc->tmode == TM_RTX);
	else if (!(tc->flags & TF_OUT))
		CHECK(tc->tmode != TM_RTX);
	if ((tc->flags & TF_BLOCKED) && tc->snd_una == tc->snd_nxt)
		CHECK(tc->tmode == TM_PERSIST);
	if (tc->tmode != TM_NONE) {
		CHECK(tc->timer.deadline != TICK_NONE);
		CHECK(!tick_is_before(tc->rtx_at, tc->timer.deadline));
	}
	if (tc->delack_at != TICK_NONE) {
		CHECK(tc->timer.deadline != TICK_NONE);
		CHECK(!tick_is_before(tc->delack_at, tc->timer.deadline));
	}
	// something to send, nothing that would send it
	if (tc->sndq_next != NULL && tc->snd_una == tc->snd_nxt && !(tc->flags & TF_OUT) &&
		tc->state >= TCP_ESTABLISHED)
		CHECK(tc->tmode == TM_PERSIST || tc->delack_at != TICK_NONE);
	(void)lc;
	return 0;
}

static int
check_conn(const struct lcore *lc, const struct tcp_conn *tc, uint32_t i, char *why, uint32_t size)
{
	int rc;

	if (tc->state == TCP_CLOSED || tc->state == TCP_TIME_WAIT) {
		CHECK(tc->sndq == NULL && tc->ooo == NULL && !(tc->flags & TF_HASHED));
		CHECK(tc->timer.deadline == TICK_NONE);
		return 0;
	}
	CHECK(tc->flags & TF_HASHED);
	CHECK(!(tc->flags & TF_DEAD));
	rc = check_sndq(tc, i, why, size);
	if (rc == 0)
		rc = check_rcv(lc, tc, i, why, size);
	if (rc == 0)
		rc = check_timers(lc, tc, i, why, size);
	if (rc < 0)
		return rc;
	if (tc->state < TCP_ESTABLISHED)
		return 0;
	CHECK(tc->cwnd >= tc->mss && tc->mss >= TCP_MSS_MIN);
	CHECK(seq_leq(tc->snd_una, tc->snd_nxt));
	if (!(tc->flags & TF_SHRUNK))
		CHECK(tc->snd_nxt - tc->snd_una <= tc->snd_wnd);
	return 0;
}

int
tcp_validate(const struct lcore *lc, char *why, uint32_t size)
{
	const struct tcp_lcore *tl = lc->tcp;
	uint32_t hashed = 0, held = 0;

	why[0] = '\0';
	if (pool_validate(&tl->conns) < 0 || pool_validate(&tl->halfs) < 0 ||
		pool_validate(&tl->tws) < 0) {
		snprintf(why, size, "a pool is damaged");
		return -EINVAL;
	}
	for (uint32_t i = 0; i < tl->conns.nr; i++) {
		const struct tcp_conn *tc = conn_at(tl, i);
		if (!(tl->conns.gen[i] & 1))
			continue;
		hashed += !!(tc->flags & TF_HASHED);
		held += (tc->rxq.segs + tc->ooo_segs + tc->sndq_segs) * CHAIN_TRUESIZE;
		if (check_conn(lc, tc, i, why, size) < 0)
			return -EINVAL;
	}
	if (hashed + tl->halfs.used + tl->tws.used != tl->table.entries) {
		snprintf(why, size, "flow table holds %u entries, there are %u", tl->table.entries,
			hashed + tl->halfs.used + tl->tws.used);
		return -EINVAL;
	}
	if (held > lc->retained) {
		snprintf(why, size, "queues hold %u, charged are %u", held, lc->retained);
		return -EINVAL;
	}
	return 0;
}
