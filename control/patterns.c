// SPDX-License-Identifier: BSD-3-Clause
/*
 * Files of patterns that change: what rules ask for is done, and the lists that it replaced are freed.
 *
 * Runs on: main. Of every generation that lives: requests of an old one go on asking, and see what they
 * asked for in the files of their own generation.
 */
#include "dataplane/expr/patset.h"

#include "control/daemon.h"
#include "control/reload_priv.h"

uint32_t
patterns_serve(struct daemon *d)
{
	uint32_t n = 0;

	for (const struct gen *g = d->reload->gens; g != NULL; g = g->older) {
		if (g->m->pats == NULL)
			continue;
		n += pat_set_serve(g->m->pats, PAT_ASKS / 4);
		atomic_fetch_add_explicit(&d->pat_refused, pat_set_refused(g->m->pats),
			memory_order_relaxed);
	}
	return n;
}

static bool
is_live(const struct reload *r, const struct pat_set *s)
{
	for (const struct gen *g = r->gens; g != NULL; g = g->older) {
		if (g->m->pats == s)
			return true;
	}
	return false;
}

/* One set at a time waits for its grace; the one that did so last comes behind the others. */
void
patterns_free(struct daemon *d)
{
	struct reload *r = d->reload;
	const struct pat_set *last = r->pats;

	if (r->pats != NULL && is_live(r, r->pats)) {
		if (!epoch_passed(d->lc, d->nlc, r->pats_since) || !pat_set_release(r->pats))
			return; // not yet, or a script has the lock
	}
	r->pats = NULL;
	for (int again = 0; again < 2; again++) {
		for (const struct gen *g = r->gens; g != NULL && r->pats == NULL; g = g->older) {
			struct pat_set *s = g->m->pats;

			if (s != NULL && (s == last) == (again == 1) && pat_set_retire(s))
				r->pats = s;
		}
	}
	if (r->pats != NULL)
		epoch_snapshot(d->lc, d->nlc, r->pats_since);
}
