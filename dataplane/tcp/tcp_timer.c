// SPDX-License-Identifier: BSD-3-Clause
/*
 * Timers: one wheel node per connection for two dates, and one per worker for aging entries.
 *
 * Runs on: the worker, from wheel_advance(). The node stands at the earlier of rtx_at (whose meaning
 * is tmode: retransmission, zero-window probe, FIN-WAIT-2, keepalive) and delack_at, or before it: dates move
 * later by a plain store. Invariant: while anything is outstanding the node is armed.
 * Follows: RFC 6298 5, RFC 9293 3.8.6.1 (probes), RFC 1122 4.2.3.5 (giving up).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define AGE_BUDGET 256u
#define ORPHAN_QUIET_MS 60000u // about what eight tries take on a path of the usual length
#define PMTU_FIRST (1280 - 60 - TCP_OPT_TS_LEN) // RFC 8200 5
#define PMTU_LAST  (TCP_MSS_DEFAULT4 - TCP_OPT_TS_LEN)

static void
arm(struct lcore *lc, struct tcp_conn *tc)
{
	sl_tick at = tc->delack_at;

	if (tc->tmode != TM_NONE)
		at = tick_first(at, tc->rtx_at);
	if (at != TICK_NONE)
		wheel_arm(&lc->wheel, &tc->timer, at);
}

static uint32_t
retry_limit(const struct lcore *lc, const struct tcp_conn *tc)
{
	const struct tcp_lcore *tl = lc->tcp;

	if (tc->state == TCP_SYN_SENT || tc->state == TCP_SYN_RECEIVED)
		return tl->conf.syn_retries;
	if (tc->flags & TF_ORPHAN)
		// what nobody owns any more gets half as many tries, and pays before others when half of
		// the budget is held
		return lc->retained > lc->retain_max / 2 ? sl_min(tl->conf.data_retries, 3u)
							 : (tl->conf.data_retries + 1) / 2;
	return tl->conf.data_retries;
}

/*
 * Full segments time out again and again, and no router says why: perhaps the path is narrower than we
 * think (RFC 4821 calls it a black hole). What every IPv6 link carries is tried from the second
 * timeout on, for IPv4 what RFC 9293 3.7.1 falls back to from the fourth.
 */
static void
black_hole(struct lcore *lc, struct tcp_conn *tc)
{
	uint32_t size = PMTU_FIRST;

	if (tc->retries >= 4 && tcp_key_is_v4(&tc->key))
		size = PMTU_LAST;
	if (tc->retries < 2 || tc->sndq == NULL || tc->mss <= size ||
		pkt_of(tc->sndq)->pay_len <= size)
		return;
	tcp_pmtu_reduce(lc, tc, (uint16_t)size);
	stat_inc(lc, STAT_TCP_BLACK_HOLE);
}

/* RFC 6298 5.4-5.6 */
static void
on_rto(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_lcore *tl = lc->tcp;
	struct tcp_rec *r = tcp_rec(tl, tc);

	// eight tries may take long where round trips did
	if (++tc->retries > retry_limit(lc, tc) ||
		((tc->flags & TF_ORPHAN) && tcp_quiet_ms(tc, lc->now) > ORPHAN_QUIET_MS)) {
		tcp_conn_end(lc, tc, ETIMEDOUT);
		return;
	}
	stat_inc(lc, STAT_TCP_RTO);
	if (tc->backoff < 16)
		tc->backoff++;
	if (tc->state == TCP_SYN_SENT || tc->state == TCP_SYN_RECEIVED) {
		tc->flags |= TF_SYN_DUE;
	} else {
		tc->flags &= ~TF_RECOVERY;
		tc->flags |= TF_LOSS | TF_RTX_FORCE;
		tc->recover = tc->snd_nxt;
		tc->dupacks = 0;
		black_hole(lc, tc);
		tcp_cc_algos[tc->cc]->rto(lc, tc, tc->retries == 1);
		if (r != NULL) {
			r->tlp = false;
			r->undo_cwnd = 0;
		}
		// RFC 8985 6.3: what may still be on its way is not lost yet; but a head that was
		// reported and yet not acknowledged means that reports are worth nothing
		if (r != NULL && tc->retries == 1 && (tc->flags & TF_SACK) && tc->sndq != NULL &&
			tc->sndq != tc->sndq_next && !(pkt_of(tc->sndq)->tx_flags & TXF_SACKED))
			tcp_rack_rto(lc, tc, r);
		else
			tcp_mark_all_lost(tc);
		if ((tc->flags & TF_FIN_SENT) && tc->sndq == NULL) {
			stat_inc(lc, STAT_TCP_RETRANS);
			(void)tcp_send_ctl(
				lc, tc, tc->snd_end, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG);
		}
	}
	tc->rtx_at = tick_add(lc->now, tcp_rto_ms(tl, tc));
	tcp_touch(tl, tc);
}

static void
on_persist(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_lcore *tl = lc->tcp;

	// dupacks counts probes without an answer; a peer that answers may keep us waiting, but
	// not a connection that nobody owns any more
	if (++tc->dupacks > retry_limit(lc, tc) ||
		((tc->flags & TF_ORPHAN) && ++tc->retries > retry_limit(lc, tc))) {
		tcp_conn_end(lc, tc, ETIMEDOUT);
		return;
	}
	if (tc->snd_wnd > 0) {
		// the override of RFC 9293 3.8.6.2.1: send what fits
		tc->flags |= TF_WND_FORCE;
		tcp_touch(tl, tc);
	} else {
		// one number before the window: the peer must answer with its window
		stat_inc(lc, STAT_TCP_PROBES);
		(void)tcp_send_ctl(lc, tc, tc->snd_una - 1, RTE_TCP_ACK_FLAG);
	}
	if (tc->backoff < 16)
		tc->backoff++;
	tc->rtx_at = tick_add(lc->now, tcp_rto_ms(tl, tc));
}

/*
 * RFC 1122 4.2.3.6: the peer was silent for so long that it is asked. One unanswered probe is no
 * reason to give up. Any valid segment resets dupacks (tcp_ack.c).
 */
static void
on_keep(struct lcore *lc, struct tcp_conn *tc)
{
	const struct tcp_keepalive *k = &lc->tcp->keep[tc->keep];
	uint32_t quiet = tcp_quiet_ms(tc, lc->now);

	if (tc->dupacks == 0) {
		// nothing was sent for long, whoever spoke: RFC 5681 4.1
		tcp_cc_algos[tc->cc]->idle(lc, tc);
		if (quiet < k->idle_ms) {
			tc->rtx_at = tick_add(lc->now, k->idle_ms - quiet);
			return;
		}
	} else if (tc->dupacks >= k->count) {
		stat_inc(lc, STAT_TCP_KEEP_DEAD);
		if (tcp_send_ctl(lc, tc, tc->snd_nxt, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG) == 0)
			stat_inc(lc, STAT_TCP_RST_OUT);
		tcp_conn_end(lc, tc, ETIMEDOUT);
		return;
	}
	tc->dupacks++;
	stat_inc(lc, STAT_TCP_KEEP_PROBES);
	(void)tcp_send_ctl(lc, tc, tc->snd_una - 1, RTE_TCP_ACK_FLAG);
	tc->rtx_at = tick_add(lc->now, k->intvl_ms);
}

static void
on_timer(void *ctx, struct wheel_timer *t)
{
	struct lcore *lc = ctx;
	struct tcp_conn *tc = sl_container_of(t, struct tcp_conn, timer);

	if (tick_is_expired(tc->delack_at, lc->now)) {
		tc->delack_at = TICK_NONE;
		if (tc->last_ack != tc->rcv_nxt && tc->state >= TCP_ESTABLISHED)
			tc->flags |= TF_ACK_NOW;
		tcp_touch(lc->tcp, tc);
	}
	if (tc->tmode != TM_NONE && tick_is_expired(tc->rtx_at, lc->now)) {
		if (tc->flags & TF_REO)
			tcp_reo_timeout(lc, tc);
		else if (tc->flags & TF_TLP)
			tcp_tlp_fire(lc, tc);
		else if (tc->tmode == TM_RTX)
			on_rto(lc, tc);
		else if (tc->tmode == TM_PERSIST)
			on_persist(lc, tc);
		else if (tc->tmode == TM_KEEP)
			on_keep(lc, tc);
		else
			tcp_conn_end(lc, tc, 0); // nobody waits for the peer's FIN
	}
	if (tc->state != TCP_CLOSED && tc->state != TCP_TIME_WAIT)
		arm(lc, tc);
}

void
tcp_timer_init(struct tcp_conn *tc)
{
	wheel_timer_init(&tc->timer, on_timer);
}

/* Retransmission, or the probe that comes before it. */
static inline void
arm_rtx(struct lcore *lc, struct tcp_conn *tc, uint8_t mode)
{
	uint32_t ms = tcp_rto_ms(lc->tcp, tc), probe = 0;

	if (mode == TM_RTX)
		probe = tcp_tlp_ms(lc->tcp, tc, ms);
	if (unlikely(probe != 0)) {
		tc->flags |= TF_TLP;
		ms = probe;
	}
	tc->rtx_at = tick_add(lc->now, ms);
}

/* Of modes beyond TM_RTX, or towards one. */
static sl_apart void
update_rare(struct lcore *lc, struct tcp_conn *tc, bool restart)
{
	struct tcp_lcore *tl = lc->tcp;
	uint8_t mode = TM_NONE;

	if (tc->snd_una != tc->snd_nxt)
		mode = TM_RTX;
	else if (tc->flags & TF_BLOCKED)
		mode = TM_PERSIST;
	else if (tc->state == TCP_FIN_WAIT_2 && (tc->flags & TF_ORPHAN))
		mode = TM_FIN;
	else if (tc->keep != 0 && tc->state >= TCP_ESTABLISHED)
		mode = TM_KEEP;
	if (mode != tc->tmode) {
		if (mode == TM_PERSIST || tc->tmode == TM_PERSIST)
			tc->backoff = 0;
		if (mode > TM_RTX || tc->tmode > TM_RTX)
			tc->dupacks = 0;
		tc->tmode = mode;
		restart = true;
	}
	if (restart) {
		tc->flags &= ~(TF_REO | TF_TLP);
		if (mode == TM_NONE)
			tc->rtx_at = lc->now; // idle since
		else if (mode == TM_FIN)
			tc->rtx_at = tick_add(lc->now, tl->conf.fin_timeout_ms);
		else if (mode == TM_KEEP)
			tc->rtx_at = tick_add(lc->now, tl->keep[tc->keep].idle_ms);
		else
			arm_rtx(lc, tc, mode);
	}
	arm(lc, tc);
}

void
tcp_timer_update(struct lcore *lc, struct tcp_conn *tc, bool restart)
{
	uint8_t mode = tc->snd_una != tc->snd_nxt ? TM_RTX : TM_NONE;

	if (unlikely(tc->tmode > TM_RTX || tc->keep != 0 || tc->state != TCP_ESTABLISHED ||
		    (tc->flags & TF_BLOCKED))) {
		update_rare(lc, tc, restart);
		return;
	}
	if (restart || mode != tc->tmode) {
		tc->tmode = mode;
		tc->flags &= ~(TF_REO | TF_TLP);
		if (mode == TM_NONE)
			tc->rtx_at = lc->now; // idle since
		else
			arm_rtx(lc, tc, mode);
	}
	arm(lc, tc);
}

void
tcp_timer_delack(struct lcore *lc, struct tcp_conn *tc, uint32_t ms)
{
	sl_tick at = tick_add(lc->now, ms);

	if (tc->delack_at != TICK_NONE && !tick_is_before(at, tc->delack_at))
		return;
	tc->delack_at = at;
	arm(lc, tc);
}

/* ---- half-open and TIME_WAIT entries ---- */
static void
on_aging(void *ctx, struct wheel_timer *t sl_unused)
{
	struct lcore *lc = ctx;
	sl_tick next = tick_first(tcp_half_age(lc, AGE_BUDGET), tcp_timewait_age(lc, AGE_BUDGET));

	if (next != TICK_NONE)
		tcp_aging_arm(lc, next);
}

void
tcp_aging_init(struct lcore *lc)
{
	wheel_timer_init(&lc->tcp->aging, on_aging);
}

void
tcp_aging_arm(struct lcore *lc, sl_tick at)
{
	struct wheel_timer *t = &lc->tcp->aging;

	if (t->deadline == TICK_NONE || tick_is_before(at, t->deadline))
		wheel_arm(&lc->wheel, t, at);
}
