// SPDX-License-Identifier: BSD-3-Clause
/*
 * Pacing: segments leave at a rate and not in bursts, and what a rate is measured from.
 *
 * Runs on: the worker that owns the connection; only for congestion controls that ask for it (TF_PACED)
 * and connections that have a tcp_rec.
 * The wheel has ticks of a millisecond. So what falls due until the next tick goes now: bursts are two
 * milliseconds of the rate, or more where the worker itself came late.
 * Delivery rates follow draft-cheng-iccrg-delivery-rate-estimation: each segment remembers what had
 * arrived when it was sent; its acknowledgement tells how much has since, and in what time.
 * Not here: the rate (cc_bbr.c).
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define TICK_US 1000u
#define LATE_US 20000u // made up for, at most, or a round trip if that is more

bool
tcp_pace_wait(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	if (r == NULL || r->pace_rate == 0 || r->pace_us <= lc->now_us + TICK_US)
		return false;
	r->pace_held = true;
	return true;
}

void
tcp_pace_sent(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r, struct pkt *p)
{
	struct tcp_rate *q = &r->rate;
	uint32_t now = (uint32_t)lc->now_us, late;

	if (tcp_pipe(tc) == 0) // nothing was on its way: time begins here
		q->first_us = q->dlv_us = now;
	p->dlv = q->dlv;
	p->dlv_us = q->dlv_us;
	p->first_us = q->first_us;
	if (q->app)
		p->tx_flags |= TXF_APP;
	else
		p->tx_flags &= (uint8_t)~TXF_APP;
	if (r->pace_rate == 0)
		return;
	// Had it to wait, then only we can be late, and what we missed is not the path's rate: without
	// that a busy worker would measure less, send less, and so on.
	late = r->pace_waits ? sl_max(LATE_US, tc->srtt >> 3) : TICK_US;
	r->pace_us = sl_max(r->pace_us, lc->now_us - late);
	r->pace_us += (uint64_t)p->pay_len * 1000000 / r->pace_rate;
}

void
tcp_pace_arrived(struct lcore *lc, struct tcp_rec *r, const struct pkt *p)
{
	struct tcp_rate *q = &r->rate;

	q->dlv += p->pay_len;
	q->dlv_us = (uint32_t)lc->now_us;
	// of what one ACK reports the segment counts that was sent last
	if (q->sample && (int32_t)(p->dlv - q->s_dlv) < 0)
		return;
	q->sample = true;
	q->s_app = p->tx_flags & TXF_APP;
	q->s_dlv = p->dlv;
	q->s_us = q->dlv_us - p->dlv_us;
	q->first_us = (uint32_t)p->tx_us;
	q->s_us = sl_max(q->s_us, q->first_us - p->first_us);
}

/* Of what was on its way already nothing is known but when it was sent. */
void
tcp_pace_init(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r)
{
	r->rate = (struct tcp_rate){ .dlv_us = (uint32_t)lc->now_us };
	for (struct rte_mbuf *m = tc->sndq; m != NULL && m != tc->sndq_next; m = pkt_of(m)->next) {
		struct pkt *p = pkt_of(m);

		p->dlv = 0;
		p->dlv_us = p->first_us = r->rate.first_us = (uint32_t)p->tx_us;
	}
	tc->flags |= TF_PACED;
}

void
tcp_pace_end(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);
	uint32_t pipe = tcp_pipe(tc);

	if (r == NULL)
		return;
	r->pace_waits = r->pace_held;
	if (r->pace_held) {
		r->pace_held = false;
		if (r->pace_us > lc->now_us + TICK_US)
			tcp_timer_delack(lc, tc,
				(uint32_t)((r->pace_us - lc->now_us - 1) / TICK_US));
		else
			tcp_timer_delack(lc, tc, 1);
		return;
	}
	// neither window nor rate was the limit: what is measured now is the writer's rate
	if (tc->sndq_next == NULL && tc->lost == 0 && pipe < tc->cwnd) {
		r->rate.app = true;
		r->rate.app_until = r->rate.dlv + pipe;
	}
}
