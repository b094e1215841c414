// SPDX-License-Identifier: BSD-3-Clause
/*
 * Passive opens: listeners, and the cache of SYNs that were answered.
 *
 * Runs on: workers; every worker has the same listeners. A half-open entry is 64 bytes; a TCB
 * exists only from the acknowledgement of our SYN-ACK on. Entries of the same number of
 * retransmissions wait in one FIFO, since their timeouts are the same. A full cache forgets its
 * oldest entry, so that a flood costs clients a retry and no more.
 * Follows: RFC 9293 3.10.7.2 and 3.10.7.4 for SYN-RECEIVED, RFC 4987 3.4 (SYN cache), RFC 7323.
 * Not here: cookies (tcp_cookie.c), TCBs (tcp_conn.c).
 */
#include "dataplane/net/tap.h"
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define NO_LISTENER 255u

void
tcp_listen_init(struct tcp_lcore *tl)
{
	memset(tl->listen_bucket, NO_LISTENER, sizeof(tl->listen_bucket));
	for (uint32_t i = 0; i < TCP_HALF_LEVELS; i++)
		tl->half_fifo[i] = (struct tcp_fifo){ TCP_NONE, TCP_NONE };
	tl->tw_fifo = (struct tcp_fifo){ TCP_NONE, TCP_NONE };
}

static uint32_t
bucket_of(uint16_t port)
{
	return (port ^ (port >> 6)) % TCP_LISTEN_BUCKETS;
}

/* The listener with this very address, or -ENOENT. */
static int
find_exact(const struct tcp_lcore *tl, const struct ip_port *a)
{
	uint32_t i = tl->listen_bucket[bucket_of(a->port)];

	for (; i != NO_LISTENER; i = tl->listener[i].next) {
		const struct tcp_listener *l = &tl->listener[i];
		if (l->addr.port == a->port && addr_eq(&l->addr.ip, &a->ip))
			return (int)i;
	}
	return -ENOENT;
}

int
tcp_listen(struct lcore *lc, const struct ip_port *addr, const struct tcp_handler *h, void *cookie)
{
	struct tcp_lcore *tl = lc->tcp;
	uint32_t i = 0, b = bucket_of(addr->port);

	if (find_exact(tl, addr) >= 0)
		return -EADDRINUSE;
	while (i < TCP_LISTENERS && tl->listener[i].h != NULL)
		i++;
	if (i == TCP_LISTENERS)
		return -ENOSPC;
	tl->listener[i] = (struct tcp_listener){
		.addr = *addr, .h = h, .cookie = cookie, .next = tl->listen_bucket[b]
	};
	tl->listen_bucket[b] = (uint8_t)i;
	tl->nlisteners++;
	return 0;
}

static void
half_del(struct lcore *lc, uint32_t idx)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_half *e = pool_at(&tl->halfs, idx);

	TCP_FIFO_DEL(tl, halfs, struct tcp_half, &tl->half_fifo[e->level], idx);
	tcp_table_del(
		&tl->table, tcp_key_hash(&tl->table, &e->key), (struct tcp_ref){ idx, TK_HALF });
	pool_free(&tl->halfs, e);
}

int
tcp_unlisten(struct lcore *lc, const struct ip_port *addr)
{
	struct tcp_lcore *tl = lc->tcp;
	int found = find_exact(tl, addr);
	uint8_t *link = &tl->listen_bucket[bucket_of(addr->port)];

	if (found < 0)
		return found;
	for (uint32_t lv = 0; lv < TCP_HALF_LEVELS; lv++) {
		for (uint32_t i = tl->half_fifo[lv].head; i != TCP_NONE;) {
			const struct tcp_half *e = pool_at(&tl->halfs, i);
			uint32_t next = e->next;
			if (e->listener == found)
				half_del(lc, i);
			i = next;
		}
	}
	while (*link != (uint8_t)found)
		link = &tl->listener[*link].next;
	*link = tl->listener[found].next;
	memset(&tl->listener[found], 0, sizeof(tl->listener[found]));
	tl->nlisteners--;
	return 0;
}

/* Its very address before the any-address of its family. */
int
tcp_find_listener(const struct lcore *lc, const struct tcp_key *k)
{
	const struct tcp_lcore *tl = lc->tcp;
	struct ip_addr l, r;
	int any = -ENOENT;

	if (lc->stopping)
		return -ENOENT;
	tcp_key_get(k, &l, &r);
	for (uint32_t i = tl->listen_bucket[bucket_of(k->lport)]; i != NO_LISTENER;
		i = tl->listener[i].next) {
		const struct ip_port *a = &tl->listener[i].addr;
		if (a->port != k->lport || a->ip.family != l.family)
			continue;
		if (addr_eq(&a->ip, &l))
			return (int)i;
		if (addr_is_any(&a->ip))
			any = (int)i;
	}
	return any;
}

static void
send_synack(struct lcore *lc, const struct tcp_half *e)
{
	const struct tcp_lcore *tl = lc->tcp;
	struct tcp_bare b = {
		.key = &e->key,
		.seq = e->iss,
		.ack = e->irs + 1,
		.tsval = tcp_ts_now(lc),
		.tsecr = e->ts_recent,
		.wnd = (uint16_t)sl_min(tl->conf.rcv_buf, 0xffffu),
		.mss = tl->payload_mss,
		.port = e->port,
		.flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
		.opts = e->opts,
		.wscale = tl->rcv_scale,
	};

	(void)tcp_send_bare(lc, &b); // if not now: it is sent again later
}

/* First date for SYN-ACKs of this level. */
static uint32_t
level_ms(const struct tcp_lcore *tl, uint32_t level)
{
	return sl_min(tl->conf.rto_init_ms << level, tl->conf.rto_max_ms);
}

static void
queue(struct lcore *lc, uint32_t idx, uint32_t level)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_half *e = pool_at(&tl->halfs, idx);
	sl_tick at = tick_add(lc->now, level_ms(tl, level));

	e->level = level & 15;
	e->due = (uint16_t)((at >> 4) + 1);
	TCP_FIFO_ADD(tl, halfs, struct tcp_half, &tl->half_fifo[level], idx);
	tcp_aging_arm(lc, at);
}

/* The oldest entry of the highest level makes room. */
static void
evict(struct lcore *lc)
{
	struct tcp_lcore *tl = lc->tcp;

	for (int lv = TCP_HALF_LEVELS - 1; lv >= 0; lv--) {
		if (tl->half_fifo[lv].head != TCP_NONE) {
			half_del(lc, tl->half_fifo[lv].head);
			drop_count(lc, DROP_TCP_NO_MEM);
			return;
		}
	}
}

uint8_t
tcp_syn_opts(const struct tcp_lcore *tl, const struct tcp_seg *s)
{
	uint8_t opts = TCP_OPT_MSS;

	if (tl->conf.timestamps)
		opts |= s->opts & TCP_OPT_TS;
	if (tl->conf.sack)
		opts |= s->opts & TCP_OPT_SACK_OK;
	if (tl->conf.wscale)
		opts |= s->opts & TCP_OPT_WSCALE;
	return opts;
}

void
tcp_syn_input(
	struct lcore *lc, struct rte_mbuf *m, const struct tcp_seg *s, const uint32_t *min_iss)
{
	struct tcp_lcore *tl = lc->tcp;
	int l = tcp_find_listener(lc, &s->key);
	struct tcp_half *e;
	uint32_t idx;

	if (l < 0) {
		if (net_tap_segment(lc, m))
			return;
		tcp_send_reset(lc, s);
		pkt_drop(lc, m, DROP_TCP_NO_LISTENER);
		return;
	}
	if (unlikely(s->key.rport == 0)) { // RFC 6335 6: nobody's, so that nobody waits for an answer
		pkt_drop(lc, m, DROP_TCP_PORT_ZERO);
		return;
	}
	if (unlikely((s->opts & TCP_OPT_MSS) && s->mss < TCP_MSS_MIN))
		stat_inc(lc, STAT_TCP_MSS_SMALL);
	// the sequence numbers of a tuple that was in TIME_WAIT must go on: no cookie
	if (unlikely(tcp_cookie_due(lc)) && min_iss == NULL) {
		tcp_cookie_synack(lc, s);
		rte_pktmbuf_free(m);
		return;
	}
	e = pool_new(&tl->halfs);
	if (e == NULL) {
		evict(lc);
		e = pool_new(&tl->halfs);
	}
	if (e == NULL) {
		pkt_drop(lc, m, DROP_TCP_NO_MEM);
		return;
	}
	idx = pool_index(&tl->halfs, e);
	if (tcp_table_add(&tl->table, s->hash, (struct tcp_ref){ idx, TK_HALF }) < 0) {
		pool_free(&tl->halfs, e);
		pkt_drop(lc, m, DROP_TCP_NO_MEM);
		return;
	}
	e->key = s->key;
	e->port = s->port;
	e->listener = (uint8_t)l;
	e->irs = s->seq;
	e->mss = s->mss;
	tcp_isn(lc, &s->key, &e->iss);
	if (min_iss != NULL && seq_lt(e->iss, *min_iss))
		e->iss = *min_iss;
	e->opts = tcp_syn_opts(tl, s);
	e->snd_scale = e->opts & TCP_OPT_WSCALE ? s->wscale & 15 : 0;
	if (e->opts & TCP_OPT_TS)
		e->ts_recent = s->tsval;
	queue(lc, idx, 0);
	send_synack(lc, e);
	rte_pktmbuf_free(m); // data on a SYN waits until the peer sends it again
}

static void
bare_ack(struct lcore *lc, const struct tcp_half *e)
{
	struct tcp_bare b = {
		.key = &e->key,
		.seq = e->iss + 1,
		.ack = e->irs + 1,
		.tsval = tcp_ts_now(lc),
		.tsecr = e->ts_recent,
		.wnd = (uint16_t)(sl_min(lc->tcp->conf.rcv_buf, 0xffffu) >>
			(e->opts & TCP_OPT_WSCALE ? lc->tcp->rcv_scale : 0)),
		.port = e->port,
		.flags = RTE_TCP_ACK_FLAG,
		.opts = e->opts & TCP_OPT_TS,
	};

	if (tcp_limit_ok(lc, &lc->tcp->challenge_limit, 1000)) {
		stat_inc(lc, STAT_TCP_CHALLENGE);
		(void)tcp_send_bare(lc, &b);
	}
}

struct tcp_conn *
tcp_establish(
	struct lcore *lc, const struct tcp_half *e, struct tcp_ref old, const struct tcp_seg *s)
{
	struct tcp_lcore *tl = lc->tcp;
	const struct tcp_listener *l = &tl->listener[e->listener];
	struct tcp_conn *tc = tcp_conn_new(lc, &e->key, old);

	if (tc == NULL)
		return NULL;
	tc->h = l->h;
	tc->user = l->cookie;
	tc->state = TCP_ESTABLISHED;
	tc->port = e->port;
	tc->flags |= TF_ACCEPT | TF_PASSIVE | (e->opts & TCP_OPT_TS ? TF_TS : 0) |
		(e->opts & TCP_OPT_SACK_OK ? TF_SACK : 0) |
		(e->opts & TCP_OPT_WSCALE ? TF_WSCALE : 0);
	tc->snd_una = tc->snd_nxt = tc->snd_end = e->iss + 1;
	tc->rcv_nxt = tc->last_ack = e->irs + 1;
	tc->rcv_adv = tc->rcv_nxt + sl_min(tl->conf.rcv_buf, 0xffffu);
	tc->snd_scale = e->snd_scale;
	tc->rcv_scale = tl->rcv_scale & 15;
	tc->ts_recent = e->ts_recent;
	tc->retries = e->level; // a lost SYN-ACK: RFC 6928 2
	tcp_conn_start(lc, tc, e->mss);
	tc->snd_wl1 = s->seq;
	tc->snd_wnd = (uint32_t)s->wnd << tc->snd_scale;
	tc->max_wnd = s->wnd;
	tcp_raise(tl, tc, TCP_EV_CONNECTED);
	return tc;
}

/* The handshake is complete: a TCB takes the entry's place. */
static struct tcp_conn *
promote(struct lcore *lc, uint32_t idx, const struct tcp_seg *s)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_half *e = pool_at(&tl->halfs, idx);
	struct tcp_conn *tc = tcp_establish(lc, e, (struct tcp_ref){ idx, TK_HALF }, s);
	uint32_t ms;

	if (tc == NULL)
		return NULL;
	if ((tc->flags & TF_TS) && e->level == 0 && tcp_ts_age(lc, s, &ms))
		tcp_rtt_sample(tc, ms * 1000);
	TCP_FIFO_DEL(tl, halfs, struct tcp_half, &tl->half_fifo[e->level], idx);
	pool_free(&tl->halfs, e);
	return tc;
}

/* RFC 9293 3.10.7.4 for SYN-RECEIVED, in its order. */
struct tcp_conn *
tcp_half_input(struct lcore *lc, struct rte_mbuf *m, const struct tcp_seg *s, uint32_t idx)
{
	struct tcp_half *e = pool_at(&lc->tcp->halfs, idx);
	uint32_t wnd = sl_min(lc->tcp->conf.rcv_buf, 0xffffu);
	struct tcp_conn *tc;

	// the SYN again: so is the answer
	if ((s->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG)) ==
			RTE_TCP_SYN_FLAG &&
		s->seq == e->irs) {
		if ((e->opts & TCP_OPT_TS) && (s->opts & TCP_OPT_TS))
			e->ts_recent = s->tsval;
		send_synack(lc, e);
		pkt_drop(lc, m, DROP_TCP_DUP);
		return NULL;
	}
	// PAWS, then first: the sequence number
	if ((e->opts & TCP_OPT_TS) && !(s->flags & RTE_TCP_RST_FLAG) &&
		(!(s->opts & TCP_OPT_TS) || seq_lt(s->tsval, e->ts_recent))) {
		bare_ack(lc, e);
		pkt_drop(lc, m, DROP_TCP_PAWS);
		return NULL;
	}
	if (s->seq - (e->irs + 1) >= wnd) {
		if (!(s->flags & RTE_TCP_RST_FLAG))
			bare_ack(lc, e);
		pkt_drop(lc, m, DROP_TCP_WINDOW);
		return NULL;
	}
	// second: RST (RFC 5961 3.2)
	if (s->flags & RTE_TCP_RST_FLAG) {
		if (s->seq == e->irs + 1) {
			stat_inc(lc, STAT_TCP_RST_IN);
			half_del(lc, idx);
			rte_pktmbuf_free(m);
		} else {
			bare_ack(lc, e);
			pkt_drop(lc, m, DROP_TCP_BAD_RST);
		}
		return NULL;
	}
	// fourth: SYN (RFC 5961 4.2)
	if (s->flags & RTE_TCP_SYN_FLAG) {
		bare_ack(lc, e);
		pkt_drop(lc, m, DROP_TCP_BAD_SYN);
		return NULL;
	}
	// fifth: it must acknowledge our SYN-ACK and nothing else
	if (s->ack != e->iss + 1) {
		tcp_send_reset(lc, s);
		pkt_drop(lc, m, DROP_TCP_BAD_ACK);
		return NULL;
	}
	tc = promote(lc, idx, s);
	if (tc == NULL) // the entry stays: the peer's next segment tries again
		pkt_drop(lc, m, DROP_TCP_MAXCONN);
	return tc;
}

sl_tick
tcp_half_age(struct lcore *lc, uint32_t budget)
{
	struct tcp_lcore *tl = lc->tcp;
	sl_tick next = TICK_NONE;

	// from the highest level down, so that what moves up is not met again
	for (int lv = TCP_HALF_LEVELS - 1; lv >= 0; lv--) {
		struct tcp_fifo *f = &tl->half_fifo[lv];
		while (f->head != TCP_NONE) {
			uint32_t idx = f->head;
			struct tcp_half *e = pool_at(&tl->halfs, idx);
			int16_t wait = (int16_t)(e->due - (uint16_t)(lc->now >> 4));

			if (wait > 0 || budget == 0) {
				uint32_t ms = wait > 0 ? (uint32_t)wait << 4 : 1;
				next = tick_first(next, tick_add(lc->now, ms));
				break;
			}
			budget--;
			if (lv + 1 >= TCP_HALF_LEVELS || (uint32_t)lv + 1 > tl->conf.syn_retries) {
				half_del(lc, idx);
				continue;
			}
			TCP_FIFO_DEL(tl, halfs, struct tcp_half, f, idx);
			queue(lc, idx, (uint32_t)lv + 1);
			stat_inc(lc, STAT_TCP_RETRANS);
			send_synack(lc, e);
		}
	}
	for (uint32_t lv = 0; lv < TCP_HALF_LEVELS; lv++) {
		if (tl->half_fifo[lv].head != TCP_NONE)
			next = tick_first(next, tick_add(lc->now, 1000));
	}
	return next;
}
