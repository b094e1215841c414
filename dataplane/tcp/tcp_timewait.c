// SPDX-License-Identifier: BSD-3-Clause
/*
 * TIME_WAIT as compact entries: who it was, the numbers, and when it ends.
 *
 * Runs on: the worker that owned the connection. The timeout is one constant, so the entries wait
 * in a FIFO; a full table forgets the oldest.
 * Follows: RFC 9293 3.10.7.4 (TIME-WAIT) and 3.6.1 with RFC 6191 (a new SYN may reuse the tuple),
 * RFC 1337 (an RST does not end TIME_WAIT).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

void
tcp_timewait_del(struct lcore *lc, uint32_t idx)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_tw *w = pool_at(&tl->tws, idx);

	TCP_FIFO_DEL(tl, tws, struct tcp_tw, &tl->tw_fifo, idx);
	tcp_table_del(
		&tl->table, tcp_key_hash(&tl->table, &w->key), (struct tcp_ref){ idx, TK_TW });
	pool_free(&tl->tws, w);
}

static void
queue(struct lcore *lc, uint32_t idx)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_tw *w = pool_at(&tl->tws, idx);

	w->deadline = tick_add(lc->now, tl->conf.timewait_ms);
	TCP_FIFO_ADD(tl, tws, struct tcp_tw, &tl->tw_fifo, idx);
	tcp_aging_arm(lc, w->deadline);
}

static void
send_ack(struct lcore *lc, const struct tcp_tw *w)
{
	struct tcp_bare b = {
		.key = &w->key,
		.seq = w->snd_nxt,
		.ack = w->rcv_nxt,
		.tsval = tcp_ts_now(lc),
		.tsecr = w->ts_recent,
		.port = w->port,
		.flags = RTE_TCP_ACK_FLAG,
		.opts = w->ts ? TCP_OPT_TS : 0,
	};

	stat_inc(lc, STAT_TCP_PURE_ACK);
	(void)tcp_send_bare(lc, &b);
}

void
tcp_timewait_enter(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_tw *w = pool_new(&tl->tws);
	struct tcp_ref old = { pool_index(&tl->conns, tc), TK_CONN };
	uint32_t idx;

	stat_inc(lc, STAT_TCP_TIMEWAIT);
	tc->state = TCP_TIME_WAIT;
	if (w == NULL && tl->tw_fifo.head != TCP_NONE) {
		tcp_timewait_del(lc, tl->tw_fifo.head);
		w = pool_new(&tl->tws);
	}
	if (w == NULL) { // only by a test's refusal: the tuple is free at once
		tcp_conn_done(lc, tc);
		return;
	}
	idx = pool_index(&tl->tws, w);
	w->key = tc->key;
	w->snd_nxt = tc->snd_nxt;
	w->rcv_nxt = tc->rcv_nxt;
	w->ts = tc->flags & TF_TS;
	w->ts_recent = tc->ts_recent;
	w->port = tc->port;
	tcp_table_replace(&tl->table, tcp_key_hash(&tl->table, &tc->key), old,
		(struct tcp_ref){ idx, TK_TW });
	tc->flags &= ~TF_HASHED;
	counter_dec(&lc->gauge_conns);
	queue(lc, idx);
	if (tc->flags & TF_ACK_NOW)
		send_ack(lc, w); // of the peer's FIN
	tcp_conn_done(lc, tc);
}

void
tcp_timewait_input(struct lcore *lc, struct rte_mbuf *m, const struct tcp_seg *s, uint32_t idx)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_tw *w = pool_at(&tl->tws, idx);

	if (s->flags & RTE_TCP_RST_FLAG) {
		pkt_drop(lc, m, DROP_TCP_BAD_RST); // RFC 1337 3 (F1)
		return;
	}
	if ((s->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG) {
		bool ts = w->ts && (s->opts & TCP_OPT_TS);
		int32_t newer = ts ? (int32_t)(s->tsval - w->ts_recent) : 0;
		// RFC 6191 2: a newer timestamp; the sequence number decides where that says nothing, for
		// it is equal or missing. An older one is of an old SYN, whatever its number. Where nobody
		// would take it, it is a stray or forged one, and the old tuple stays guarded.
		if ((newer > 0 || (newer == 0 && seq_gt(s->seq, w->rcv_nxt))) &&
			tcp_find_listener(lc, &s->key) >= 0) {
			uint32_t iss = w->snd_nxt + 65536;
			tcp_timewait_del(lc, idx);
			tcp_syn_input(lc, m, s, &iss);
			return;
		}
		send_ack(lc, w);
		pkt_drop(lc, m, DROP_TCP_TIMEWAIT);
		return;
	}
	// the peer's FIN again: our acknowledgement was lost, 2 MSL begin anew
	if ((s->flags & RTE_TCP_FIN_FLAG) && seg_end(s) == w->rcv_nxt) {
		TCP_FIFO_DEL(tl, tws, struct tcp_tw, &tl->tw_fifo, idx);
		queue(lc, idx);
		send_ack(lc, w);
	} else if (s->len > 0) {
		send_ack(lc, w);
	} else if (s->seq != w->rcv_nxt && !tcp_spare_ack(lc, w->was_answered, &w->answered)) {
		w->was_answered = true;
		send_ack(lc, w);
	}
	pkt_drop(lc, m, DROP_TCP_TIMEWAIT);
}

sl_tick
tcp_timewait_age(struct lcore *lc, uint32_t budget)
{
	struct tcp_lcore *tl = lc->tcp;

	while (tl->tw_fifo.head != TCP_NONE) {
		const struct tcp_tw *w = pool_at(&tl->tws, tl->tw_fifo.head);

		if (!tick_is_expired(w->deadline, lc->now))
			return w->deadline;
		if (budget-- == 0)
			return tick_add(lc->now, 1);
		tcp_timewait_del(lc, tl->tw_fifo.head);
	}
	return TICK_NONE;
}
