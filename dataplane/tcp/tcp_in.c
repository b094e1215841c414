// SPDX-License-Identifier: BSD-3-Clause
/*
 * TCP receive side: from a burst of packets to processed segments.
 *
 * Runs on: the worker that owns the connections. Two stages over a burst: the first reads headers,
 * checks them and touches the flow table's lines; the second looks up and processes, so that the
 * lookups of later segments overlap with the work on earlier ones.
 * Follows: RFC 9293 3.10.7 in its order (the steps are numbered), RFC 7323 5 (PAWS), RFC 5961.
 * Not here: SYNs to listeners (tcp_listen.c), acknowledgements (tcp_ack.c), payload (tcp_reasm.c).
 */
#include <rte_ip.h>

#include "dataplane/net/tap.h"
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

/*
 * A forged error makes IPv4 segments no smaller than that (Linux's bound), unless full ones have timed out
 * again and again, so that the path may well be as narrow as it says (RFC 5927 7). Of IPv6 icmp6.c takes
 * nothing below what every link carries.
 */
#define TOLD_MIN4    552u
#define TOLD_RETRIES 2u

#define PAWS_IDLE (24u * 24 * 3600 * 1000) // RFC 7323 5.5: 24 days

/* ---- stage 1 ---- */
static bool
v6_is_mapped(const uint8_t *a)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(a, prefix, 12) == 0;
}

static bool
csum_ok(const struct rte_mbuf *m, const struct pkt *p)
{
	const void *ip = rte_pktmbuf_mtod_offset(m, const void *, p->l3);
	const uint8_t *l4 = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->l4);
	uint32_t sum = rte_raw_cksum(l4, p->l4_len);

	// our own sum: the IPv6 payload length counts extension headers
	if (p->rx_flags & PKT_F_V6) {
		const struct rte_ipv6_hdr *h = ip;
		sum += rte_raw_cksum(h->src_addr, 32);
	} else {
		const struct rte_ipv4_hdr *h = ip;
		sum += rte_raw_cksum(&h->src_addr, 8);
	}
	sum += rte_cpu_to_be_16(IPPROTO_TCP);
	sum += rte_cpu_to_be_16(p->l4_len);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum == 0xffff;
}

static bool
flags_ok(uint8_t f)
{
	uint8_t main = f & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG);

	// at most one of SYN, FIN, RST; all but SYN and RST need ACK
	if (main & (main - 1))
		return false;
	return f & (RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG);
}

static bool
key_of_packet(const struct rte_mbuf *m, const struct pkt *p, struct tcp_key *k)
{
	if (p->rx_flags & PKT_F_V6) {
		const struct rte_ipv6_hdr *h =
			rte_pktmbuf_mtod_offset(m, const struct rte_ipv6_hdr *, p->l3);
		if (v6_is_mapped(h->src_addr) || v6_is_mapped(h->dst_addr))
			return false;
		memcpy(k->r, h->src_addr, 16);
		memcpy(k->l, h->dst_addr, 16);
	} else {
		const struct rte_ipv4_hdr *h =
			rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, p->l3);
		k->l[0] = k->l[1] = k->r[0] = k->r[1] = 0;
		k->l[2] = k->r[2] = RTE_BE32(0xffff);
		k->r[3] = h->src_addr;
		k->l[3] = h->dst_addr;
	}
	return true;
}

/* Fills s from m, or drops m and returns false. */
static bool
classify(struct lcore *lc, struct rte_mbuf *m, struct tcp_seg *s)
{
	const struct pkt *p = pkt_of(m);
	const struct rte_tcp_hdr *th =
		rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, p->l4);
	enum drop why = DROP_TCP_SHORT;

	if (unlikely(p->l4_len < sizeof(*th) ||
		    (uint32_t)p->l4 + p->l4_len > rte_pktmbuf_data_len(m)))
		goto drop;
	s->thl = (th->data_off >> 4) * 4;
	if (unlikely(s->thl < sizeof(*th) || s->thl > p->l4_len))
		goto drop;
	why = DROP_TCP_CSUM;
	if (!(p->rx_flags & PKT_F_CSUM_OK) && unlikely(!csum_ok(m, p)))
		goto drop;
	s->flags = th->tcp_flags & 0x3f;
	why = DROP_TCP_BAD_FLAGS;
	if (unlikely(!flags_ok(s->flags)))
		goto drop;
	why = DROP_IP_SOURCE;
	if (unlikely(!key_of_packet(m, p, &s->key)))
		goto drop;
	s->key.lport = rte_be_to_cpu_16(th->dst_port);
	s->key.rport = rte_be_to_cpu_16(th->src_port);
	s->seq = rte_be_to_cpu_32(th->sent_seq);
	s->ack = rte_be_to_cpu_32(th->recv_ack);
	s->wnd = rte_be_to_cpu_16(th->rx_win);
	s->l4 = p->l4;
	s->off = p->l4 + s->thl;
	s->len = p->l4_len - s->thl;
	s->port = p->port;
	s->mss = 0;
	s->wscale = 0;
	why = DROP_TCP_OPTION;
	if (unlikely(tcp_opt_parse((const uint8_t *)(th + 1), s->thl - (uint32_t)sizeof(*th),
			     s->flags & RTE_TCP_SYN_FLAG, s) < 0))
		goto drop;
	s->hash = tcp_key_hash(&lc->tcp->table, &s->key);
	tcp_table_prefetch(lc->tcp, s->hash);
	return true;
drop:
	pkt_drop(lc, m, why);
	return false;
}

/* ---- stage 2 ---- */

/* First: is the sequence number acceptable (RFC 9293 3.10.7.4, table 6)? */
static bool
seq_ok(const struct tcp_conn *tc, const struct tcp_seg *s)
{
	uint32_t wnd = tc->rcv_adv - tc->rcv_nxt, len = seg_end(s) - s->seq;

	// what carries nothing may stand at the right edge: a peer that has filled our window sends its
	// ACKs from there, and two that filled each other's would never hear of it again
	if (len == 0)
		return s->seq - tc->rcv_nxt <= wnd;
	if (wnd == 0)
		return false;
	return s->seq - tc->rcv_nxt < wnd || s->seq + len - 1 - tc->rcv_nxt < wnd;
}

/* The ACK for a segment out of place. */
static sl_cold void
answer(struct lcore *lc, struct tcp_conn *tc, const struct tcp_seg *s)
{
	if (seg_end(s) == s->seq) {
		if (tcp_spare_ack(lc, tc->flags & TF_ANSWERED, &tc->answered))
			return;
		tc->flags |= TF_ANSWERED;
	}
	tc->flags |= TF_ACK_NOW;
	tcp_touch(lc->tcp, tc);
}

static sl_cold void
unacceptable(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, struct tcp_seg *s)
{
	bool old = seq_leq(seg_end(s), tc->rcv_nxt);
	enum drop why = DROP_TCP_WINDOW;

	if (s->flags & RTE_TCP_RST_FLAG) {
		pkt_drop(lc, m, DROP_TCP_BAD_RST);
		return;
	}
	// whatever its number (RFC 5961 4.2): a blind one comes at any, and costs what all challenges cost
	if (s->flags & RTE_TCP_SYN_FLAG) {
		if (tc->flags & TF_HASHED)
			tcp_challenge(lc, tc);
		pkt_drop(lc, m, DROP_TCP_BAD_SYN);
		return;
	}
	// zero window: nothing fits, but a valid ACK is still an ACK (RFC 9293 3.10.7.4)
	if (s->seq == tc->rcv_nxt && tc->rcv_adv == tc->rcv_nxt &&
		(s->flags & RTE_TCP_ACK_FLAG) && tcp_ack_input(lc, tc, s, &why) == TV_OK &&
		tc->state != TCP_CLOSED)
		why = DROP_TCP_WINDOW;
	if (old && s->len > 0) {
		stat_inc(lc, STAT_TCP_DUP);
		why = DROP_TCP_DUP;
		tcp_came_twice(lc, tc, s->seq, s->seq + s->len);
	}
	if (tc->flags & TF_HASHED)
		answer(lc, tc, s);
	pkt_drop(lc, m, why);
}

/*
 * An acknowledgement without data that a later one overtook: it moves nothing, and what it tells by SACK
 * is news. Only within a timeout, so that none from the last turn of the numbers passes.
 */
static bool
overtaken(const struct lcore *lc, const struct tcp_conn *tc, const struct tcp_seg *s)
{
	return s->len == 0 && s->nsack > 0 && s->seq == tc->rcv_nxt && seq_leq(s->ack, tc->snd_una) &&
		(s->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG)) ==
			RTE_TCP_ACK_FLAG &&
		tc->ts_recent - s->tsval <= tcp_rto_ms(lc->tcp, tc);
}

/* RFC 7323 5.3 R1-R3; false: the segment was consumed. */
static bool
paws_ok(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, const struct tcp_seg *s)
{
	if (!(s->opts & TCP_OPT_TS)) {
		// 3.2: once negotiated every segment but RST carries timestamps; a SYN is of a peer that
		// has lost its state and is to be told so, whatever options it brings (RFC 5961 4.2)
		if (s->flags & (RTE_TCP_RST_FLAG | RTE_TCP_SYN_FLAG))
			return true;
		pkt_drop(lc, m, DROP_TCP_PAWS);
		return false;
	}
	if (unlikely(seq_lt(s->tsval, tc->ts_recent)) && !(s->flags & RTE_TCP_RST_FLAG)) {
		if (overtaken(lc, tc, s))
			return true;
		if (!(tc->flags & TF_TS_OLD) && tcp_quiet_ms(tc, lc->now) < PAWS_IDLE) {
			answer(lc, tc, s);
			// an original that its retransmission overtook: the sender wants to know
			if (s->len > 0 && seq_leq(s->seq + s->len, tc->rcv_nxt))
				tcp_came_twice(lc, tc, s->seq, s->seq + s->len);
			pkt_drop(lc, m, DROP_TCP_PAWS);
			return false;
		}
		tc->flags |= TF_TS_OLD; // the next acceptable one sets it anew
	}
	return true;
}

static void
ts_update(struct tcp_conn *tc, const struct tcp_seg *s)
{
	// RFC 7323 4.3 (2): the segment holds the octet last acknowledged
	if ((s->opts & TCP_OPT_TS) && seq_leq(s->seq, tc->last_ack) &&
		(seq_geq(s->tsval, tc->ts_recent) || unlikely(tc->flags & TF_TS_OLD))) {
		tc->ts_recent = s->tsval;
		tc->flags &= ~TF_TS_OLD;
	}
}

/* Cuts what lies before rcv_nxt and behind the window. */
static void
trim(struct lcore *lc, struct tcp_conn *tc, struct tcp_seg *s)
{
	if (seq_lt(s->seq, tc->rcv_nxt)) {
		uint32_t old = tc->rcv_nxt - s->seq;
		uint32_t cut = sl_min(old, (uint32_t)s->len);
		tcp_came_twice(lc, tc, s->seq, s->seq + cut);
		s->off += (uint16_t)cut;
		s->len -= (uint16_t)cut;
		s->seq = tc->rcv_nxt;
		if (old > cut)
			s->flags &= ~RTE_TCP_FIN_FLAG; // an old FIN
	}
	if (s->len > 0 && seq_gt(s->seq + s->len, tc->rcv_adv)) {
		s->len = (uint16_t)(tc->rcv_adv - s->seq);
		s->flags &= ~RTE_TCP_FIN_FLAG;
	}
}

/* Is there nobody to read the payload? Then RST (RFC 9293 3.10.4; a close that was final). */
static sl_apart bool
after_close(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, struct tcp_seg *s)
{
	if (!(tc->flags & TF_ORPHAN) || s->len == 0)
		return false;
	tcp_send_reset(lc, s);
	tcp_conn_end(lc, tc, ECONNRESET);
	pkt_drop(lc, m, DROP_TCP_AFTER_CLOSE);
	return true;
}

/*
 * The next segment in order, with nothing in it or in the connection that needs a decision: data, or
 * an acknowledgement of something new, while nothing is lost, reported, out of order or closing. The
 * steps below have one outcome then. (Van Jacobson's header prediction.)
 */
static inline bool
is_predicted(const struct tcp_conn *tc, const struct tcp_seg *s)
{
	const uint32_t rare = TF_ORPHAN | TF_DEAD | TF_FIN_QUEUED | TF_FIN_RCVD | TF_RECOVERY | TF_LOSS |
		TF_TS_OLD;
	uint32_t acked = s->ack - tc->snd_una;

	return tc->state == TCP_ESTABLISHED && (tc->flags & (rare | TF_TS)) == TF_TS &&
		(s->flags & ~RTE_TCP_PSH_FLAG) == RTE_TCP_ACK_FLAG && s->opts == TCP_OPT_TS &&
		s->nsack == 0 && s->seq == tc->rcv_nxt && s->len <= tc->rcv_adv - tc->rcv_nxt &&
		seq_geq(s->tsval, tc->ts_recent) && acked <= tc->snd_nxt - tc->snd_una &&
		(acked | s->len) != 0 && tc->ooo == NULL && tc->rec == TCP_NONE &&
		(tc->sacked | tc->lost | tc->dupacks) == 0;
}

/* RFC 9293 3.10.7.4: all states from SYN-RECEIVED on. Consumes m. */
static sl_apart void
steps(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, struct tcp_seg *s)
{
	enum drop why = DROP_TCP_BAD_ACK;

	// PAWS comes before everything else (RFC 7323 5.3 R1)
	if ((tc->flags & TF_TS) && !paws_ok(lc, tc, m, s))
		return;
	// first, check the sequence number
	if (unlikely(!seq_ok(tc, s))) {
		unacceptable(lc, tc, m, s);
		return;
	}
	// second, check the RST bit (RFC 5961 3.2: only the exact number resets)
	if (unlikely(s->flags & RTE_TCP_RST_FLAG)) {
		if (s->seq != tc->rcv_nxt) {
			tcp_challenge(lc, tc);
			pkt_drop(lc, m, DROP_TCP_BAD_RST);
			return;
		}
		stat_inc(lc, STAT_TCP_RST_IN);
		rte_pktmbuf_free(m);
		tcp_conn_end(lc, tc, tc->state == TCP_SYN_RECEIVED ? ECONNREFUSED : ECONNRESET);
		return;
	}
	// fourth, check the SYN bit (RFC 5961 4.2)
	if (unlikely(s->flags & RTE_TCP_SYN_FLAG)) {
		tcp_challenge(lc, tc);
		pkt_drop(lc, m, DROP_TCP_BAD_SYN);
		return;
	}
	// fifth, check the ACK field
	if (unlikely(!(s->flags & RTE_TCP_ACK_FLAG))) {
		pkt_drop(lc, m, DROP_TCP_BAD_FLAGS);
		return;
	}
	if (tc->flags & TF_TS)
		ts_update(tc, s);
	tc->rcv_at = (lc->now >> 8) & 0xffffffu;
	if (unlikely(tcp_ack_input(lc, tc, s, &why) == TV_DROP)) {
		pkt_drop(lc, m, why);
		return;
	}
	if (unlikely(tc->state == TCP_CLOSED || tc->state == TCP_TIME_WAIT)) {
		rte_pktmbuf_free(m); // that was the last acknowledgement
		return;
	}
	// sixth, the URG bit: there is no urgent mode for a proxy; the bytes are in the stream
	// seventh, the segment text, and eighth, the FIN bit
	if (s->len == 0 && !(s->flags & RTE_TCP_FIN_FLAG)) {
		rte_pktmbuf_free(m);
		return;
	}
	trim(lc, tc, s);
	if (unlikely(after_close(lc, tc, m, s)))
		return;
	tcp_data_input(lc, tc, m, s);
}

static inline void
synchronised(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, struct tcp_seg *s)
{
	if (unlikely(!is_predicted(tc, s))) {
		steps(lc, tc, m, s);
		return;
	}
	ts_update(tc, s);
	tc->rcv_at = (lc->now >> 8) & 0xffffffu;
	tcp_ack_predicted(lc, tc, s);
	if (s->len > 0)
		tcp_data_input(lc, tc, m, s);
	else
		rte_pktmbuf_free(m);
}

/* RFC 9293 3.10.7.3. Consumes m. */
static sl_cold void
syn_sent(struct lcore *lc, struct tcp_conn *tc, struct rte_mbuf *m, struct tcp_seg *s)
{
	bool ack = s->flags & RTE_TCP_ACK_FLAG;
	struct tcp_lcore *tl = lc->tcp;
	uint32_t ms;

	// first: the ACK bit; only our SYN can be acknowledged
	if (ack && s->ack != tc->snd_una + 1) {
		if (!(s->flags & RTE_TCP_RST_FLAG))
			tcp_send_reset(lc, s);
		pkt_drop(lc, m, DROP_TCP_BAD_ACK);
		return;
	}
	// second: the RST bit
	if (s->flags & RTE_TCP_RST_FLAG) {
		if (ack) {
			stat_inc(lc, STAT_TCP_RST_IN);
			tcp_conn_end(lc, tc, ECONNREFUSED);
			rte_pktmbuf_free(m);
		} else {
			pkt_drop(lc, m, DROP_TCP_BAD_RST);
		}
		return;
	}
	// fourth: the SYN bit
	if (!(s->flags & RTE_TCP_SYN_FLAG)) {
		pkt_drop(lc, m, DROP_TCP_BAD_FLAGS);
		return;
	}
	tc->rcv_nxt = tc->last_ack = s->seq + 1;
	tc->rcv_adv = tc->rcv_nxt + sl_min(tl->conf.rcv_buf, 0xffffu); // as our SYN said
	tc->port = s->port;
	if (!(s->opts & TCP_OPT_TS))
		tc->flags &= ~TF_TS;
	if (!(s->opts & TCP_OPT_SACK_OK))
		tc->flags &= ~TF_SACK;
	if (s->opts & TCP_OPT_WSCALE)
		tc->snd_scale = s->wscale & 15;
	else
		tc->flags &= ~TF_WSCALE;
	if (tc->flags & TF_TS)
		tc->ts_recent = s->tsval;
	tc->snd_wnd = s->wnd; // never scaled in a SYN
	tc->max_wnd = s->wnd;
	tc->snd_wl1 = s->seq;
	if (!ack) { // simultaneous open
		tc->state = TCP_SYN_RECEIVED;
		tc->rcv_mss = s->mss; // until tcp_conn_start()
		tc->flags |= TF_SYN_DUE;
		tcp_touch(tl, tc);
		rte_pktmbuf_free(m);
		return;
	}
	if (tc->retries == 0 && (tc->flags & TF_TS) && tcp_ts_age(lc, s, &ms))
		tcp_rtt_sample(tc, ms * 1000);
	tc->snd_una = s->ack;
	tc->state = tc->flags & TF_FIN_QUEUED ? TCP_FIN_WAIT_1 : TCP_ESTABLISHED;
	tcp_conn_start(lc, tc, s->mss);
	tc->tmode = TM_NONE;
	tc->flags |= TF_ACK_NOW;
	tcp_raise(tl, tc, TCP_EV_CONNECTED);
	tcp_touch(tl, tc);
	// payload on a SYN is not acknowledged: the peer sends it again
	rte_pktmbuf_free(m);
}

/*
 * No connection, half-open or other: RFC 9293 3.10.7.1 and 3.10.7.2. Returns the connection that a
 * cookie made, which goes on with the segment; else m is consumed.
 */
static sl_cold struct tcp_conn *
no_conn(struct lcore *lc, struct rte_mbuf *m, const struct tcp_seg *s)
{
	struct tcp_conn *tc;

	if (s->flags & RTE_TCP_RST_FLAG) {
		if (!net_tap_segment(lc, m))
			pkt_drop(lc, m, DROP_TCP_NO_CONN);
		return NULL;
	}
	if ((s->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG) {
		tcp_syn_input(lc, m, s, NULL);
		return NULL;
	}
	if (tcp_cookie_input(lc, s, &tc)) {
		if (tc == NULL) // the peer's next segment tries again
			pkt_drop(lc, m, DROP_TCP_MAXCONN);
		return tc;
	}
	if (tcp_find_listener(lc, &s->key) < 0 && net_tap_segment(lc, m))
		return NULL;
	if (!tcp_cookie_may_come(lc, s))
		tcp_send_reset(lc, s);
	pkt_drop(lc, m, DROP_TCP_NO_CONN);
	return NULL;
}

/* Whose segment is it? NULL: m is consumed. */
static sl_apart struct tcp_conn *
find(struct lcore *lc, struct rte_mbuf *m, struct tcp_seg *s)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_ref r = tcp_lookup(tl, &s->key, s->hash);

	if (unlikely(r.idx == TCP_NONE))
		return no_conn(lc, m, s);
	if (likely(r.kind == TK_CONN))
		return conn_at(tl, r.idx);
	if (r.kind == TK_HALF)
		return tcp_half_input(lc, m, s, r.idx);
	tcp_timewait_input(lc, m, s, r.idx);
	return NULL;
}

static inline void
process(struct lcore *lc, struct rte_mbuf *m, struct tcp_seg *s)
{
	struct tcp_conn *tc = s->tc;

	if (unlikely(tc == NULL || !tcp_table_is(tc, &s->key))) {
		tc = find(lc, m, s);
		if (tc == NULL)
			return;
	}
	if (unlikely(tc->state == TCP_SYN_SENT))
		syn_sent(lc, tc, m, s);
	else
		synchronised(lc, tc, m, s);
}

void
tcp_input(struct lcore *lc, struct rte_mbuf **m, uint16_t n)
{
	struct tcp_seg seg[TCP_BURST];

	while (n > 0) {
		uint16_t burst = sl_min(n, (uint16_t)TCP_BURST);
		struct rte_mbuf **good = m;
		struct tcp_seg *end = seg;

		for (struct rte_mbuf **at = m; at < m + burst; at++) {
			if (likely(classify(lc, *at, end))) {
				*good++ = *at;
				end++;
			}
		}
		for (struct tcp_seg *s = seg; s < end; s++)
			s->tc = tcp_table_prefetch_conn(lc->tcp, s->hash);
		for (struct tcp_seg *s = seg; s < end; s++) {
			if (likely(s->tc != NULL))
				tcp_prefetch_sent(s->tc);
		}
		for (struct tcp_seg *s = seg; s < end; s++)
			process(lc, m[s - seg], s);
		stat_add(lc, STAT_TCP_IN, (uint64_t)(end - seg));
		m += burst;
		n -= burst;
	}
}

bool
tcp_icmp(struct lcore *lc, const struct net_icmp_error *e)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_key k;
	struct tcp_ref r;
	struct tcp_conn *tc;

	tcp_key_set(&k, &e->laddr, e->lport, &e->raddr, e->rport);
	r = tcp_lookup(tl, &k, tcp_key_hash(&tl->table, &k));
	if (r.idx != TCP_NONE && r.kind == TK_HALF) { // of a SYN-ACK, which goes again in its time
		const struct tcp_half *h = pool_at(&tl->halfs, r.idx);
		return e->seq == h->iss;
	}
	if (r.idx == TCP_NONE || r.kind != TK_CONN)
		return false;
	tc = conn_at(tl, r.idx);
	// RFC 5927 4.1: SND.UNA =< SEG.SEQ < SND.NXT, so that nothing fits while nothing is in flight
	if (e->seq - tc->snd_una >= tc->snd_nxt - tc->snd_una)
		return false;
	switch ((enum net_icmp_kind)e->kind) {
	case NET_ICMP_TOO_BIG: {
		bool v4 = tcp_key_is_v4(&k);
		uint32_t head = (v4 ? 40 : 60) + (tc->flags & TF_TS ? TCP_OPT_TS_LEN : 0u);
		uint32_t least = v4 && tc->retries < TOLD_RETRIES ? TOLD_MIN4 : 0;
		uint32_t mtu = sl_max((uint32_t)e->mtu, least);
		uint32_t most = mtu > head ? mtu - head : 0;
		most = sl_max(most, (uint32_t)TCP_MSS_MIN);
		if (tc->state == TCP_SYN_SENT || most >= tc->mss)
			return true;
		tcp_pmtu_reduce(lc, tc, (uint16_t)most);
		tcp_mark_all_lost(tc); // sent again in the new size; not a sign of congestion
		tc->flags |= TF_RTX_FORCE;
		tcp_touch(tl, tc);
		return true;
	}
	case NET_ICMP_REFUSED:
	case NET_ICMP_UNREACH:
		// RFC 5927 5.2: even hard errors count only while opening. There soft ones do, too, which
		// RFC 9293 3.9.2.2 (MUST-56) denies and RFC 5461 describes: who is to choose another
		// server is to know at once
		if (tc->state == TCP_SYN_SENT)
			tcp_conn_end(
				lc, tc, e->kind == NET_ICMP_REFUSED ? ECONNREFUSED : EHOSTUNREACH);
		return true;
	}
	return true;
}
