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
	st->rates = rates_new(ev, s->lc, s->nlc, s->bal->nproxies, s->bal->nslots,
		s->bal->nbinds);
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
stats_set_model(struct stats *st, const struct model *m)
{
	st->s.model = m;
}

static void
forget(struct stats *st, enum stats_set set, uint32_t slot, bool is_new)
{
	if (!is_new)
		return;
	stats_unclear(set, slot);
	rates_forget(st->rates, set, slot);
}

void
stats_forget(struct stats *st, const struct model *m)
{
	for (uint32_t i = 0; i < m->nproxies; i++) {
		const struct proxy *p = m->proxies[i];

		forget(st, STATS_PROXY, p->slot, p->since == m->generation);
		forget(st, STATS_PROXY, p->be_slot, p->be_since == m->generation);
		for (uint32_t k = 0; k < p->nbinds; k++)
			forget(st, STATS_LISTENER, p->binds[k].slot,
				p->binds[k].since == m->generation);
		for (uint32_t k = 0; k < p->nservers; k++)
			forget(st, STATS_SERVER, p->servers[k].slot,
				p->servers[k].since == m->generation);
	}
}

void
stats_set_stopping(struct stats *st)
{
	st->stopping = true;
}
