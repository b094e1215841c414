// SPDX-License-Identifier: BSD-3-Clause
/*
 * Idle upstream connections: per worker and server, last in first out, so that the warm ones are
 * used and the surplus ages.
 *
 * A connection leaves the pool in the very event in which its peer closes it or sends something
 * unasked, so what comes out was alive when the last packet was looked at.
 */
#include "dataplane/balance/bal.h"

#include "dataplane/base/hot.h"

static struct mux *
take_out(struct lcore *lc, struct idle *e)
{
	struct mux *mx = e->mx;

	sl_list_del(&e->node);
	gauge_add(&lc->bal->idle[e->slot].count, -1);
	pool_free(&lc->bal->entries, e);
	return mx;
}

static void
on_gone(struct lcore *lc, void *owner, struct mux *mx)
{
	(void)mx;
	take_out(lc, owner);
}

static const struct mux_user idle_user = { .gone = on_gone };

static void
close_oldest(struct lcore *lc, struct idle_slot *s)
{
	struct idle *e = sl_list_entry(s->list.prev, struct idle, node);

	mux_close(lc, take_out(lc, e), false);
}

struct mux *
idle_get(struct lcore *lc, const struct server *srv)
{
	struct idle_slot *s = &lc->bal->idle[srv->slot];

	while (!sl_list_is_empty(&s->list)) {
		struct idle *e = sl_list_first(&s->list, struct idle, node);
		bool old = tick_is_expired(e->expires, lc->now);
		struct mux *mx = take_out(lc, e);

		if (likely(!old && mux_is_reusable(mx)))
			return mx;
		mux_close(lc, mx, false);
	}
	return NULL;
}

/* Opened before the server moved, by command or with a reload? */
static bool
is_elsewhere(const struct lcore *lc, const struct server *srv, struct mux *mx)
{
	const struct ip_port *now = atomic_load_explicit(
		&srv_run_of(lc, srv)->addr, memory_order_acquire);
	struct ip_port local, remote;
	struct conn *c = mux_conn(mx);

	if (likely(now == NULL) || c == NULL)
		return false;
	conn_addrs(c, &local, &remote);
	return !addr_port_eq(&remote, now);
}

void
idle_put(struct lcore *lc, const struct server *srv, struct mux *mx)
{
	struct bal_lcore *b = lc->bal;
	struct idle_slot *s = &b->idle[srv->slot];
	struct idle *e = NULL;

	if (b->idle_max > 0 && gauge_get(&s->count) >= b->idle_max)
		close_oldest(lc, s);
	if (b->idle_max > 0 && srv_is_up(lc, srv) && !is_elsewhere(lc, srv, mx))
		e = pool_new(&b->entries);
	if (e == NULL) {
		mux_close(lc, mx, false);
		return;
	}
	e->mx = mx;
	e->slot = srv->slot;
	e->expires = tick_add(lc->now, IDLE_MAX_MS);
	mux_set_owner(mx, &idle_user, e);
	sl_list_add_head(&s->list, &e->node);
	gauge_add(&s->count, 1);
	if (!tick_is_set(b->purge.deadline))
		wheel_arm(&lc->wheel, &b->purge, e->expires);
}

void
idle_on_purge(void *ctx, struct wheel_timer *t)
{
	struct lcore *lc = ctx;
	struct bal_lcore *b = lc->bal;
	sl_tick next = TICK_NONE;

	for (uint32_t i = 0; i < b->nslots; i++) {
		struct idle_slot *s = &b->idle[i];

		while (!sl_list_is_empty(&s->list)) {
			struct idle *e = sl_list_entry(s->list.prev, struct idle, node);

			if (!tick_is_expired(e->expires, lc->now)) {
				next = tick_first(next, e->expires);
				break;
			}
			close_oldest(lc, s);
		}
	}
	if (tick_is_set(next))
		wheel_arm(&lc->wheel, t, next);
}

void
idle_flush(struct lcore *lc, uint32_t slot)
{
	struct bal_lcore *b = lc->bal;

	for (uint32_t i = 0; i < b->nslots; i++)
		if (slot == UINT32_MAX || slot == i)
			while (!sl_list_is_empty(&b->idle[i].list))
				close_oldest(lc, &b->idle[i]);
}

uint32_t
idle_count(const struct lcore *lc, uint32_t slot)
{
	return gauge_get(&lc->bal->idle[slot].count);
}
