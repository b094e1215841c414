// SPDX-License-Identifier: BSD-3-Clause
/*
 * CUBIC.
 *
 * Runs on: the worker that owns the connection.
 * Follows: RFC 9438 with its constants (C = 0.4, beta = 0.7), fast convergence and the
 * Reno-friendly region; slow start with HyStart++ (tcp_hystart.c). Windows are bytes, times
 * milliseconds; the cube is computed in 64 bits. Time during which the window was not the limit does
 * not count (RFC 9438 5.8).
 * Without a tcp_rec the connection grows as NewReno, and still gives up 3/10 on a loss.
 */
#include "dataplane/tcp/tcp_priv.h"

#include "dataplane/base/hot.h"

#define T_MAX_MS 1000000 // of t - K; its cube fits

static uint32_t
beta(uint32_t w)
{
	return (uint32_t)((uint64_t)w * 7 / 10);
}

static uint32_t
cube_root(uint64_t v)
{
	uint64_t y = 0;

	for (int s = 63; s >= 0; s -= 3) {
		uint64_t b;
		y <<= 1;
		b = 3 * y * (y + 1) + 1;
		if ((v >> s) >= b) {
			v -= b << s;
			y++;
		}
	}
	return (uint32_t)y;
}

static void
cubic_init(struct lcore *lc, struct tcp_conn *tc)
{
	tcp_cc_newreno.init(lc, tc);
}

/* Congestion avoidance begins (4.2, and 4.8 after a timeout). */
static void
begin(const struct lcore *lc, const struct tcp_conn *tc, struct tcp_cubic *c)
{
	c->epoch = c->last = lc->now != TICK_NONE ? lc->now : 1;
	c->w_est = tc->cwnd;
	c->est_part = 0;
	if (c->w_max > tc->cwnd) {
		// K = cbrt((W_max - cwnd) / C) seconds, of segments
		c->k_ms = cube_root((uint64_t)(c->w_max - tc->cwnd) * 2500000000ull / tc->mss);
	} else {
		c->w_max = tc->cwnd;
		c->k_ms = 0;
	}
}

/* W_cubic(t), bytes. */
static uint32_t
w_cubic(const struct tcp_conn *tc, const struct tcp_cubic *c, uint32_t t_ms)
{
	int64_t d = (int64_t)t_ms - c->k_ms, w;

	d = sl_max(d, (int64_t)-T_MAX_MS);
	d = sl_min(d, (int64_t)T_MAX_MS);
	// 0.4 segments per s^3: 4 mss d^3 / 10^10, in two steps so that it fits
	w = d * d * d / 1000000 * 4 * tc->mss / 10000;
	w = sl_max(w + c->w_max, (int64_t)tc->mss);
	return (uint32_t)sl_min(w, (int64_t)TCP_SSTHRESH_NONE);
}

/* 4.3: what Reno with the same beta would have. */
static void
reno_grow(const struct tcp_conn *tc, struct tcp_cubic *c, uint32_t bytes)
{
	// alpha = 3 (1 - beta) / (1 + beta) = 9/17, until the window is as before the loss
	uint64_t n = c->w_est >= c->prior ? 17 : 9;

	c->est_part += (uint32_t)sl_min((uint64_t)bytes * n / 17, (uint64_t)1 << 30);
	if (c->est_part >= c->w_est) {
		c->est_part -= c->w_est;
		c->w_est += tc->mss;
	}
}

static void
avoid(struct lcore *lc, struct tcp_conn *tc, struct tcp_rec *r, uint32_t bytes)
{
	struct tcp_cubic *c = &r->cu;
	uint32_t gap, t, w, target;

	if (c->epoch == TICK_NONE)
		begin(lc, tc, c);
	gap = lc->now - c->last;
	if (gap > tcp_rto_ms(lc->tcp, tc))
		c->epoch = tick_add(c->epoch, gap);
	c->last = lc->now;
	t = lc->now - c->epoch;
	reno_grow(tc, c, bytes);
	w = w_cubic(tc, c, t);
	if (w < c->w_est) {
		tc->cwnd = sl_max(tc->cwnd, c->w_est);
		return;
	}
	target = w_cubic(tc, c, t + (tc->srtt >> 3) / 1000);
	target = sl_max(target, tc->cwnd);
	target = sl_min(target, tc->cwnd + tc->cwnd / 2);
	// (target - cwnd) / cwnd for every byte; what is less than a byte waits
	uint64_t share = (uint64_t)(target - tc->cwnd) * bytes + r->part;
	tc->cwnd += (uint32_t)(share / tc->cwnd);
	r->part = (uint32_t)(share % tc->cwnd);
}

static void
cubic_acked(struct lcore *lc, struct tcp_conn *tc, uint32_t bytes)
{
	struct tcp_rec *r = tcp_rec_get(lc, tc);
	uint32_t most = 2 * lc->tcp->conf.snd_buf;

	if (r == NULL) {
		tcp_cc_newreno.acked(lc, tc, bytes);
		return;
	}
	if (tc->cwnd < tc->ssthresh)
		tc->cwnd += tcp_slow_start(lc, tc, bytes);
	else
		avoid(lc, tc, r, bytes);
	if (tc->cwnd > most)
		tc->cwnd = sl_max(most, 2u * tc->mss);
}

/* 4.6, 4.7 */
static void
reduce(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	tc->ssthresh = sl_max(beta(tcp_cc_flight(tc)), 2u * tc->mss);
	if (r == NULL)
		return;
	r->cu.w_saved = r->cu.w_max;
	r->cu.prior = tc->cwnd;
	// fast convergence: a flow that lost twice in a row gives way
	r->cu.w_max = tc->cwnd < r->cu.w_max ? (uint32_t)((uint64_t)tc->cwnd * 17 / 20) : tc->cwnd;
	r->cu.epoch = TICK_NONE;
	r->part = 0;
}

static void
cubic_loss(struct lcore *lc, struct tcp_conn *tc)
{
	reduce(lc, tc);
}

static void
cubic_undo(struct lcore *lc, struct tcp_conn *tc)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	r->cu.w_max = r->cu.w_saved;
	r->cu.epoch = TICK_NONE;
}

static void
cubic_recovered(struct lcore *lc, struct tcp_conn *tc)
{
	tcp_cc_newreno.recovered(lc, tc);
}

static void
cubic_rto(struct lcore *lc, struct tcp_conn *tc, bool first)
{
	struct tcp_rec *r = tcp_rec(lc->tcp, tc);

	if (first)
		reduce(lc, tc);
	tc->cwnd = tc->mss;
	if (r != NULL) {
		r->cu.w_max = 0; // 4.8: from where slow start ends, with K = 0
		r->cu.epoch = TICK_NONE;
	}
}

static void
cubic_idle(struct lcore *lc, struct tcp_conn *tc)
{
	tcp_cc_newreno.idle(lc, tc);
}

const struct tcp_cc tcp_cc_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.acked = cubic_acked,
	.delivered = tcp_hystart_delivered,
	.loss = cubic_loss,
	.undo = cubic_undo,
	.recovered = cubic_recovered,
	.rto = cubic_rto,
	.idle = cubic_idle,
};
