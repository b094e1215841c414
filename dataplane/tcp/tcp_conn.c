// SPDX-License-Identifier: BSD-3-Clause
/*
 * Life of TCBs and of the worker's TCP: attach, open, close, abort, and the end.
 *
 * Runs on: the worker that owns the connections (attach and detach: the main thread).
 * Follows: RFC 9293 3.10.1-3.10.6 for the user's calls, RFC 6528 for initial sequence numbers.
 * Not here: bytes (tcp_user.c), segments (tcp_in.c, tcp_out.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

static const char *const state_names[TCP_NR_STATES] = {
	"CLOSED",
	"SYN_SENT",
	"SYN_RECEIVED",
	"ESTABLISHED",
	"FIN_WAIT_1",
	"FIN_WAIT_2",
	"CLOSE_WAIT",
	"CLOSING",
	"LAST_ACK",
	"TIME_WAIT",
};

const char *
tcp_state_name(enum tcp_state s)
{
	return s < TCP_NR_STATES ? state_names[s] : "?";
}

void
tcp_conf_default(struct tcp_conf *c)
{
	*c = (struct tcp_conf){
		.max_conns = 16384,
		.max_half_open = 4096,
		.max_timewait = 16384,
		.rcv_buf = 2048 * 1024,
		.snd_buf = 4096 * 1024, // what arrived behind a hole stays here as well
		.cc = TCP_CC_CUBIC,
		.rto_min_ms = 200,   // as Linux: RFC 6298's second is for clocks of 500 ms
		.rto_max_ms = 60000, // RFC 6298 (2.5) wants at least 60 s
		.rto_init_ms = 1000,
		.delack_ms = 40, // RFC 9293 3.8.6.3 allows 500; 40 keeps request and response tight
		.syn_retries = 5,
		.data_retries = 15,
		.timewait_ms = 60000,
		.fin_timeout_ms = 60000,
		.port_first = 10240,
		.port_last = 65535,
		.keepalive = { 7200000, 75000, 9 }, // RFC 1122 4.2.3.6: two hours
		.cookies = TCP_COOKIES_AUTO,
		.sack = 1,
		.timestamps = 1,
		.wscale = 1,
	};
}

static int
pool_map(struct pool *p, uint32_t nr, uint32_t size)
{
	void *mem = lcore_map(pool_bytes(nr, size), -1);

	if (mem == NULL)
		return -ENOMEM;
	pool_init(p, mem, nr, size);
	return 0;
}

static void
pool_unmap(struct pool *p, uint32_t size)
{
	if (p->mem != NULL)
		lcore_unmap(p->mem, pool_bytes(p->nr, size));
	p->mem = NULL;
}

static void
conf_clamp(struct tcp_conf *c)
{
	c->max_conns = sl_max(c->max_conns, 4u);
	c->max_half_open = sl_max(c->max_half_open, 4u);
	c->max_timewait = sl_max(c->max_timewait, 4u);
	c->rcv_buf = sl_min(c->rcv_buf, 1u << 28);
	c->rcv_buf = sl_max(c->rcv_buf, 4096u);
	c->snd_buf = sl_min(c->snd_buf, 1u << 25) & ~1023u;
	c->snd_buf = sl_max(c->snd_buf, 4096u);
	c->data_retries = sl_min(c->data_retries, 200u);
	c->syn_retries = sl_min(c->syn_retries, 20u);
	c->keepalive.idle_ms = sl_max(c->keepalive.idle_ms, 1000u);
	c->keepalive.intvl_ms = sl_max(c->keepalive.intvl_ms, 1000u);
	c->keepalive.count = sl_max(c->keepalive.count, 1u);
	c->keepalive.count = sl_min(c->keepalive.count, 127u);
	if (c->port_first == 0)
		c->port_first = 1;
	if (c->port_last < c->port_first)
		c->port_last = c->port_first;
}

int
tcp_attach(struct lcore *lc, const struct tcp_conf *c, const uint64_t secret[2])
{
	struct tcp_lcore *tl = lcore_map(sizeof(*tl), -1);
	uint64_t key[2] = { hash_mix(secret[0] ^ 0x7461626c65ull), hash_mix(secret[1]) };

	if (tl == NULL)
		return -ENOMEM;
	lc->tcp = tl;
	tl->conf = *c;
	conf_clamp(&tl->conf);
	c = &tl->conf;
	memcpy(tl->secret, secret, sizeof(tl->secret));
	tl->ts_off = (uint32_t)hash_mix(secret[0] ^ (secret[1] + 1));
	tl->payload_mss = lc->ports != NULL && lc->ports->payload_mss != 0 ? lc->ports->payload_mss
									   : TCP_MSS_DEFAULT4;
	for (uint16_t i = 0; lc->ports != NULL && i < lc->ports->n; i++)
		tl->tso |= (lc->ports->port[i].offloads & PORT_O_TX_TSO) != 0;
	if (c->wscale) {
		while (tl->rcv_scale < TCP_WSCALE_MAX && (0xffffu << tl->rcv_scale) < c->rcv_buf)
			tl->rcv_scale++;
	} else {
		tl->conf.rcv_buf = sl_min(c->rcv_buf, 0xffffu);
	}
	tl->list_bytes = (2 * (size_t)c->max_conns + 64) * sizeof(uint32_t);
	tl->ev = lcore_map(2 * tl->list_bytes, -1);
	if (tl->ev == NULL || pool_map(&tl->conns, c->max_conns, sizeof(struct tcp_conn)) < 0 ||
		pool_map(&tl->recs, c->max_conns / 8 + 64, sizeof(struct tcp_rec)) < 0 ||
		pool_map(&tl->halfs, c->max_half_open, sizeof(struct tcp_half)) < 0 ||
		pool_map(&tl->tws, c->max_timewait, sizeof(struct tcp_tw)) < 0 ||
		tcp_table_init(lc, &tl->table, c->max_conns + c->max_half_open + c->max_timewait,
			key) < 0 ||
		tcp_port_init(lc) < 0) {
		tcp_detach(lc);
		return -ENOMEM;
	}
	tl->out = tl->ev + tl->list_bytes / sizeof(uint32_t);
	tl->keep[1] = c->keepalive;
	tl->nkeeps = 1;
	tcp_cookie_init(lc);
	tcp_listen_init(tl);
	tcp_aging_init(lc);
	return 0;
}

void
tcp_detach(struct lcore *lc)
{
	struct tcp_lcore *tl = lc->tcp;

	if (tl == NULL)
		return;
	for (uint32_t i = 0; tl->conns.mem != NULL && i < tl->conns.nr; i++) {
		struct tcp_conn *tc = conn_at(tl, i);
		if (!(tl->conns.gen[i] & 1))
			continue;
		tc->flags |= TF_ORPHAN;
		tcp_conn_end(lc, tc, ECONNABORTED);
	}
	if (tl->table.b != NULL)
		wheel_cancel(&lc->wheel, &tl->aging);
	tcp_port_fini(lc);
	tcp_table_fini(&tl->table);
	pool_unmap(&tl->conns, sizeof(struct tcp_conn));
	pool_unmap(&tl->recs, sizeof(struct tcp_rec));
	pool_unmap(&tl->halfs, sizeof(struct tcp_half));
	pool_unmap(&tl->tws, sizeof(struct tcp_tw));
	if (tl->ev != NULL)
		lcore_unmap(tl->ev, 2 * tl->list_bytes);
	lcore_unmap(tl, sizeof(*tl));
	lc->tcp = NULL;
}

bool
tcp_limit_ok(struct lcore *lc, struct tcp_limit *l, uint32_t per_s)
{
	if (lc->now_us >= l->until_us) {
		l->until_us = lc->now_us + 1000000;
		l->left = per_s / 2 + rand_below(&lc->rand, per_s); // a fixed count leaks
	}
	if (l->left == 0)
		return false;
	l->left--;
	return true;
}

void
tcp_isn(struct lcore *lc, const struct tcp_key *k, uint32_t *iss)
{
	// RFC 6528 3: ISN = M + F(tuple, secret); M ticks every 4 us
	*iss = (uint32_t)(lc->now_us / 4) + (uint32_t)hash_sip(lc->tcp->secret, k, sizeof(*k));
}

void
tcp_flow_load(const struct tcp_key *k, uint8_t port, struct net_flow *f)
{
	tcp_key_get(k, &f->laddr, &f->raddr);
	f->lport = k->lport;
	f->rport = k->rport;
	f->port = port;
	f->bare = false;
	f->neigh = NET_NEIGH_NONE;
	f->gen = 0;
	f->summed = 0;
	f->sum = 0;
}

struct tcp_conn *
tcp_conn_new(struct lcore *lc, const struct tcp_key *k, struct tcp_ref old)
{
	struct tcp_lcore *tl = lc->tcp;
	uint64_t hash = tcp_key_hash(&tl->table, k);
	struct tcp_conn *tc = pool_new(&tl->conns);
	struct tcp_ref ref = { .kind = TK_CONN };

	if (tc == NULL)
		return NULL;
	ref.idx = pool_index(&tl->conns, tc);
	if (old.idx != TCP_NONE) {
		tcp_table_replace(&tl->table, hash, old, ref);
	} else if (tcp_table_add(&tl->table, hash, ref) < 0) {
		pool_free(&tl->conns, tc);
		return NULL;
	}
	tc->key = *k;
	tc->flags = TF_HASHED;
	tc->neigh = NET_NEIGH_NONE;
	tc->cc = tl->conf.cc & 7;
	tc->rec = TCP_NONE;
	tc->snd_kb = (uint16_t)(tl->conf.snd_buf >> 10);
	tcp_timer_init(tc);
	counter_add(&lc->gauge_conns, 1);
	return tc;
}

void
tcp_conn_start(struct lcore *lc, struct tcp_conn *tc, uint16_t peer_mss)
{
	bool v4 = tcp_key_is_v4(&tc->key);
	uint32_t mtu = lc->ports->port[tc->port].mtu, most;

	if (peer_mss == 0) // no option: RFC 9293 3.7.1
		peer_mss = v4 ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
	most = mtu - (v4 ? 40 : 60);
	most = sl_min(most, (uint32_t)peer_mss);
	if (tc->flags & TF_TS)
		most -= sl_min(most, (uint32_t)TCP_OPT_TS_LEN);
	tc->mss = (uint16_t)sl_max(most, (uint32_t)TCP_MSS_MIN);
	tc->rcv_mss = TCP_MSS_DEFAULT4;
	tc->rtx_at = lc->now; // idle since
	tc->rcv_at = (lc->now >> 8) & 0xffffffu;
	tc->recover = tc->snd_una;
	if (!(tc->flags & TF_WSCALE))
		tc->snd_scale = tc->rcv_scale = 0;
	tcp_cc_algos[tc->cc]->init(lc, tc);
	// RFC 6298 5.7: the SYN was lost, nothing was measured: the RTO begins with 3 s
	if (tc->retries > 0 && tc->srtt == 0)
		tc->flags |= TF_SYN_LOST;
	tc->backoff = 0;
	tc->retries = 0;
}

void
tcp_sndq_free(struct lcore *lc, struct tcp_conn *tc)
{
	struct rte_mbuf *m = tc->sndq;

	while (m != NULL) {
		struct rte_mbuf *next = pkt_of(m)->next;
		rte_pktmbuf_free_seg(m);
		lc->retained -= CHAIN_TRUESIZE;
		m = next;
	}
	tc->sndq = tc->sndq_tail = tc->sndq_next = NULL;
	tc->sndq_segs = 0;
	tc->sacked = tc->lost = 0;
}

static void
rxq_free(struct lcore *lc, struct tcp_conn *tc)
{
	lc->retained -= chain_truesize(&tc->rxq);
	chain_free(lc, &tc->rxq);
}

/* Out of the table, no timers, no queues but the received bytes. */
static void
detach(struct lcore *lc, struct tcp_conn *tc, enum tcp_state s)
{
	struct tcp_lcore *tl = lc->tcp;

	if (tc->flags & TF_HASHED) {
		struct tcp_ref ref = { pool_index(&tl->conns, tc), TK_CONN };
		tcp_table_del(&tl->table, tcp_key_hash(&tl->table, &tc->key), ref);
		tc->flags &= ~TF_HASHED;
		counter_dec(&lc->gauge_conns);
	}
	tcp_rec_put(lc, tc);
	if (tl->dup_of == tc)
		tl->dup_of = NULL;
	wheel_cancel(&lc->wheel, &tc->timer);
	tc->tmode = TM_NONE;
	tc->delack_at = TICK_NONE;
	tc->flags &= ~(TF_ACK_NOW | TF_SYN_DUE);
	tcp_sndq_free(lc, tc);
	tcp_ooo_free(lc, tc);
	tc->state = s;
}

void
tcp_conn_release(struct lcore *lc, struct tcp_conn *tc)
{
	rxq_free(lc, tc);
	tc->flags |= TF_DEAD;
	tcp_touch(lc->tcp, tc);
}

void
tcp_conn_end(struct lcore *lc, struct tcp_conn *tc, int err)
{
	detach(lc, tc, TCP_CLOSED);
	tc->err = (uint8_t)err;
	if (tc->flags & TF_ORPHAN)
		tcp_conn_release(lc, tc);
	else
		tcp_raise(lc->tcp, tc, TCP_EV_CLOSED);
}

void
tcp_conn_done(struct lcore *lc, struct tcp_conn *tc)
{
	detach(lc, tc, tc->state == TCP_TIME_WAIT ? TCP_TIME_WAIT : TCP_CLOSED);
	if (tc->flags & TF_ORPHAN)
		tcp_conn_release(lc, tc);
	else if (chain_is_empty(&tc->rxq))
		tcp_raise(lc->tcp, tc, TCP_EV_CLOSED);
	else
		tc->flags |= TF_DONE;
}

int
tcp_connect(struct lcore *lc, const struct ip_port *raddr, const struct ip_port *laddr,
	const struct tcp_handler *h, void *user, struct tcp_conn **out)
{
	struct tcp_lcore *tl = lc->tcp;
	struct net_flow f = { .neigh = NET_NEIGH_NONE };
	struct tcp_key k;
	struct tcp_conn *tc;
	int rc;

	f.raddr = raddr->ip;
	f.rport = raddr->port;
	if (laddr != NULL)
		f.laddr = laddr->ip;
	rc = net_route(lc, &f);
	if (rc < 0)
		return rc;
	tcp_key_set(&k, &f.laddr, laddr != NULL ? laddr->port : 0, &f.raddr, raddr->port);
	if (k.lport == 0) {
		rc = tcp_port_pick(lc, f.port, &k);
		if (rc < 0)
			return rc;
	} else {
		struct tcp_ref r = tcp_lookup(tl, &k, tcp_key_hash(&tl->table, &k));
		if (r.idx != TCP_NONE)
			return -EADDRNOTAVAIL;
	}
	tc = tcp_conn_new(lc, &k, (struct tcp_ref){ .idx = TCP_NONE });
	if (tc == NULL)
		return -ENOMEM;
	tc->port = f.port;
	tc->h = h;
	tc->user = user;
	tc->state = TCP_SYN_SENT;
	tcp_isn(lc, &k, &tc->snd_una);
	tc->snd_nxt = tc->snd_end = tc->snd_una + 1;
	tc->rcv_scale = tl->rcv_scale & 15;
	tc->mss = TCP_MSS_DEFAULT4;
	tc->cwnd = tc->mss;
	tc->flags |= TF_SYN_DUE | (tl->conf.timestamps ? TF_TS : 0) |
		(tl->conf.sack ? TF_SACK : 0) | (tl->conf.wscale ? TF_WSCALE : 0);
	tcp_timer_update(lc, tc, true);
	tcp_touch(tl, tc);
	stat_inc(lc, STAT_TCP_CONNECTS);
	*out = tc;
	return 0;
}

int
tcp_shutdown(struct lcore *lc, struct tcp_conn *tc)
{
	if (tc->flags & TF_FIN_QUEUED)
		return 0;
	switch ((enum tcp_state)tc->state) {
	case TCP_ESTABLISHED:
		tc->state = TCP_FIN_WAIT_1;
		break;
	case TCP_CLOSE_WAIT:
		tc->state = TCP_LAST_ACK;
		break;
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED:
		break; // the state moves on when the handshake is over
	default:
		return -EPIPE;
	}
	tc->flags |= TF_FIN_QUEUED;
	tcp_touch(lc->tcp, tc);
	return 0;
}

void
tcp_close(struct lcore *lc, struct tcp_conn *tc)
{
	if (tc->flags & (TF_ORPHAN | TF_DEAD))
		return;
	tc->flags |= TF_ORPHAN;
	rxq_free(lc, tc); // a loss that RFC 9293 3.10.4 tells by RST; docs/tcp.md says why it is not
	tcp_ooo_free(lc, tc); // nobody will read what the hole keeps back
	switch ((enum tcp_state)tc->state) {
	case TCP_CLOSED:
	case TCP_TIME_WAIT:
		tcp_conn_release(lc, tc);
		return;
	case TCP_SYN_SENT:
		tcp_conn_end(lc, tc, 0);
		return;
	default:
		tcp_shutdown(lc, tc);
		// an orphan does not wait for ever for the peer's FIN
		if (tc->state == TCP_FIN_WAIT_2)
			tcp_timer_update(lc, tc, true);
		tcp_touch(lc->tcp, tc);
		return;
	}
}

void
tcp_abort(struct lcore *lc, struct tcp_conn *tc)
{
	if (tc->flags & (TF_ORPHAN | TF_DEAD))
		return;
	tc->flags |= TF_ORPHAN;
	// RFC 9293 3.10.5: RST in all states where the peer may hold something
	if (tc->state != TCP_CLOSED && tc->state != TCP_TIME_WAIT && tc->state != TCP_SYN_SENT) {
		if (tcp_send_ctl(lc, tc, tc->snd_nxt, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG) == 0)
			stat_inc(lc, STAT_TCP_RST_OUT);
	}
	tcp_conn_end(lc, tc, ECONNABORTED);
}

void
tcp_set_user(struct tcp_conn *tc, const struct tcp_handler *h, void *user)
{
	tc->h = h;
	tc->user = user;
}

void
tcp_set_keepalive(struct lcore *lc, struct tcp_conn *tc, const struct tcp_keepalive *k)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_keepalive v = tl->conf.keepalive;
	uint32_t i = 1;

	if (tc->tmode == TM_KEEP) { // the date that stands is of the old setting
		tc->tmode = TM_NONE;
		tc->rtx_at = lc->now;
	}
	if (tc->state >= TCP_ESTABLISHED)
		tcp_touch(tl, tc);
	if (k == NULL) {
		tc->keep = 0;
		return;
	}
	if (k->idle_ms != 0)
		v.idle_ms = sl_max(k->idle_ms, 1000u);
	if (k->intvl_ms != 0)
		v.intvl_ms = sl_max(k->intvl_ms, 1000u);
	if (k->count != 0)
		v.count = sl_min(k->count, 127u);
	while (i <= tl->nkeeps && memcmp(&tl->keep[i], &v, sizeof(v)) != 0)
		i++;
	if (i == TCP_KEEPS) {
		i = 1; // the worker's own
	} else if (i > tl->nkeeps) {
		tl->keep[i] = v;
		tl->nkeeps = i;
	}
	tc->keep = i & (TCP_KEEPS - 1);
}

int
tcp_error(const struct tcp_conn *tc)
{
	return tc->err;
}

enum tcp_state
tcp_get_state(const struct tcp_conn *tc)
{
	return (enum tcp_state)tc->state;
}

void
tcp_get_addrs(const struct tcp_conn *tc, struct ip_port *local, struct ip_port *remote)
{
	tcp_key_get(&tc->key, &local->ip, &remote->ip);
	local->port = tc->key.lport;
	remote->port = tc->key.rport;
}

uint32_t
tcp_mss(const struct tcp_conn *tc)
{
	return tc->mss;
}

uint32_t
tcp_payload_unit(const struct lcore *lc)
{
	return lc->tcp->payload_mss;
}

void
tcp_get_info(const struct lcore *lc, struct tcp_info *out)
{
	const struct tcp_lcore *tl = lc->tcp;

	*out = (struct tcp_info){
		.conns = tl->conns.used,
		.half_open = tl->halfs.used,
		.timewait = tl->tws.used,
		.listeners = tl->nlisteners,
		.retained = lc->retained,
	};
}
