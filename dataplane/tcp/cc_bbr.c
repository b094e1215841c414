// SPDX-License-Identifier: BSD-3-Clause
/*
 * BBR: the rate that the path delivered and its least round trip say how fast to send and how much
 * may be on its way; a loss alone says nothing.
 *
 * Runs on: the worker that owns the connection.
 * Follows: draft-cardwell-iccrg-bbr-congestion-control-00 (version 1, as kernels have it), with
 * delivery rates and pacing of tcp_pace.c. Windows are bytes, rates bytes a second.
 * On a loss: a round of sending just what arrives, then the old window again; losses that go on from
 * one recovery into the next are one. Such a round does not count as one in which the rate did not
 * grow (the draft has it count): what held back was we. Not here: long-term
 * rates for policers, compensation for ACKs that come in heaps beyond the window's factor of two.
 * Without a tcp_rec the connection goes on with NewReno.
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

enum { STARTUP, DRAIN, PROBE_BW, PROBE_RTT };

#define GAIN          256u // unit of gains
#define HIGH_GAIN     739u // 2 / ln 2: the window doubles every round trip
#define DRAIN_GAIN    88u  // its inverse
#define BW_ROUNDS     10u
#define MIN_RTT_MS    10000u
#define PROBE_RTT_MS  200u
#define MIN_SEGS      4u
#define FULL_ROUNDS   3
#define PHASES        8

static const uint16_t phase_gain[PHASES] = { 320, 192, 256, 256, 256, 256, 256, 256 };

/* ---- the greatest rate of the last rounds: three candidates, each better than the next ---- */
static void
bw_set(struct tcp_bbr *b, uint32_t from, uint32_t bw)
{
	for (uint32_t i = from; i < 3; i++) {
		b->bw[i] = bw;
		b->bw_round[i] = b->rounds;
	}
}

static void
bw_update(struct tcp_bbr *b, uint32_t bw)
{
	uint32_t age = b->rounds - b->bw_round[0];

	if (bw >= b->bw[0] || b->rounds - b->bw_round[2] > BW_ROUNDS) {
		bw_set(b, 0, bw);
		return;
	}
	if (bw >= b->bw[1])
		bw_set(b, 1, bw);
	else if (bw >= b->bw[2])
		bw_set(b, 2, bw);
	if (age > BW_ROUNDS) { // the best one is too old: the next ones move up
		for (uint32_t i = 0; i < 2; i++) {
			b->bw[i] = b->bw[i + 1];
			b->bw_round[i] = b->bw_round[i + 1];
		}
		bw_set(b, 2, bw);
	} else if (b->bw_round[1] == b->bw_round[0] && age > BW_ROUNDS / 4) {
		bw_set(b, 1, bw); // a quarter of the time has no candidate of its own yet
	} else if (b->bw_round[2] == b->bw_round[1] && age > BW_ROUNDS / 2) {
		bw_set(b, 2, bw);
	}
}

/* ---- what follows from the model ---- */
static uint32_t
bdp(const struct tcp_conn *tc, const struct tcp_bbr *b, uint32_t gain)
{
	uint64_t w;

	if (b->min_rtt == UINT32_MAX || b->bw[0] == 0)
		return sl_max(tc->cwnd, 10u * tc->mss);
	w = (uint64_t)b->bw[0] * b->min_rtt / 1000000 * gain / GAIN;
	return (uint32_t)sl_min(w, (uint64_t)TCP_SSTHRESH_NONE);
}

/* Three bursts more than the path holds: acknowledgements come in heaps. */
static uint32_t
target(const struct tcp_conn *tc, const struct tcp_rec *r, uint32_t gain)
{
	uint32_t burst = sl_max(r->pace_rate / 1000, 2u * tc->mss);

	return bdp(tc, &r->bbr, gain) + 3 * burst;
}

static uint32_t
pacing_gain(const struct tcp_bbr *b)
{
	switch (b->mode) {
	case STARTUP:
		return HIGH_GAIN;
	case DRAIN:
		return DRAIN_GAIN;
	case PROBE_BW:
		return phase_gain[b->phase];
	default:
		return GAIN;
	}
}

static uint32_t
window_gain(const struct tcp_bbr *b)
{
	if (b->mode == PROBE_BW)
		return 2 * GAIN;
	return b->mode == PROBE_RTT ? GAIN : HIGH_GAIN;
}

static void
set_pace(const struct tcp_conn *tc, struct tcp_rec *r)
{
	struct tcp_bbr *b = &r->bbr;
	uint32_t srtt = sl_max(tc->srtt >> 3, 1000u);
	uint64_t rate = b->bw[0] != 0 ? b->bw[0] : (uint64_t)tc->cwnd * 1000000 / srtt;

	// a hundredth less than was measured, so that no queue builds up
	rate = rate * pacing_gain(b) / GAIN * 99 / 100;
	rate = sl_max(rate, (uint64_t)tc->mss);
	rate = sl_min(rate, (uint64_t)UINT32_MAX);
	// rates that are measured before the pipe is full say nothing of the path
	if (b->full || rate > r->pace_rate)
		r->pace_rate = (uint32_t)rate;
}

/* ---- modes ---- */
static void
enter_probe_bw(struct lcore *lc, struct tcp_bbr *b)
{
	b->mode = PROBE_BW;
	// anywhere but in the phase that makes room for a queue that nobody built
	b->phase = (uint8_t)rand_below(&lc->rand, PHASES - 1);
	b->phase = b->phase == 0 ? 0 : (uint8_t)(b->phase + 1);
	b->phase_us = (uint32_t)lc->now_us;
	b->lossy = false;
}

static bool
phase_over(const struct lcore *lc, const struct tcp_conn *tc, const struct tcp_bbr *b)
{
	bool full_length = (uint32_t)lc->now_us - b->phase_us > b->min_rtt;
	uint32_t gain = phase_gain[b->phase], pipe = tcp_pipe(tc);

	if (gain > GAIN) // until the path was filled so far, or was seen to take no more
		return full_length && (b->lossy || pipe >= bdp(tc, b, gain));
	if (gain < GAIN)
		return full_length || pipe <= bdp(tc, b, GAIN);
	return full_length;
}

static void
step_mode(struct lcore *lc, struct tcp_conn *tc, struct tcp_bbr *b, bool round, bool app)
{
	bool held = b->held;

	if (round)
		b->held = false;
	// a round that sent no more than what arrived says nothing of what the path would take
	if (!b->full && round && !app && !held) {
		if (b->bw[0] >= b->full_bw + b->full_bw / 4) {
			b->full_bw = b->bw[0];
			b->full_rounds = 0;
		} else if (++b->full_rounds >= FULL_ROUNDS) {
			b->full = true;
		}
	}
	if (b->mode == PROBE_BW && phase_over(lc, tc, b)) {
		b->phase = (uint8_t)((b->phase + 1) % PHASES);
		b->phase_us = (uint32_t)lc->now_us;
		b->lossy = false;
	}
	if (b->mode == STARTUP && b->full)
		b->mode = DRAIN;
	if (b->mode == DRAIN && tcp_pipe(tc) <= bdp(tc, b, GAIN))
		enter_probe_bw(lc, b);
}

/* The window to which a recovery, or PROBE_RTT, will go back. */
static void
keep_window(const struct tcp_conn *tc, struct tcp_bbr *b, bool reduced)
{
	b->prior_cwnd = reduced ? sl_max(b->prior_cwnd, tc->cwnd) : tc->cwnd;
}

/* Every ten seconds, unless the round trip was seen as short meanwhile, the queue is left to empty. */
static void
step_min_rtt(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r, uint32_t rtt_us, bool round)
{
	struct tcp_bbr *b = &r->bbr;
	bool old = lc->now - b->min_rtt_at > MIN_RTT_MS;

	if (rtt_us != 0 && (rtt_us <= b->min_rtt || old)) {
		b->min_rtt = rtt_us;
		b->min_rtt_at = lc->now;
	}
	if (old && !b->idle && b->mode != PROBE_RTT) {
		keep_window(tc, b, tc->flags & (TF_RECOVERY | TF_LOSS));
		b->mode = PROBE_RTT;
		b->probing = false;
	}
	if (b->mode == PROBE_RTT) {
		r->rate.app = true;
		r->rate.app_until = r->rate.dlv + tcp_pipe(tc);
		if (!b->probing && tcp_pipe(tc) <= MIN_SEGS * tc->mss) {
			b->probing = true;
			b->probe_round = false;
			b->probe_until = tick_add(lc->now, PROBE_RTT_MS);
			b->round_end = r->rate.dlv;
		} else if (b->probing) {
			b->probe_round |= round;
			if (b->probe_round && tick_is_expired(b->probe_until, lc->now)) {
				b->min_rtt_at = lc->now;
				tc->cwnd = sl_max(tc->cwnd, b->prior_cwnd);
				b->mode = STARTUP;
				if (b->full)
					enter_probe_bw(lc, b);
			}
		}
	}
	b->idle = false;
}

static void
set_window(struct tcp_conn *tc, struct tcp_rec *r, uint32_t bytes)
{
	struct tcp_bbr *b = &r->bbr;
	uint32_t most;

	if (b->after_rto && !(tc->flags & TF_LOSS)) {
		b->after_rto = false;
		tc->cwnd = sl_max(tc->cwnd, b->prior_cwnd);
	}
	if (b->conserve && (tc->flags & TF_RECOVERY)) {
		uint32_t now = tcp_pipe(tc) + bytes;
		tc->cwnd = sl_max(tc->cwnd, now);
	} else {
		most = target(tc, r, window_gain(b));
		if (b->full)
			tc->cwnd = sl_min(tc->cwnd + bytes, most);
		else if (tc->cwnd < most || r->rate.dlv < 10u * tc->mss)
			tc->cwnd += bytes;
	}
	tc->cwnd = sl_max(tc->cwnd, MIN_SEGS * tc->mss);
	if (b->mode == PROBE_RTT)
		tc->cwnd = sl_min(tc->cwnd, MIN_SEGS * tc->mss);
}

/* ---- the vtable ---- */
static void
bbr_init(struct lcore *lc, struct tcp_conn *tc)
{
	tcp_cc_newreno.init(lc, tc);
}

static void
bbr_rec(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r)
{
	r->bbr = (struct tcp_bbr){ .min_rtt = r->min_rtt[0], .min_rtt_at = lc->now };
	tcp_pace_init(lc, tc, r);
	set_pace(tc, r);
}

static void
bbr_acked(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes)
{
	if (tcp_rec_get(lc, tc) == NULL)
		tcp_cc_newreno.acked(lc, tc, bytes);
}

static void
bbr_delivered(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes, uint32_t rtt_us)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);
	struct tcp_rate *q;
	struct tcp_bbr *b;
	bool round = false;

	if (r == NULL)
		return;
	b = &r->bbr;
	q = &r->rate;
	if (q->sample && (int32_t)(q->s_dlv - b->round_end) >= 0) {
		b->round_end = q->dlv;
		b->rounds++;
		b->conserve = false;
		round = true;
	}
	// what arrived faster than any round trip was acknowledged late: that is no rate
	if (q->sample && q->s_us > 0 && q->s_us >= b->min_rtt) {
		uint64_t bw = (uint64_t)(q->dlv - q->s_dlv) * 1000000 / q->s_us;
		bw = sl_min(bw, (uint64_t)UINT32_MAX);
		if (!q->s_app || bw >= b->bw[0])
			bw_update(b, (uint32_t)bw);
	}
	step_mode(lc, tc, b, round, q->s_app);
	step_min_rtt(lc, tc, r, rtt_us, round);
	q->sample = false;
	if (q->app && (int32_t)(q->dlv - q->app_until) > 0)
		q->app = false;
	set_pace(tc, r);
	set_window(tc, r, bytes);
}

static void
bbr_loss(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec_get(lc, tc);
	uint32_t pipe = tcp_pipe(tc);

	if (r == NULL) {
		tcp_cc_newreno.loss(lc, tc);
		return;
	}
	r->bbr.lossy = true;
	if (!(tc->flags & TF_RECOVERY)) // a probe has repaired it
		return;
	keep_window(tc, &r->bbr, (tc->flags & TF_LOSS) || r->bbr.mode == PROBE_RTT);
	// as Linux, whose Recovery does not end before nothing is lost any more
	if (r->bbr.healed != 0 && r->bbr.rounds + 1 - r->bbr.healed <= 1)
		return;
	r->bbr.conserve = r->bbr.held = r->bbr.reduced = true;
	r->bbr.round_end = r->rate.dlv;
	tc->cwnd = pipe + tc->mss;
	tc->cwnd = sl_max(tc->cwnd, MIN_SEGS * tc->mss);
}

static void
bbr_recovered(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	if (r == NULL) {
		tcp_cc_newreno.recovered(lc, tc);
		return;
	}
	r->bbr.conserve = r->bbr.reduced = false;
	r->bbr.healed = r->bbr.rounds + 1;
	tc->cwnd = sl_max(tc->cwnd, r->bbr.prior_cwnd);
}

static void
bbr_rto(struct lcore *lc, struct tcp_conn *tc, bool first)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	if (r == NULL) {
		tcp_cc_newreno.rto(lc, tc, first);
		return;
	}
	if (first)
		keep_window(tc, &r->bbr, r->bbr.reduced || r->bbr.after_rto || r->bbr.mode == PROBE_RTT);
	r->bbr.reduced = false;
	r->bbr.after_rto = true;
	r->bbr.lossy = true;
	r->bbr.full_bw = 0; // the path may be another one now
	r->bbr.full_rounds = 0;
	r->bbr.round_end = r->rate.dlv;
	tc->cwnd = tc->mss;
}

/* Nothing shrinks: what was idle goes on at the path's rate, not in one burst. */
static void
bbr_idle(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	if (r == NULL) {
		tcp_cc_newreno.idle(lc, tc);
		return;
	}
	r->bbr.idle = true;
	if (r->bbr.mode == PROBE_BW && r->bbr.bw[0] != 0)
		r->pace_rate = r->bbr.bw[0];
}

const struct tcp_cc tcp_cc_bbr = {
	.name = "bbr",
	.paced = true,
	.init = bbr_init,
	.rec = bbr_rec,
	.acked = bbr_acked,
	.delivered = bbr_delivered,
	.loss = bbr_loss,
	.recovered = bbr_recovered,
	.rto = bbr_rto,
	.idle = bbr_idle,
};
