// SPDX-License-Identifier: BSD-3-Clause
/*
 * From a piece of the send queue to a segment: the emission ladder, and the TCP header.
 *
 * Runs on: the worker that owns the connection.
 * A payload buffer that is ours alone and has room in front is sent as it lies: headers go into its
 * headroom, the queue keeps a reference, and struct pkt keeps the payload's bounds, because the
 * buffer's own data_off moves to the headers. While the driver still holds it (or the writer
 * shares it) a copy is sent.
 * Follows: RFC 9293 3.8.6.2.2 (receiver's silly window), RFC 7323 2.3 (scaled windows), RFC 6691.
 * Not here: what is sent and when (tcp_out.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

/* Bytes that the user's reading leaves room for. */
static inline uint32_t
rcv_space(const struct lcore *lc, const struct tcp_conn *tc)
{
	uint32_t buf = tcp_rcv_buf(lc, tc), used = tc->rxq.len;
	uint32_t held = (tc->rxq.segs + tc->ooo_segs) * CHAIN_TRUESIZE;
	uint32_t share = tcp_share(lc, buf), space;

	if (likely(held == 0 && share == buf && lc->retained <= lc->retain_max / 2))
		return buf;
	share = sl_max(share, 16384u);
	buf = sl_min(buf, share);
	space = buf > used ? buf - used : 0;
	// buffers may cost twice what they carry
	space = sl_min(space, 2 * buf > held ? (2 * buf - held) / 2 : 0u);
	// the second level of pressure: windows shrink (a quarter of the budget is left)
	if (lc->retained > lc->retain_max / 4 * 3)
		space = sl_min(space, buf / 8);
	return space;
}

/*
 * Worth a packet: the peer sees little, and gains two segments or half a buffer. Otherwise the window
 * travels with the next acknowledgement.
 */
bool
tcp_window_gains(const struct lcore *lc, const struct tcp_conn *tc)
{
	uint32_t cur = tc->rcv_adv - tc->rcv_nxt, space, buf = lc->tcp->conf.rcv_buf;

	if (tc->flags & TF_FIN_RCVD)
		return false;
	space = rcv_space(lc, tc);
	return space > cur && space - cur >= sl_min(buf / 2, 2u * lc->tcp->payload_mss);
}

/*
 * Is the edge, rounded up, beyond what the reader leaves room for, and an eighth? So much rounding comes to
 * when full segments fill a buffer. Who sends less than a unit at a time would get it back by each ACK, and
 * the edge would creep on for ever.
 */
static sl_apart bool
creeps(const struct lcore *lc, const struct tcp_conn *tc, uint32_t wnd)
{
	uint32_t buf = tcp_rcv_buf(lc, tc), share = tcp_share(lc, buf);

	share = sl_max(share, 16384u);
	buf = sl_min(buf, share);
	return tc->rxq.len + wnd > buf + buf / 8;
}

/* The window field; moves rcv_adv, never back. */
static inline uint16_t
window_field(const struct lcore *lc, struct tcp_conn *tc, bool syn)
{
	uint32_t scale = syn ? 0u : tc->rcv_scale, cur = tc->rcv_adv - tc->rcv_nxt, field;
	uint32_t gain = sl_min(lc->tcp->conf.rcv_buf / 2, (uint32_t)lc->tcp->payload_mss);

	if (!(tc->flags & TF_FIN_RCVD)) {
		uint32_t space = rcv_space(lc, tc);
		if (space >= cur + gain && space > cur)
			cur = space;
	}
	// rounded up, or the right edge would move back. Where it would creep it seems to, by less than a
	// unit (RFC 7323 2.4): what was offered is taken all the same
	field = (cur + (1u << scale) - 1) >> scale;
	if (unlikely(tc->rxq.len != 0) && creeps(lc, tc, field << scale))
		field = cur >> scale;
	field = sl_min(field, 0xffffu);
	if (!syn)
		tc->rcv_adv = seq_max(tc->rcv_adv, tc->rcv_nxt + (field << scale));
	return (uint16_t)field;
}

/*
 * Several pieces that came twice in one loop: what goes on is one block; anything else needs an ACK
 * of its own, or the peer would count one where there were many, and never undo.
 */
sl_cold void
tcp_came_twice(struct lcore *lc, struct tcp_conn *tc, uint32_t from, uint32_t to)
{
	struct tcp_lcore *tl = lc->tcp;

	if (!(tc->flags & TF_SACK) || !seq_lt(from, to))
		return;
	if (tl->dup_of == tc && tl->dup.to == from) {
		tl->dup.to = to;
		return;
	}
	if (tl->dup_of != NULL)
		(void)tcp_send_ctl(lc, tl->dup_of, tl->dup_of->snd_nxt, RTE_TCP_ACK_FLAG);
	tl->dup_of = tc;
	tl->dup = (struct tcp_sack){ from, to };
}

/* SACK blocks that fit beside the payload. */
static uint32_t
sack_option(struct lcore *lc, struct tcp_conn *tc, uint8_t *p, uint32_t pay_len)
{
	struct tcp_sack b[TCP_SACK_BLOCKS];
	uint32_t most = tc->flags & TF_TS ? 3 : 4, n, d = 0;

	if (pay_len > 0) { // RFC 6691: options come out of the segment
		uint32_t room = pay_len < tc->mss ? tc->mss - pay_len : 0;
		most = room >= 12 ? sl_min(most, (room - 4) / 8) : 0;
	}
	if (lc->tcp->dup_of == tc && most > 0) { // RFC 2883 4: first what came twice
		b[d++] = lc->tcp->dup;
		lc->tcp->dup_of = NULL;
	}
	n = d + tcp_ooo_blocks(tc, b + d, most - d);
	return n > 0 ? tcp_opt_sack(p, b, n) : 0;
}

/* Options of what is not an ordinary segment: SYNs, and those with SACK blocks. */
static sl_cold uint32_t
rare_options(
	struct lcore *lc, struct tcp_conn *tc, uint8_t *opt, uint32_t pay_len, bool syn)
{
	uint32_t n = 0;

	if (syn) {
		struct tcp_bare b = {
			.mss = lc->tcp->payload_mss,
			.opts = (uint8_t)((tc->flags & TF_TS ? TCP_OPT_TS : 0) |
				(tc->flags & TF_SACK ? TCP_OPT_SACK_OK : 0) |
				(tc->flags & TF_WSCALE ? TCP_OPT_WSCALE : 0)),
			.wscale = tc->rcv_scale,
			.tsval = tcp_ts_now(lc),
			.tsecr = tc->ts_recent,
		};
		return tcp_opt_syn(opt, &b);
	}
	if (tc->flags & TF_TS)
		n = tcp_opt_ts(opt, tcp_ts_now(lc), tc->ts_recent);
	if ((tc->ooo != NULL || lc->tcp->dup_of == tc) && (tc->flags & TF_SACK))
		n += sack_option(lc, tc, opt + n, pay_len);
	return n;
}

/* Writes a word and returns it, to be added up. */
static inline uint64_t
put_word(uint8_t *at, uint32_t w)
{
	memcpy(at, &w, sizeof(w));
	return w;
}

/* What nearly every segment has: timestamps and no other option, and an acknowledgement. */
static inline struct tcp_sum
usual_header(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint32_t seq, uint8_t flags)
{
	const uint32_t hl = (uint32_t)sizeof(struct rte_tcp_hdr) + TCP_OPT_TS_LEN;
	uint32_t wnd = rte_cpu_to_be_16(window_field(lc, tc, false));
	uint64_t sum;
	uint8_t *h;

	m->data_off -= (uint16_t)hl;
	m->data_len += (uint16_t)hl;
	m->pkt_len = m->data_len;
	m->next = NULL;
	m->nb_segs = 1;
	m->ol_flags = 0;
	h = rte_pktmbuf_mtod(m, uint8_t *);
	sum = put_word(h, rte_cpu_to_be_16(tc->key.lport) |
			(uint32_t)rte_cpu_to_be_16(tc->key.rport) << 16);
	sum += put_word(h + 4, rte_cpu_to_be_32(seq));
	sum += put_word(h + 8, rte_cpu_to_be_32(tc->rcv_nxt));
	sum += put_word(h + 12, hl / 4 << 4 | (uint32_t)flags << 8 | wnd << 16);
	put_word(h + 16, 0); // checksum, urgent pointer
	sum += put_word(h + 20, rte_cpu_to_be_32(TCP_OPT_TS_WORD));
	sum += put_word(h + 24, rte_cpu_to_be_32(tcp_ts_now(lc)));
	sum += put_word(h + 28, rte_cpu_to_be_32(tc->ts_recent));
	tc->last_ack = tc->rcv_nxt;
	tc->delack_at = TICK_NONE;
	tc->flags &= ~TF_ACK_NOW;
	return (struct tcp_sum){ sum, (uint16_t)hl };
}

/* Apart, so that it does not weigh on the usual one. */
static sl_apart struct tcp_sum
other_header(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint32_t seq, uint8_t flags)
{
	uint32_t rare[10], pay_len = m->data_len, hl, n;
	bool syn = flags & RTE_TCP_SYN_FLAG;
	uint64_t sum = 0;
	uint8_t *h;

	n = rare_options(lc, tc, (uint8_t *)rare, pay_len, syn);
	hl = (uint32_t)sizeof(struct rte_tcp_hdr) + n;
	m->data_off -= (uint16_t)hl;
	m->data_len += (uint16_t)hl;
	m->pkt_len = m->data_len;
	m->next = NULL;
	m->nb_segs = 1;
	m->ol_flags = 0;
	h = rte_pktmbuf_mtod(m, uint8_t *);
	sum += put_word(h, rte_cpu_to_be_16(tc->key.lport) |
			(uint32_t)rte_cpu_to_be_16(tc->key.rport) << 16);
	sum += put_word(h + 4, rte_cpu_to_be_32(seq));
	sum += put_word(h + 8, flags & RTE_TCP_ACK_FLAG ? rte_cpu_to_be_32(tc->rcv_nxt) : 0);
	sum += put_word(h + 12, hl / 4 << 4 | (uint32_t)flags << 8 |
			(uint32_t)rte_cpu_to_be_16(window_field(lc, tc, syn)) << 16);
	put_word(h + 16, 0); // checksum, urgent pointer
	for (uint32_t i = 0; i < n / 4; i++)
		sum += put_word(h + 20 + (size_t)i * 4, rare[i]);
	if (flags & RTE_TCP_ACK_FLAG) {
		tc->last_ack = tc->rcv_nxt;
		tc->delack_at = TICK_NONE;
		// a full segment has no room for SACK blocks: they still want an ACK of their own
		if (pay_len == 0 || tc->ooo == NULL || !(tc->flags & TF_SACK) || n > TCP_OPT_TS_LEN)
			tc->flags &= ~TF_ACK_NOW;
	}
	return (struct tcp_sum){ sum, (uint16_t)hl };
}

/* The checksum of what is written is taken on the way, from registers: see struct net_flow. */
struct tcp_sum
tcp_header(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint32_t seq, uint8_t flags)
{
	if (likely((flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_ACK_FLAG &&
		    tc->ooo == NULL && (tc->flags & TF_TS) && lc->tcp->dup_of != tc))
		return usual_header(lc, tc, m, seq, flags);
	return other_header(lc, tc, m, seq, flags);
}

void
tcp_transmit_joined(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint16_t size)
{
	struct net_flow f;

	tcp_flow_load(&tc->key, tc->port, &f);
	f.neigh = tc->neigh;
	f.gen = tc->neigh_gen;
	stat_add(lc, STAT_TCP_OUT, m->nb_segs);
	net_output_joined(lc, &f, m, size, 0);
	tc->neigh = f.neigh;
	tc->neigh_gen = f.gen;
}

void
tcp_transmit(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, struct tcp_sum header)
{
	struct net_flow f;

	tcp_flow_load(&tc->key, tc->port, &f);
	f.sum = header.sum;
	f.summed = header.len;
	f.neigh = tc->neigh;
	f.gen = tc->neigh_gen;
	net_output(lc, &f, m, 0);
	tc->neigh = f.neigh;
	tc->neigh_gen = f.gen;
	stat_inc(lc, STAT_TCP_OUT);
}

/* What lies behind the first n bytes of m moves to a buffer of its own. */
static int
cut_behind(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint32_t n)
{
	struct pkt *p = pkt_of(m), *q;
	struct rte_mbuf *rest;

	if (tc->sndq_segs == UINT16_MAX)
		return -ENOMEM;
	rest = lcore_mbuf(lc);
	if (rest == NULL) {
		drop_count(lc, DROP_NO_MBUF);
		return -ENOMEM;
	}
	q = pkt_of(rest);
	*q = *p;
	q->sum_len = 0;
	q->seq = p->seq + n;
	q->pay_off = rest->data_off;
	q->pay_len = (uint16_t)(p->pay_len - n);
	memcpy(rte_pktmbuf_mtod(rest, void *), (const char *)m->buf_addr + p->pay_off + n,
		q->pay_len);
	rest->data_len = q->pay_len;
	rest->pkt_len = q->pay_len;
	p->pay_len = (uint16_t)n;
	p->next = rest;
	if (tc->sndq_tail == m)
		tc->sndq_tail = rest;
	tc->sndq_segs++;
	lc->retained += CHAIN_TRUESIZE;
	stat_inc(lc, STAT_TCP_REPACK);
	return 0;
}

/* By halves, each a multiple of n: a buffer of many segments is not copied once for each of them. */
int
tcp_sndq_split(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint32_t n)
{
	const struct pkt *p = pkt_of(m);
	int rc = 0;

	while (rc == 0 && p->pay_len > 3 * n && n == tc->mss)
		rc = cut_behind(lc, tc, m, (p->pay_len / n + 1) / 2 * n);
	return rc == 0 ? cut_behind(lc, tc, m, n) : rc;
}

/* What a connection with a block remembers of a segment that leaves. */
static void
sent(struct lcore *lc, struct tcp_conn *tc, struct pkt *p)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	if (tc->flags & TF_RECOVERY)
		r->prr_out += p->pay_len;
	if (tc->flags & TF_PACED)
		tcp_pace_sent(lc, tc, r, p);
}

int
tcp_sndq_emit(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, uint8_t flags)
{
	struct pkt *p = pkt_of(m);
	struct rte_mbuf *o = m;

	if (likely(rte_mbuf_refcnt_read(m) == 1 && RTE_MBUF_DIRECT(m) &&
		    p->pay_off >= NET_TCP_HEADROOM)) {
		rte_mbuf_refcnt_update(m, 1);
		m->data_off = p->pay_off;
		if (p->tx_count == 0)
			stat_inc(lc, STAT_TCP_MOVED);
	} else {
		o = lcore_mbuf(lc);
		if (o == NULL) {
			drop_count(lc, DROP_NO_MBUF);
			return -ENOMEM;
		}
		memcpy(rte_pktmbuf_mtod(o, void *), (const char *)m->buf_addr + p->pay_off,
			p->pay_len);
		if (p->tx_count == 0)
			stat_inc(lc, STAT_TCP_REPACK);
	}
	o->data_len = p->pay_len;
	if (p->tx_count > 0)
		stat_inc(lc, STAT_TCP_RETRANS);
	if (p->tx_count < UINT8_MAX)
		p->tx_count++;
	p->tx_us = lc->now_us;
	if (unlikely(tc->rec != TCP_NONE))
		sent(lc, tc, p);
	if (p->next == NULL)
		flags |= RTE_TCP_PSH_FLAG;
	if (unlikely(lc->tcp->joining))
		tcp_join_add(lc, tc, o, p->seq, flags);
	else
		tcp_transmit(lc, tc, o, tcp_header(lc, tc, o, p->seq, flags));
	return 0;
}

int
tcp_send_ctl(struct lcore *lc, struct tcp_conn *tc, uint32_t seq, uint8_t flags)
{
	struct rte_mbuf *m = lcore_mbuf(lc);

	if (m == NULL) {
		drop_count(lc, DROP_NO_MBUF);
		return -ENOMEM;
	}
	tcp_transmit(lc, tc, m, tcp_header(lc, tc, m, seq, flags));
	if (flags == RTE_TCP_ACK_FLAG)
		stat_inc(lc, STAT_TCP_PURE_ACK);
	return 0;
}

int
tcp_send_bare(struct lcore *lc, const struct tcp_bare *b)
{
	struct rte_mbuf *m = lcore_mbuf(lc);
	struct rte_tcp_hdr *th;
	struct net_flow f;
	uint32_t hl = sizeof(*th);

	if (m == NULL) {
		drop_count(lc, DROP_NO_MBUF);
		return -ENOMEM;
	}
	th = rte_pktmbuf_mtod(m, struct rte_tcp_hdr *);
	if (b->flags & RTE_TCP_SYN_FLAG)
		hl += tcp_opt_syn((uint8_t *)(th + 1), b);
	else if (b->opts & TCP_OPT_TS)
		hl += tcp_opt_ts((uint8_t *)(th + 1), b->tsval, b->tsecr);
	th->src_port = rte_cpu_to_be_16(b->key->lport);
	th->dst_port = rte_cpu_to_be_16(b->key->rport);
	th->sent_seq = rte_cpu_to_be_32(b->seq);
	th->recv_ack = rte_cpu_to_be_32(b->ack);
	th->data_off = (uint8_t)(hl / 4 << 4);
	th->tcp_flags = b->flags;
	th->rx_win = rte_cpu_to_be_16(b->wnd);
	th->cksum = 0;
	th->tcp_urp = 0;
	m->data_len = (uint16_t)hl;
	m->pkt_len = hl;
	tcp_flow_load(b->key, b->port, &f);
	f.bare = true;
	net_output(lc, &f, m, 0);
	stat_inc(lc, STAT_TCP_OUT);
	return 0;
}

void
tcp_send_reset(struct lcore *lc, const struct tcp_seg *s)
{
	struct tcp_bare b = { .key = &s->key, .port = s->port, .flags = RTE_TCP_RST_FLAG };

	if (!tcp_limit_ok(lc, &lc->tcp->rst_limit, 2000))
		return;
	// RFC 9293 3.10.7.1
	if (s->flags & RTE_TCP_ACK_FLAG) {
		b.seq = s->ack;
	} else {
		b.ack = seg_end(s);
		b.flags |= RTE_TCP_ACK_FLAG;
	}
	if (tcp_send_bare(lc, &b) == 0)
		stat_inc(lc, STAT_TCP_RST_OUT);
}
