// SPDX-License-Identifier: BSD-3-Clause
/*
 * Turns: how much of main's time commands may take, so that a client that asks in a loop does not take
 * the CPU from traffic, nor main from checks and logs.
 *
 * Runs on: main. The runtime API has a credit of CPU time that grows with the clock, by
 * "tune.cli.cpu-share", up to what it gets in a second. As long as there is some, a command runs at once;
 * else its client waits in line, first come first served, and is not read meanwhile. Commands are charged
 * afterwards, with what their connections and answers took: a long one may use its time in
 * advance, up to a second's. Not charged: what workers do for a command, captures and "show events -w",
 * which go at the pace of their readers.
 */
#include "control/cli/cli_priv.h"

#include <time.h>

#define BURST_S 1.    // whose share may be used at once
#define REST_S 0.001 // libev's clock has milliseconds

static double
clock_s(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool
unlimited(const struct cli_turns *t)
{
	return t->share >= 100;
}

/* What the clock gave since the last look. */
static void
fill(struct cli_turns *t)
{
	double now = clock_s(CLOCK_MONOTONIC);

	t->credit = sl_min(t->credit + (now - t->filled) * t->share / 100., t->burst);
	t->filled = now;
}

static void
charge(struct cli_turns *t)
{
	double now = clock_s(CLOCK_THREAD_CPUTIME_ID);

	if (t->began > 0.)
		t->credit = sl_max(t->credit - (now - t->began), -t->burst);
	t->began = now;
}

void
cli_turn_begin(struct cli *c)
{
	if (!unlimited(&c->turns))
		charge(&c->turns);
}

void
cli_turn_end(struct cli *c)
{
	if (!unlimited(&c->turns))
		charge(&c->turns);
	c->turns.began = 0.;
}

static void
rest(struct cli *c)
{
	struct cli_turns *t = &c->turns;

	if (ev_is_active(&t->timer))
		return;
	ev_timer_set(&t->timer, sl_max(-t->credit * 100. / t->share, REST_S), 0.);
	ev_timer_start(c->s.ev, &t->timer);
}

bool
cli_turn_take(struct cli_client *x)
{
	struct cli *c = x->cli;
	struct cli_turns *t = &c->turns;

	if (unlimited(t))
		return true;
	charge(t);
	fill(t);
	// who comes now stands behind those who wait
	if (t->credit > 0. && !ev_is_active(&t->timer))
		return true;
	sl_list_add_tail(&t->waiting, &x->turn);
	c->stats.waited++;
	rest(c);
	return false;
}

static void
on_timer(struct ev_loop *ev sl_unused, struct ev_timer *timer, int events sl_unused)
{
	struct cli *c = timer->data;
	struct cli_turns *t = &c->turns;

	cli_turn_begin(c);
	fill(t);
	while (!sl_list_is_empty(&t->waiting) && (t->credit > 0. || unlimited(t))) {
		struct cli_client *x = sl_list_first(&t->waiting, struct cli_client, turn);

		sl_list_del(&x->turn);
		cli_client_turn(x);
		charge(t);
	}
	cli_turn_end(c);
	if (!sl_list_is_empty(&t->waiting))
		rest(c);
}

void
cli_turns_set(struct cli *c, uint32_t share)
{
	struct cli_turns *t = &c->turns;

	t->share = share;
	t->burst = BURST_S * t->share / 100.;
	t->credit = sl_min(t->credit, t->burst);
}

void
cli_turns_init(struct cli *c, uint32_t share)
{
	struct cli_turns *t = &c->turns;

	sl_list_init(&t->waiting);
	ev_timer_init(&t->timer, on_timer, 0., 0.);
	t->timer.data = c;
	t->filled = clock_s(CLOCK_MONOTONIC);
	cli_turns_set(c, share);
	t->credit = t->burst;
}

void
cli_turns_fini(struct cli *c)
{
	ev_timer_stop(c->s.ev, &c->turns.timer);
}
