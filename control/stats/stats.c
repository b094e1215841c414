// SPDX-License-Identifier: BSD-3-Clause
/*
 * What main keeps for statistics: when it started, the sampler of rates, and whom to ask.
 *
 * Runs on: main.
 */
#include "control/stats/table.h"

#include <stdlib.h>
#include <time.h>

struct stats {
	struct stats_spec s;
	const struct checks *checks;
	struct rates *rates;
	uint64_t start;
	bool stopping;
};

struct stats *
stats_new(struct ev_loop *ev, const struct stats_spec *s, const struct checks *checks)
{
	struct stats *st = calloc(1, sizeof(*st));

	if (st == NULL)
		return NULL;
	st->s = *s;
	st->checks = checks;
	st->start = (uint64_t)time(NULL);
	st->rates = rates_new(ev, s->lc, s->nlc, s->model->npx_counters, s->model->nservers,
		s->model->nbinds);
	if (st->rates == NULL) {
		free(st);
		return NULL;
	}
	return st;
}

void
stats_free(struct stats *st)
{
	if (st == NULL)
		return;
	rates_free(st->rates);
	free(st);
}

void
stats_source(const struct stats *st, struct stats_src *out)
{
	uint32_t set = atomic_load_explicit(&st->s.bal->maxconn, memory_order_relaxed);

	*out = (struct stats_src){ .lc = st->s.lc,
		.nlc = st->s.nlc,
		.model = st->s.model,
		.bal = st->s.bal,
		.checks = st->checks,
		.rates = st->rates,
		.log = st->s.log,
		.start = st->start,
		.maxconn = set != UINT32_MAX ? set : st->s.model->global.maxconn,
		.stopping = st->stopping };
}

struct rates *
stats_rates(struct stats *st)
{
	return st->rates;
}

void
stats_set_stopping(struct stats *st)
{
	st->stopping = true;
}
