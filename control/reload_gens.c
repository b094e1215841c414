// SPDX-License-Identifier: BSD-3-Clause
/*
 * Generations: the one that is served, and the old ones until nothing holds them.
 *
 * Runs on: main. An old generation is freed when nobody counts it any more (connections, streams, call
 * slots), every worker passed another quiescent point, its log records are written and its Lua states
 * closed.
 */
#include <stdlib.h>

#include "control/daemon.h"
#include "control/reload_priv.h"
#include "control/script/script.h"

#define END_AGAIN 1. // between two orders to end a generation

struct gen *
reload_gen_new(struct reload *r, struct model *m)
{
	struct gen *g = calloc(1, sizeof(*g));
	uint16_t place = 0;

	if (g == NULL)
		return NULL;
	while ((r->places >> place & 1) != 0)
		place++;
	r->places |= 1ull << place;
	m->place = place;
	g->m = m;
	g->older = r->gens;
	r->gens = g;
	return g;
}

static void
held(const struct daemon *d, const struct model *m, struct cli_generation *out)
{
	for (uint16_t w = 0; w < d->nlc; w++) {
		const struct lcore_gen *g = &d->lc[w]->gen[m->place];
		const struct logring *l = d->lc[w]->logring;
		uint32_t at, end;

		out->conns += counter_get(&g->conns);
		out->streams += counter_get(&g->streams);
		out->slots += counter_get(&g->slots);
		if (l == NULL)
			continue;
		at = atomic_load_explicit(
			(_Atomic(uint32_t) *)(uintptr_t)&l->head, memory_order_relaxed);
		end = atomic_load_explicit(
			(_Atomic(uint32_t) *)(uintptr_t)&l->tail, memory_order_acquire);
		for (; at != end; at++)
			out->records += logring_at(l, at)->generation == m->generation;
	}
}

static bool
is_held(const struct daemon *d, const struct model *m)
{
	struct cli_generation n = { 0 };

	held(d, m, &n);
	// a script thread that is stuck in C may still look at it when it comes back
	return n.conns + n.streams + n.slots > 0 || (m->lua != NULL && script_gen_is_held(m->lua));
}

static void
end_connections(struct reload *r, struct gen *g)
{
	struct xmsg m = { .w = { XMSG_GEN_END, g->m->place } };
	uint32_t after = g->m->global.hard_stop_ms;

	if (after == 0 || reload_now(r) - g->replaced < after / 1000. ||
		reload_now(r) - g->ended < END_AGAIN)
		return;
	if (g->ended == 0.)
		daemon_say(r->d, SL_WARNING,
			"generation %u: 'hard-stop-after' ends the connections that are left",
			g->m->generation);
	g->ended = reload_now(r);
	for (uint16_t w = 0; w < r->d->nlc; w++)
		io_message(r->d->io, w, &m);
}

static void
on_slot_gone(void *ctx, uint32_t slot)
{
	struct daemon *d = ctx;

	checks_forget(d->checks, slot);
}

/* True: it is no more. */
static bool
advance(struct reload *r, struct gen *g)
{
	struct daemon *d = r->d;

	switch (g->state) {
	case GEN_OLD:
		if (is_held(d, g->m)) {
			end_connections(r, g);
			return false;
		}
		epoch_snapshot(d->lc, d->nlc, g->since);
		g->state = GEN_GRACE;
		return false;
	case GEN_GRACE:
		if (!epoch_passed(d->lc, d->nlc, g->since))
			return false;
		if (is_held(d, g->m)) {
			g->state = GEN_OLD;
			return false;
		}
		log_collect(d->log, d->lc, d->nlc, reload_model, d);
		if (g->m->lua != NULL)
			script_retire(g->m->lua);
		g->state = GEN_CLOSING;
		return false;
	case GEN_CLOSING:
		return g->m->lua == NULL || script_gen_closed(g->m->lua);
	default:
		return false;
	}
}

void
reload_reap(struct reload *r)
{
	struct gen **at = &r->gens->older;

	// the first one is served, or about to be; the one before it may still be
	while (*at != NULL) {
		struct gen *g = *at;

		if (g->state == GEN_SERVED || !advance(r, g)) {
			at = &g->older;
			continue;
		}
		*at = g->older;
		slots_release(r->d->slots, g->m, on_slot_gone, r->d);
		log_forget(r->d->log, g->m->generation);
		r->places &= ~(1ull << g->m->place);
		daemon_say(r->d, SL_INFO, "generation %u has ended", g->m->generation);
		conf_free(g->m);
		free(g);
	}
}

/* ---- what others ask ---- */

const struct model *
reload_model(void *ctx, uint32_t generation)
{
	const struct daemon *d = ctx;

	for (const struct gen *g = d->reload->gens; g != NULL; g = g->older) {
		if (g->m->generation == generation)
			return g->m;
	}
	return NULL;
}

uint32_t
reload_generations(void *ctx, struct cli_generation *out, uint32_t max)
{
	static const char *const states[] = { [GEN_SERVED] = "served",
		[GEN_OLD] = "old",
		[GEN_GRACE] = "old",
		[GEN_CLOSING] = "closing" };
	const struct daemon *d = ctx;
	uint32_t n = 0;

	for (const struct gen *g = d->reload->gens; g != NULL && n < max; g = g->older) {
		if (d->reload->step == STEP_DRAIN && g == d->reload->gens)
			continue; // not served yet
		out[n] = (struct cli_generation){ .id = g->m->generation,
			.state = states[g->state],
			.age_s = (uint64_t)(reload_now(d->reload) - g->born) };
		held(d, g->m, &out[n]);
		n++;
	}
	return n;
}
